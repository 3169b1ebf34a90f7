//! Joining: chunks made here, without ranks, become a file as the plan says; objects that are missing,
//! damaged or at odds with their neighbours are named, and no file is left.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dvp_model::error::Kind;
use dvp_model::plan::Plan;
use dvp_model::spec::{SpecText, resolve};
use dvp_model::wire::worker::{Accepted, AssembleRequest, Assembled, Locator, PlanRequest};
use dvp_model::{ChunkIndex, Item};
use dvp_worker::media::object::{Packet, Reader, Writer};
use dvp_worker::media::{self, AssembleFault};
use tempfile::TempDir;
use testbed::clip::{Clip, read_bar_codes, remux};
use testbed::reference::{assert_same_frames, ffmpeg, frames, probe};

/// A planned film and its objects.
struct Film {
    folder: TempDir,
    request: AssembleRequest,
}

impl Film {
    /// Plans `clip` with `set` and makes all objects.
    fn make(clip: &Clip, extension: &str, set: &[(&str, &str)]) -> Film {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let input = clip.make(folder.path());
        Self::of(folder, &input, extension, set)
    }

    /// The same with a file that lies in `folder`.
    fn of(folder: TempDir, input: &Path, extension: &str, set: &[(&str, &str)]) -> Film {
        media::init();
        let mut text = SpecText::default();
        for (key, value) in set {
            text.set.insert((*key).to_owned(), (*value).to_owned());
        }
        let spec = resolve(&text, Some(extension)).expect("a right spec");
        let request = PlanRequest { input: input.to_owned().into(), spec };
        let plan = media::plan(&request, &mut |_, _| ()).expect("a plan");
        let objects = plan.items().map(|item| accepted(&plan, item, folder.path())).collect();
        let output = folder.path().join(format!("output.{extension}")).into();
        Film { folder, request: AssembleRequest { plan, objects, output } }
    }

    fn output(&self) -> &Path {
        self.request.output.as_path()
    }

    fn assemble(&self) -> Result<Assembled, AssembleFault> {
        media::assemble(&self.request, &mut |done, total| assert!(done <= total))
    }

    fn assembled(&self) -> Assembled {
        self.assemble().unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    /// Asserts that joining fails, blames just these chunks, says `part`, and leaves no file.
    fn refused(&self, chunks: &[u32], part: &str) -> AssembleFault {
        let fault = self.assemble().expect_err(part);
        let expected: Vec<Item> = chunks.iter().map(|at| Item::Chunk(ChunkIndex(*at))).collect();
        assert_eq!(fault.damaged, expected, "{}", fault.reason);
        assert!(fault.reason.text.contains(part), "{} (want: {part})", fault.reason);
        assert!(!self.output().exists(), "a file is left: {}", fault.reason);
        fault
    }

    /// Reads a chunk's packets, changes them, and writes them as if they had been accepted so.
    fn rewrite(&mut self, chunk: u32, change: impl FnOnce(&mut Vec<Packet>, &mut Vec<u8>)) {
        let accepted = self.object(chunk);
        let path = file(&accepted.object).clone();
        let mut reader = Reader::open(path.as_path()).expect("an object");
        let mut header = reader.header().clone();
        let mut packets: Vec<Packet> =
            reader.by_ref().map(|packet| packet.expect("whole")).collect();
        change(&mut packets, &mut header.streams[0].extradata);
        let mut writer = Writer::create(path.as_path(), &header).expect("room");
        for packet in &packets {
            writer.packet(packet).expect("room");
        }
        let (sha256, size) = writer.finish().expect("room");
        accepted.report.size = size;
        accepted.report.sha256.clone_from(&sha256);
        accepted.sha256 = sha256;
    }

    fn object(&mut self, chunk: u32) -> &mut Accepted {
        let item = Item::Chunk(ChunkIndex(chunk));
        self.request.objects.iter_mut().find(|accepted| accepted.item == item).expect("the chunk")
    }

    fn object_path(&mut self, chunk: u32) -> PathBuf {
        let path = file(&self.object(chunk).object);
        path.as_path().to_owned()
    }
}

fn file(object: &Locator) -> &dvp_model::FilePath {
    match object {
        Locator::File(path) => path,
        Locator::S3(name) => panic!("{name} is no file"),
    }
}

fn accepted(plan: &Plan, item: Item, folder: &Path) -> Accepted {
    let name = match item {
        Item::Chunk(index) => format!("chunk-{index}"),
        Item::Sound => "sound".to_owned(),
    };
    let path = folder.join(name);
    let report = media::run_item(plan, item, &path, &mut |_| (), &AtomicBool::new(false))
        .unwrap_or_else(|reason| panic!("{item}: {reason}"));
    let sha256 = report.sha256.clone();
    Accepted { item, object: Locator::File(path.into()), sha256, report }
}

const SILENT: (&str, &str) = ("convert.audio", "none");
const SHORT: (&str, &str) = ("plan.chunk_frames", "15");

/// Decoding times of the pictures, seconds as ffprobe prints them, and presentation times.
fn packet_times(path: &Path) -> Vec<(f64, f64)> {
    let number = |text: &str| text.parse().unwrap_or(f64::NAN);
    probe(path, "v:0", "packet=pts_time,dts_time")
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|fields| (number(fields[1]), number(fields[0])))
        .collect()
}

/// The names of a file's outermost boxes, in order.
fn boxes(bytes: &[u8]) -> Vec<String> {
    let (mut names, mut at) = (Vec::new(), 0);
    while let Some(head) = bytes.get(at..at + 8) {
        let size = u32::from_be_bytes(head[..4].try_into().expect("four bytes"));
        names.push(String::from_utf8_lossy(&head[4..]).into_owned());
        at += usize::try_from(size).expect("a small file").max(8);
    }
    assert_eq!(at, bytes.len(), "boxes fill the file: {names:?}");
    names
}

#[test]
fn mp4_begins_with_its_index() {
    // With sound, so that two tracks' places are moved; with a name that is no plain word.
    let clip = Clip::new("in.mp4").frames(31).audio("aac");
    let mut film = Film::make(&clip, "mp4", &[SHORT]);
    film.request.output = film.folder.path().join("100% ä: b?.mp4").into();
    film.assembled();
    let bytes = std::fs::read(film.output()).expect("the output");
    let names = boxes(&bytes);
    let place = |name: &str| names.iter().position(|at| at == name).expect(name);
    assert!(place("moov") < place("mdat"), "{names:?}");
    assert_eq!(read_bar_codes(film.output()), (0..31).collect::<Vec<_>>());
    // A second run writes the same bytes.
    film.request.output = film.folder.path().join("again.mp4").into();
    film.assembled();
    assert!(std::fs::read(film.output()).expect("the output") == bytes);
}

#[test]
fn h264_in_mp4_has_every_picture_at_its_time() {
    let film = Film::make(&Clip::new("in.mp4").frames(61), "mp4", &[SILENT, SHORT]);
    assert_eq!(film.request.plan.chunks.len(), 4);
    let first = film.assembled();
    let bytes = std::fs::read(film.output()).expect("the output");
    assert_eq!((first.frames, first.bytes), (61, bytes.len() as u64));
    assert_eq!(read_bar_codes(film.output()), (0..61).collect::<Vec<_>>());
    let (ours, source) =
        (frames(film.output(), "0:v:0"), frames(&film.folder.path().join("in.mp4"), "0:v:0"));
    assert_eq!(ours.time_base, source.time_base);
    let times = |frames: &testbed::reference::Frames| {
        frames.list.iter().map(|frame| frame.0).collect::<Vec<_>>()
    };
    assert_eq!(times(&ours), times(&source));
    let packets = packet_times(film.output());
    assert!(
        packets.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "decoding times rise: {packets:?}"
    );
    assert!(packets.iter().all(|(dts, pts)| dts <= pts), "{packets:?}");
    assert_eq!(film.assembled(), first, "joined again: the same bytes");
}

#[test]
fn ffv1_in_mkv_equals_the_source() {
    let film = Film::make(
        &Clip::new("in.mkv").frames(40).rate("30000/1001"),
        "mkv",
        &[SILENT, SHORT, ("convert.codec", "ffv1")],
    );
    let first = film.assembled();
    let source = film.folder.path().join("in.mkv");
    assert_same_frames(&frames(film.output(), "0:v:0"), &frames(&source, "0:v:0"), "ffv1");
    assert_eq!(probe(film.output(), "v:0", "stream=avg_frame_rate"), "30000/1001");
    assert_eq!(film.assembled(), first, "joined again: the same bytes");
}

#[test]
fn variable_rate_keeps_every_tick_in_mp4() {
    let late = "setpts='(0.2+0.04*N+0.013*mod(N,3)+if(gt(N,20),5,0))/TB'";
    let clip = Clip::new("in.mkv").frames(40).filters(&format!("settb=1/1000,{late}"));
    let film = Film::make(&clip, "mp4", &[SILENT, SHORT]);
    film.assembled();
    let (ours, source) =
        (frames(film.output(), "0:v:0"), frames(&film.folder.path().join("in.mkv"), "0:v:0"));
    let start = source.micros()[0];
    let from_start: Vec<i64> = source.micros().iter().map(|at| at - start).collect();
    assert_eq!(ours.micros(), from_start);
}

#[test]
fn a_single_frame_is_a_film() {
    for extension in ["mp4", "mkv"] {
        let film = Film::make(&Clip::new("in.mp4").frames(1), extension, &[SILENT]);
        assert_eq!(film.assembled().frames, 1, "{extension}");
        assert_eq!(read_bar_codes(film.output()), [0], "{extension}");
    }
}

#[test]
fn missing_objects_are_named() {
    let mut film = Film::make(&Clip::new("in.mp4").frames(61), "mkv", &[SILENT, SHORT]);
    std::fs::remove_file(film.object_path(1)).expect("an object");
    film.request.objects.retain(|accepted| accepted.item != Item::Chunk(ChunkIndex(3)));
    film.refused(&[1, 3], "computed again");
}

#[test]
fn damaged_objects_are_all_named_at_once() {
    let mut film = Film::make(&Clip::new("in.mp4").frames(61), "mp4", &[SILENT, SHORT]);
    for chunk in [1, 2] {
        let path = film.object_path(chunk);
        let mut bytes = std::fs::read(&path).expect("an object");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("an object");
    }
    film.refused(&[1, 2], "computed again");
    let path = film.object_path(2);
    let bytes = std::fs::read(&path).expect("an object");
    std::fs::write(&path, &bytes[..bytes.len() - 9]).expect("an object");
    film.refused(&[2], "length");
}

#[test]
fn an_object_in_anothers_place_is_named() {
    let mut film = Film::make(&Clip::new("in.mp4").frames(60), "mp4", &[SILENT, SHORT]);
    let other = film.object(2).clone();
    let object = film.object(1);
    (object.object, object.sha256, object.report.size) =
        (other.object, other.sha256, other.report.size);
    film.refused(&[1], "in its place");
}

#[test]
fn neighbours_that_saw_different_frames_are_both_named() {
    let mut film = Film::make(&Clip::new("in.mp4").frames(61), "mp4", &[SILENT, SHORT]);
    let witness = film.object(1).report.witness.clone();
    film.object(1).report.witness.after = None;
    film.refused(&[1, 2], "seam");
    film.object(1).report.witness = witness.clone();
    let last = film.object(1).report.witness.last.as_mut().expect("a last frame");
    last.1.push('0');
    film.refused(&[1, 2], "seam");
    film.object(1).report.witness = witness;
    film.object(0).report.span.1 += 1;
    film.refused(&[0], "other frames");
}

#[test]
fn other_codec_headers_are_named() {
    let mut film = Film::make(&Clip::new("in.mp4").frames(61), "mp4", &[SILENT, SHORT]);
    film.rewrite(2, |_, extradata| extradata.push(0));
    film.refused(&[2], "extradata");
}

#[test]
fn packets_that_contradict_the_plan_are_a_bug_that_names_the_chunk() {
    let clip = Clip::new("in.mp4").frames(61);
    type Change = fn(&mut Vec<Packet>);
    let cases: [(&str, Change); 5] = [
        ("packets for", |packets| drop(packets.pop())),
        ("there before", |packets| packets[3].pts = packets[2].pts),
        ("out of order", |packets| packets.swap(3, 4)),
        ("not a keyframe", |packets| packets[0].key = false),
        ("reordered further", |packets| {
            // Shown at 0 .. n in coding order, but the last of all comes first after the keyframe, and
            // so all others late.
            let shown: Vec<i64> = (0..packets.len() as i64).collect();
            let late = [&shown[..1], &shown[8..], &shown[1..8]].concat();
            packets.iter_mut().zip(late).for_each(|(packet, pts)| packet.pts = pts);
        }),
    ];
    let mut film = Film::make(&clip, "mp4", &[SILENT, SHORT]);
    let path = film.object_path(1);
    let whole = (std::fs::read(&path).expect("an object"), film.object(1).clone());
    for (part, change) in cases {
        film.rewrite(1, |packets, _| change(packets));
        let fault = film.refused(&[], part);
        assert_eq!(fault.reason.kind, Kind::Bug);
        assert!(fault.reason.text.contains("chunk 1"), "{}", fault.reason);
        std::fs::write(&path, &whole.0).expect("an object");
        *film.object(1) = whole.1.clone();
    }
    film.assembled();
}

#[test]
fn pictures_that_do_not_decode_at_a_seam_are_found_in_the_file() {
    let mut film = Film::make(&Clip::new("in.mp4").frames(61), "mp4", &[SILENT, SHORT]);
    film.rewrite(1, |packets, _| {
        let size = packets[0].data.len();
        packets[0].data[size / 2..].fill(0x55);
    });
    let fault = film.refused(&[], "chunk 1");
    assert_eq!(fault.reason.kind, Kind::Bug, "{}", fault.reason);
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let mut film = Film::make(&Clip::new("in.mp4").frames(61), "mp4", &[SILENT, SHORT]);
    let link = film.folder.path().join("full.mp4");
    std::os::unix::fs::symlink("/dev/full", &link).expect("a link");
    film.request.output = link.clone().into();
    let fault = film.assemble().expect_err("no room");
    assert_eq!(fault.reason.kind, Kind::Machine, "{}", fault.reason);
    assert!(fault.reason.text.contains("disk is full"), "{}", fault.reason);
    assert!(fault.damaged.is_empty() && link.symlink_metadata().is_err(), "{:?}", fault.damaged);
    film.request.output = film.folder.path().join("no such folder/out.mp4").into();
    assert_eq!(film.refused(&[], "another place").reason.kind, Kind::Output);
}

/// One ffmpeg process that does the same: pictures by x264, `audio` as an encoder or `copy`.
fn whole(film: &Film, audio: &str) -> PathBuf {
    let reference = film.output().with_extension(format!(
        "reference.{}",
        film.output().extension().expect("an extension").display()
    ));
    let input = film.request.plan.input.path.as_path();
    let options = "-map 0:v:0 -map 0:a -fps_mode passthrough -enc_time_base -1 -fflags +bitexact \
                   -flags:a +bitexact -c:v libx264 -preset ultrafast -strict experimental -c:a";
    let mut all: Vec<std::ffi::OsString> = vec!["-i".into(), input.into()];
    all.extend(options.split_whitespace().map(Into::into));
    all.extend([audio.into(), reference.clone().into()]);
    ffmpeg(all);
    reference
}

/// Asserts that the output's pictures and sound lie where ffmpeg puts them, and that the sound is the same.
/// The first `primed` packets are heard in ffmpeg's file only, which loses that they are priming.
fn sounds_as(film: &Film, audio: &str, tracks: usize, primed: usize) {
    let reference = whole(film, audio);
    let times = |path: &Path| frames(path, "0:v:0").micros();
    let (ours, theirs) = (times(film.output()), times(&reference));
    assert_eq!(ours.len(), theirs.len(), "{audio}: pictures");
    for (at, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert!((a - b).abs() <= 1000, "{audio}: picture {at} lies at {a} us, wants {b} us");
    }
    for track in 0..tracks {
        let map = format!("0:a:{track}");
        let (ours, mut theirs) = (frames(film.output(), &map), frames(&reference, &map));
        theirs.list.drain(..primed);
        assert_same_frames(&ours, &theirs, &format!("{audio}, sound {track}"));
    }
}

fn clip_with_sound() -> Clip {
    Clip::new("in.mp4").frames(61).audio("aac -b:a 96k")
}

#[test]
fn sound_lies_where_ffmpeg_puts_it() {
    for (extension, choice, audio, primed) in [
        ("mp4", "copy", "copy", 0),
        ("mp4", "aac", "aac", 0),
        ("mkv", "copy", "copy", 1),
        ("mkv", "aac", "aac", 1),
        ("mkv", "flac", "flac", 0),
    ] {
        let film = Film::make(&clip_with_sound(), extension, &[SHORT, ("convert.audio", choice)]);
        let first = film.assembled();
        sounds_as(&film, audio, 1, primed);
        assert_eq!(film.assembled(), first, "{extension} {choice} again: the same bytes");
    }
}

#[test]
fn late_streams_start_late() {
    for (late, extension) in
        [("video", "mp4"), ("video", "mkv"), ("audio", "mp4"), ("audio", "mkv")]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clip = clip_with_sound().make(folder.path());
        let input = folder.path().join("late.mkv");
        // Input 0 comes late, input 1 does not.
        let before = format!("-itsoffset 0.7 -i {}", clip.display());
        let maps = if late == "video" { "-map 0:v -map 1:a" } else { "-map 1:v -map 0:a" };
        remux(&clip, &input, &before, maps);
        let film = Film::of(folder, &input, extension, &[SHORT, ("convert.audio", "copy")]);
        film.assembled();
        sounds_as(&film, "copy", 1, 0);
    }
}

#[test]
fn tracks_keep_their_languages() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = clip_with_sound().make(folder.path());
    let input = folder.path().join("two.mkv");
    let languages =
        "-map 0:v -map 0:a -map 0:a -metadata:s:a:0 language=deu -metadata:s:a:1 language=jpn";
    remux(&clip, &input, "", languages);
    for extension in ["mp4", "mkv"] {
        let copy = tempfile::tempdir().expect("a temporary folder");
        let film = Film::of(copy, &input, extension, &[SHORT, ("convert.audio", "copy")]);
        film.assembled();
        sounds_as(&film, "copy", 2, 0);
        for (stream, due) in [("v:0", "1"), ("a:0", "1\ndeu"), ("a:1", "0\njpn")] {
            let found =
                probe(film.output(), stream, "stream_disposition=default:stream_tags=language");
            let found = found.replace(',', "\n").replace("\nund", "");
            assert_eq!(found, due, "{extension} {stream}");
        }
    }
}

#[test]
fn damaged_sound_is_named() {
    let mut film = Film::make(&clip_with_sound(), "mp4", &[SHORT, ("convert.audio", "copy")]);
    let sound = film.request.objects.iter_mut().find(|accepted| accepted.item == Item::Sound);
    let path = file(&sound.expect("the sound").object).clone();
    let mut bytes = std::fs::read(&path).expect("an object");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&path, bytes).expect("an object");
    let fault = film.assemble().expect_err("damaged sound");
    assert_eq!(fault.damaged, [Item::Sound], "{}", fault.reason);
    film.request.objects.retain(|accepted| accepted.item != Item::Sound);
    assert_eq!(film.assemble().expect_err("no sound").damaged, [Item::Sound]);
    assert!(!film.output().exists());
}
