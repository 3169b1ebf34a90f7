//! The pictures of a plan, in process: films of many codecs decoded from many places, what is refused and
//! with which words, and that an item can be stopped and repeated. The right value comes from ffmpeg.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dvp_model::error::{Kind, Reason};
use dvp_model::plan::Plan;
use dvp_model::spec::{SpecText, resolve, task};
use dvp_model::wire::worker::{Accepted, AssembleRequest, Locator, PlanRequest, Report};
use dvp_model::{ChunkIndex, FilePath, Item};
use dvp_worker::media::{self, object};
use tempfile::TempDir;
use testbed::clip::{Clip, remux};
use testbed::reference::{assert_same_frames, ffmpeg, frames, probe, whole};

fn folder() -> TempDir {
    media::init();
    tempfile::tempdir().expect("a temporary folder")
}

/// The plan for `input` with these parameters, without its sound.
pub fn planned(input: &Path, set: &[(&str, &str)]) -> Result<Plan, Reason> {
    let mut text = SpecText::default();
    let lossless = [("convert.codec", "ffv1"), ("convert.audio", "none")];
    for (key, value) in lossless.iter().chain(set) {
        let task = key.split('.').next().unwrap_or_default();
        if task::task(task).is_some() && !text.tasks.iter().any(|known| known == task) {
            text.tasks.push(task.to_owned());
        }
        text.set.insert((*key).to_owned(), (*value).to_owned());
    }
    let container = text.set.get("convert.container").cloned().unwrap_or("mkv".to_owned());
    let spec = resolve(&text, Some(&container)).expect("a right spec");
    let request = PlanRequest { input: FilePath::from(input), spec };
    media::plan(&request, &mut |_, _| {})
}

fn run(plan: &Plan, item: Item, dest: &Path) -> Result<Report, Reason> {
    media::run_item(plan, item, dest, &mut |_| {}, &AtomicBool::new(false))
}

/// Does the whole plan, one item after the other.
pub fn finished(plan: &Plan, output: &Path) -> Result<(), Reason> {
    let objects = plan
        .items()
        .map(|item| {
            let dest = output.with_extension(format!("{item}").replace(' ', "-"));
            let report = run(plan, item, &dest)?;
            let object = Locator::File(dest.into());
            Ok(Accepted { item, object, sha256: report.sha256.clone(), report })
        })
        .collect::<Result<Vec<_>, Reason>>()?;
    let request = AssembleRequest { plan: plan.clone(), objects, output: FilePath::from(output) };
    media::assemble(&request, &mut |_, _| {}).map(drop).map_err(|fault| fault.reason)
}

/// Does `input` losslessly in chunks of 17 frames; asserts ffmpeg's pictures at ffmpeg's times.
fn assert_as_ffmpeg(input: &Path) -> Plan {
    let plan = planned(input, &[("plan.chunk_frames", "17")])
        .unwrap_or_else(|reason| panic!("{}: {reason}", input.display()));
    let output = input.with_extension("out.mkv");
    finished(&plan, &output).unwrap_or_else(|reason| panic!("{}: {reason}", input.display()));
    let reference = input.with_extension("reference.mkv");
    whole(input, &reference, "", "none");
    let (ours, reference) = (frames(&output, "0:v:0"), frames(&reference, "0:v:0"));
    assert_same_frames(&ours, &reference, &input.display().to_string());
    plan
}

#[test]
fn films_of_many_codecs_come_out_as_ffmpeg_decodes_them() {
    let folder = folder();
    let clips = [
        // Hidden pictures, in packets of their own and within others.
        ("vp8.mkv", "libvpx -b:v 300k -auto-alt-ref 1 -lag-in-frames 16 -g 40"),
        ("vp9.mkv", "libvpx-vp9 -b:v 300k -cpu-used 8 -lag-in-frames 16 -g 40"),
        ("vp9.mp4", "libvpx-vp9 -b:v 300k -cpu-used 8 -g 40"),
        ("mpeg4.mp4", "mpeg4 -bf 2 -g 30"),
        ("mpeg2.mkv", "mpeg2video -bf 2 -g 15"),
        ("hevc.mp4", "libx265 -preset ultrafast -x265-params keyint=20:bframes=4:log-level=error"),
        ("ten.mkv", "libx264 -preset ultrafast -bf 3 -g 24 -pix_fmt yuv422p10le"),
        ("full.mp4", "libx264 -preset veryfast -g 24 -pix_fmt yuvj420p"),
        ("prores.mov", "prores_ks"),
        // Packed RGB, whose fourth byte holds anything.
        ("rle.mov", "qtrle -pix_fmt rgb24"),
        ("gray.mkv", "ffv1 -pix_fmt gray"),
    ];
    for (name, video) in clips {
        let clip = Clip::new(name).frames(70).video(video).make(folder.path());
        let plan = assert_as_ffmpeg(&clip);
        assert_eq!(plan.chunks.len(), 4, "{name}");
    }
}

#[test]
fn intra_refresh_with_b_frames_is_entered_early_enough() {
    let folder = folder();
    for (name, params) in [
        ("x264.mkv", "libx264 -preset veryfast -x264-params intra-refresh=1:keyint=24:bframes=3"),
        (
            "x265.mkv",
            "libx265 -preset ultrafast -x265-params intra-refresh=1:keyint=24:bframes=0:log-level=error",
        ),
    ] {
        assert_as_ffmpeg(&Clip::new(name).video(params).make(folder.path()));
    }
}

#[test]
fn a_start_that_needs_earlier_pictures_is_counted_and_said() {
    let folder = folder();
    let video = "libx265 -preset ultrafast -x265-params open-gop=1:keyint=24:min-keyint=24:bframes=4:scenecut=0:log-level=error";
    let clip = Clip::new("open.mkv").video(video).make(folder.path());
    // The second entry point is a CRA picture; packets before it are dropped.
    let keys = ffprobe_keys(&clip);
    let cut = folder.path().join("cra.mkv");
    remux(&clip, &cut, "", &format!("-bsf:v noise=amount=0:drop=lt(n\\,{})", keys[1]));
    let plan = assert_as_ffmpeg(&cut);
    assert!(plan.video.undecodable > 0);
    let said = format!("starts with {} pictures", plan.video.undecodable);
    assert!(plan.notes.iter().any(|note| note.contains(&said)), "{:?}", plan.notes);
}

/// Numbers of the packets with a key flag, in file order.
fn ffprobe_keys(path: &Path) -> Vec<usize> {
    let flags = probe(path, "v:0", "packet=flags");
    let flags = flags.lines().enumerate();
    flags.filter(|(_, flags)| flags.starts_with('K')).map(|(at, _)| at).collect()
}

#[test]
fn damage_outside_a_cut_does_no_harm_and_within_is_named_by_its_time() {
    let folder = folder();
    let clip = Clip::new("whole.mkv").make(folder.path());
    let mut bytes = std::fs::read(&clip).expect("the clip");
    let middle = bytes.len() / 2;
    for at in 0..40 {
        bytes[middle + at * 11] ^= 0xa5;
    }
    let damaged = folder.path().join("damaged.mkv");
    std::fs::write(&damaged, bytes).expect("a copy");
    let output = folder.path().join("out.mkv");
    let all = planned(&damaged, &[("plan.chunk_frames", "24")]).expect("its index is whole");
    let reason = finished(&all, &output).expect_err("a damaged film");
    assert_eq!(reason.kind, Kind::Input, "{reason}");
    assert!(reason.text.contains("damaged: the picture at "), "{reason}");
    assert!(!output.exists());
    let start = planned(&damaged, &[("cut.end", "1")]).expect("its index is whole");
    finished(&start, &output).unwrap_or_else(|reason| panic!("the whole part: {reason}"));
}

#[test]
fn another_file_in_its_place_is_refused_at_every_item() {
    let folder = folder();
    let clip = Clip::new("first.mp4").make(folder.path());
    let plan = planned(&clip, &[("plan.chunk_frames", "24")]).expect("a plan");
    let dest = folder.path().join("object");
    run(&plan, Item::Chunk(ChunkIndex(0)), &dest).expect("the file as it was");
    let other = std::fs::read(&clip).expect("the clip");
    std::fs::remove_file(&clip).expect("removed");
    std::fs::write(&clip, other).expect("the same bytes in another file");
    let reason = run(&plan, Item::Chunk(ChunkIndex(1)), &dest).expect_err("another file");
    assert_eq!(reason.kind, Kind::Input, "{reason}");
    assert!(reason.text.contains("input changed"), "{reason}");
}

#[test]
fn an_item_repeats_to_the_same_bytes_and_stops_when_told() {
    let folder = folder();
    let clip = Clip::new("clip.mp4").make(folder.path());
    for set in [
        &[("convert.codec", "h264"), ("plan.chunk_frames", "40")][..],
        &[("plan.chunk_frames", "40")],
    ] {
        let plan = planned(&clip, set).expect("a plan");
        let item = Item::Chunk(ChunkIndex(1));
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let first = run(&plan, item, &one).expect("a chunk");
        let second = run(&plan, item, &two).expect("a chunk");
        assert_eq!(first.sha256, second.sha256);
        assert_eq!(std::fs::read(one).expect("read"), std::fs::read(two).expect("read"));
        let stop = AtomicBool::new(true);
        let reason = media::run_item(&plan, item, &folder.path().join("three"), &mut |_| {}, &stop)
            .expect_err("told to stop");
        assert_eq!(reason.kind, Kind::Conflict, "{reason}");
    }
}

#[test]
fn keyframes_of_h264_are_closed_and_not_far_apart() {
    let folder = folder();
    let clip = Clip::new("long.mp4").frames(620).size(208, 64).make(folder.path());
    let set =
        [("convert.codec", "h264"), ("convert.preset", "veryfast"), ("plan.chunk_frames", "620")];
    let plan = planned(&clip, &set).expect("a plan");
    let dest = folder.path().join("object");
    run(&plan, Item::Chunk(ChunkIndex(0)), &dest).expect("a chunk");
    let packets: Vec<object::Packet> = object::Reader::open(&dest)
        .expect("an object")
        .map(|packet| packet.expect("a packet"))
        .collect();
    let keys: Vec<(i64, i64)> =
        packets.iter().filter(|packet| packet.key).map(|packet| (packet.pts, packet.dts)).collect();
    assert!(keys.len() >= 3, "{keys:?}");
    // A closed GOP: as many packets before the keyframe as pictures shown before it.
    assert!(keys.iter().all(|(pts, dts)| pts == dts), "{keys:?}");
    let ends = keys.iter().skip(1).map(|key| key.0).chain([620]);
    assert!(keys.iter().zip(ends).all(|(key, end)| end - key.0 <= 250), "{keys:?}");
}

#[test]
fn the_files_own_tags_are_carried_or_named() {
    let folder = folder();
    let clip = Clip::new("plain.mp4").frames(5).make(folder.path());
    let tagged = folder.path().join("tagged.mkv");
    remux(&clip, &tagged, "", "-metadata title=Sintel -metadata shelf=9");
    for extension in ["mp4", "mkv"] {
        let set = [("convert.codec", "h264"), ("convert.container", extension)];
        let plan = planned(&tagged, &set).expect("a plan");
        let output = folder.path().join("out").with_extension(extension);
        finished(&plan, &output).unwrap_or_else(|reason| panic!("{extension}: {reason}"));
        assert_eq!(probe(&output, "", "format_tags=title"), "Sintel");
        let carried = probe(&output, "", "format_tags=SHELF") == "9";
        let said = plan.notes.iter().any(|note| note.contains("shelf"));
        assert!(carried != said, "{extension}: {:?}", plan.notes);
    }
}

#[test]
fn names_of_any_bytes_are_read() {
    let folder = folder();
    let clip = Clip::new("plain.mp4").frames(5).make(folder.path());
    for name in
        [&b"-dash.mp4"[..], b"new\nline %41 \"quote\".mp4", b"\xff\xfe.mp4", b"file:concat|x.mp4"]
    {
        let odd = folder.path().join(OsStr::from_bytes(name));
        std::fs::copy(&clip, &odd).expect("a copy");
        let plan = planned(&odd, &[]).unwrap_or_else(|reason| panic!("{odd:?}: {reason}"));
        finished(&plan, &folder.path().join("out.mkv"))
            .unwrap_or_else(|reason| panic!("{odd:?}: {reason}"));
    }
}

#[test]
fn what_is_unfit_is_refused_in_words() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let film = Clip::new("film.mp4").make(folder.path());
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(at(name), bytes).expect("a file");
        at(name)
    };
    std::fs::create_dir(at("folder.mp4")).expect("a folder");
    let generated = |name: &str, source: &str, options: &str| -> PathBuf {
        let out = at(name);
        let mut all: Vec<&OsStr> = ["-f", "lavfi", "-i", source].map(OsStr::new).to_vec();
        all.extend(options.split_whitespace().map(OsStr::new));
        all.push(out.as_os_str());
        ffmpeg(all);
        out
    };
    let tiny = "testsrc2=size=64x64:rate=25";
    let mut fields = "-frames:v 20 -vf tinterlace=4 -flags +ildct+ilme -c:v libx264".to_owned();
    fields.push_str(" -x264-params tff=1");
    let patched = |name: &str, find: &[u8], offset: usize, with: &[u8]| {
        let mut bytes = std::fs::read(&film).expect("the film");
        let found = bytes.windows(find.len()).rposition(|part| part == find).expect("an atom");
        bytes[found + offset..found + offset + with.len()].copy_from_slice(with);
        write(name, &bytes)
    };
    let cases = [
        (at("folder.mp4"), "is a folder"),
        (write("empty.mp4", b""), "is empty"),
        (write("text.mp4", b"no film at all"), "not a video file"),
        (
            write("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfilm.mp4\n"),
            "none of mp4, mov, mkv",
        ),
        (generated("sound.mp4", "sine", "-t 1"), "no video stream"),
        (generated("fields.mp4", tiny, &fields), "interlaced"),
        (
            generated("clear.mkv", tiny, "-frames:v 5 -pix_fmt yuva420p -c:v libvpx-vp9"),
            "transparency",
        ),
        (generated("time.mov", tiny, "-frames:v 5 -c:v mpeg4 -timecode 01:00:00:00"), "tmcd"),
        // Sides of 32767 pixels in the sample description, and 10^9 samples of one byte each.
        (patched("side.mp4", b"avc1", 28, &[0x7f, 0xff, 0x7f, 0xff]), "32767x32767"),
        (patched("count.mp4", b"stsz", 8, &[0, 0, 0, 1, 0x3b, 0x9a, 0xca, 0]), "can be decoded"),
    ];
    for (path, words) in cases {
        let reason = planned(&path, &[]).expect_err(words);
        assert_eq!(reason.kind, Kind::Input, "{reason}");
        assert!(reason.text.contains(words), "'{words}' is not in: {reason}");
    }
    let missing = planned(&at("missing.mp4"), &[]).expect_err("no file");
    assert_eq!(missing.kind, Kind::NotFound, "{missing}");
    let past = planned(&film, &[("cut.start", "1"), ("cut.end", "60")]).expect_err("past the end");
    assert_eq!(past.kind, Kind::Spec, "{past}");
}
