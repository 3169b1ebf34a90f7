//! The sound of a plan, held against one ffmpeg process: the same packets or the same samples, at the
//! same time, and the same bytes each time.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dvp_model::error::{Kind, Reason};
use dvp_model::plan::Plan;
use dvp_model::spec::{SpecText, resolve};
use dvp_model::time::Ratio;
use dvp_model::wire::worker::{PlanRequest, Report};
use dvp_worker::media::{self, audio, object};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use testbed::clip::{self, Clip};
use testbed::drive::Drive;
use testbed::reference::{ffmpeg, frames, probe};
use testbed::sound::{heard, impulses, samples};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The plan for `input` with these parameters, for an output with `extension`.
fn planned(input: &Path, extension: &str, set: &[(&str, &str)]) -> Plan {
    let mut text = SpecText::default();
    for (key, value) in set {
        let task = key.split('.').next().unwrap_or_default();
        if !text.tasks.iter().any(|known| known == task) {
            text.tasks.push(task.to_owned());
        }
        text.set.insert((*key).to_owned(), (*value).to_owned());
    }
    let spec = resolve(&text, Some(extension)).expect("a right spec");
    media::init();
    media::plan(&PlanRequest { input: input.to_owned().into(), spec }, &mut |_, _| {})
        .unwrap_or_else(|reason| panic!("{}: {reason}", input.display()))
}

fn sound(plan: &Plan, dest: &Path) -> Result<Report, Reason> {
    let mut told = Vec::new();
    let report = audio::sound(plan, dest, &mut |now| told.push(now), &AtomicBool::new(false))?;
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "progress rises: {told:?}");
    assert_eq!(told.last(), Some(&1000), "progress reaches its end");
    Ok(report)
}

/// A packet: stream, time and duration in samples, SHA-256 of its bytes.
type Coded = (u16, i64, i64, String);

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asserts that both are the same packets at the same times, to `within` samples, and names the first
/// that differs.
fn assert_same(ours: &[Coded], wanted: &[Coded], within: i64, what: &str) {
    let differs = |(ours, wanted): &(&Coded, &Coded)| {
        (ours.0, ours.2, &ours.3) != (wanted.0, wanted.2, &wanted.3)
            || (ours.1 - wanted.1).abs() > within
    };
    let first = ours.iter().zip(wanted).find(differs);
    assert_eq!(first, None, "{what}: ours and ffmpeg's packet");
    assert_eq!(ours.len(), wanted.len(), "{what}: packets");
}

/// Makes the sound twice, asserts the same bytes, and reads its packets.
fn made(plan: &Plan, folder: &Path) -> (Vec<object::Stream>, Vec<object::Packet>) {
    let (first, second) = (folder.join("first.object"), folder.join("second.object"));
    let [one, two] = [&first, &second].map(|dest| sound(plan, dest).expect("sound"));
    assert_eq!((&one.sha256, one.size, one.frames), (&two.sha256, two.size, two.frames));
    let bytes = std::fs::read(&first).expect("the object");
    assert_eq!(one.sha256, hash(&bytes));
    assert_eq!(one.size, bytes.len() as u64);
    let mut reader = object::Reader::open(&first).expect("an object");
    let streams = reader.header().streams.clone();
    assert_eq!(reader.header().plan, plan.hash());
    let packets: Vec<_> = reader.by_ref().collect::<Result<_, _>>().expect("whole packets");
    assert_eq!(packets.len() as u64, one.frames);
    (streams, packets)
}

fn coded(packets: &[object::Packet]) -> Vec<Coded> {
    packets.iter().map(|p| (p.stream, p.pts, p.duration, hash(&p.data))).collect()
}

/// Packets that ffmpeg makes of `input`'s sound with `options`, times in samples of `rate`.
fn reference(input: &Path, options: &str, rate: i64) -> Vec<Coded> {
    let mut all: Vec<std::ffi::OsString> =
        vec!["-i".into(), input.into(), "-map".into(), "0:a".into()];
    all.extend(options.split_whitespace().map(Into::into));
    let rest = "-fflags +bitexact -flags:a +bitexact -f framehash -hash sha256 -";
    all.extend(rest.split_whitespace().map(Into::into));
    let output = ffmpeg(all);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut base = Ratio::new(1, rate);
    let mut packets = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#tb ") {
            let (_, value) = rest.split_once(": ").expect("a time base");
            let (num, den) = value.trim().split_once('/').expect("a ratio");
            base = Ratio::new(num.parse().expect("a number"), den.parse().expect("a number"));
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let number = |at: usize| fields[at].parse::<i64>().expect("a number");
            let time = |at: usize| base.rescale(number(at), Ratio::new(1, rate));
            packets.push((number(0) as u16, time(2), time(3), fields[5].to_owned()));
        }
    }
    packets
}

/// The first stream of an object as a raw file that ffmpeg reads: FLAC, or AAC in ADTS.
fn unwrapped(folder: &Path, stream: &object::Stream, packets: &[object::Packet]) -> PathBuf {
    let object::Shape::Audio { sample_rate, .. } = stream.shape else { panic!("sound") };
    let mut bytes = Vec::new();
    let path = folder.join(format!("unwrapped.{}", stream.codec));
    if stream.codec == "flac" {
        bytes.extend(b"fLaC\x80\x00\x00\x22");
        bytes.extend(&stream.extradata);
    }
    assert!(sample_rate > 0);
    for packet in packets.iter().filter(|packet| packet.stream == 0) {
        if stream.codec == "aac" && !packet.data.is_empty() {
            bytes.extend(adts(&stream.extradata, packet.data.len()));
        }
        bytes.extend(&packet.data);
    }
    std::fs::write(&path, bytes).expect("room");
    path
}

/// The ADTS header of an AAC packet (ISO 13818-7), from its AudioSpecificConfig.
fn adts(config: &[u8], length: usize) -> [u8; 7] {
    let rate = (config[0] & 7) << 1 | config[1] >> 7;
    let channels = config[1] >> 3 & 15;
    let length = length + 7;
    [
        0xff,
        0xf1,
        1 << 6 | rate << 2 | channels >> 2,
        (channels & 3) << 6 | (length >> 11) as u8,
        (length >> 3) as u8,
        (length as u8 & 7) << 5 | 0x1f,
        0xfc,
    ]
}

#[test]
fn encoded_packets_are_those_of_ffmpeg() {
    let folder = folder();
    for name in ["sine.mp4", "sine.mkv"] {
        let input = Clip::new(name).audio("aac").make(folder.path());
        for (codec, extension) in [("aac", "mp4"), ("aac", "mkv"), ("flac", "mkv")] {
            let plan = planned(&input, extension, &[("convert.audio", codec)]);
            let (streams, packets) = made(&plan, folder.path());
            assert_eq!(streams.len(), 1);
            let wanted = reference(&input, &format!("-c:a {codec}"), 48_000);
            // ffmpeg keeps the jitter of Matroska's milliseconds.
            let within = if name.ends_with("mkv") { 48 } else { 0 };
            let what = format!("{name} as {codec} for {extension}");
            assert_same(&coded(&packets), &wanted, within, &what);
            let heard = samples(&unwrapped(folder.path(), &streams[0], &packets), "");
            let whole = samples(&input, "").len() + if codec == "aac" { 2 * 1024 } else { 0 };
            assert!((whole..whole + 2048).contains(&heard.len()), "{} of {whole}", heard.len());
        }
    }
}

#[test]
fn flac_keeps_every_sample() {
    let folder = folder();
    let input = Clip::new("pcm.mkv").audio("pcm_s16le").make(folder.path());
    let plan = planned(&input, "mkv", &[("convert.audio", "flac")]);
    let (streams, packets) = made(&plan, folder.path());
    let ours = samples(&unwrapped(folder.path(), &streams[0], &packets), "");
    assert!(ours == samples(&input, ""), "other samples");
    assert_eq!(impulses(&ours, 2), [0, 48_000, 96_000, 144_000]);
    let sum: i64 = packets.iter().map(|packet| packet.duration).sum();
    assert_eq!(sum as usize * 2, ours.len());
}

#[test]
fn copied_packets_are_those_of_the_file() {
    let folder = folder();
    for (name, audio, extension) in [
        ("aac.mp4", "aac", "mp4"),
        ("aac.mp4", "aac", "mkv"),
        ("aac.mkv", "aac", "mkv"),
        ("aac.mkv", "aac", "mp4"),
        ("flac.mkv", "flac", "mkv"),
        ("pcm.mkv", "pcm_s16le", "mkv"),
        ("opus.mkv", "libopus", "mkv"),
    ] {
        let input = Clip::new(name).audio(audio).make(folder.path());
        let plan = planned(&input, extension, &[("convert.audio", "copy")]);
        let (_, packets) = made(&plan, folder.path());
        let wanted = reference(&input, "-c:a copy", 48_000);
        let (ours, theirs) = (coded(&packets), wanted);
        assert_eq!(ours.len(), theirs.len(), "{name} for {extension}: packets");
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours.3, theirs.3, "{name} for {extension}: bytes of packet {at}");
            let late = ours.1 - theirs.1;
            assert!(late.abs() <= 48, "{name} for {extension}: packet {at} is {late} samples late");
        }
    }
}

#[test]
fn the_sample_clip_in_six_channels() {
    let folder = folder();
    let input = clip::sample();
    for (codec, extension) in [("aac", "mp4"), ("flac", "mkv"), ("copy", "mp4")] {
        let plan = planned(&input, extension, &[("convert.audio", codec)]);
        let (streams, packets) = made(&plan, folder.path());
        let object::Shape::Audio { layout, sample_rate, .. } = &streams[0].shape else { panic!() };
        assert_eq!(layout, "5.1");
        let wanted = reference(&input, &format!("-c:a {codec}"), i64::from(*sample_rate));
        assert_same(&coded(&packets), &wanted, 0, codec);
    }
}

#[test]
fn a_cut_keeps_exactly_its_samples() {
    let folder = folder();
    for (name, audio) in [("cut.mp4", "aac"), ("cut.mkv", "flac")] {
        let input = Clip::new(name).audio(audio).make(folder.path());
        // 1.2345 s is sample 59256; 2.75 s is sample 132000.
        let set = [("cut.start", "1.2345"), ("cut.end", "2.75"), ("convert.audio", "flac")];
        let plan = planned(&input, "mkv", &set);
        let (streams, packets) = made(&plan, folder.path());
        let trim = "-af atrim=start_sample=59256:end_sample=132000,asetpts=PTS-STARTPTS -c:a flac";
        assert_same(&coded(&packets), &reference(&input, trim, 48_000), 0, name);
        let ours = samples(&unwrapped(folder.path(), &streams[0], &packets), "");
        assert_eq!(ours.len(), 2 * (132_000 - 59_256), "{name}");
        // The impulse at 2 s.
        assert_eq!(impulses(&ours, 2), [96_000 - 59_256], "{name}");
    }
}

/// Copies `input` with its sound later by `seconds`.
fn late(input: &Path, seconds: &str, output: &Path) {
    let mut all: Vec<std::ffi::OsString> = vec!["-i".into(), input.into()];
    all.extend(["-itsoffset", seconds, "-i"].map(Into::into));
    all.push(input.into());
    all.extend("-map 0:v -map 1:a -c copy".split_whitespace().map(Into::into));
    all.push(output.into());
    ffmpeg(all);
}

#[test]
fn sound_that_begins_late_stays_late() {
    let folder = folder();
    let plain = Clip::new("plain.mp4").audio("aac").make(folder.path());
    for (name, late_ms) in [("late.mp4", 244_i64), ("late.mkv", 244), ("later.mkv", 2_500)] {
        let input = folder.path().join(name);
        late(&plain, &format!("{:.3}", late_ms as f64 / 1000.0), &input);
        for codec in ["copy", "aac", "flac"] {
            let plan = planned(&input, "mkv", &[("convert.audio", codec)]);
            let (_, packets) = made(&plan, folder.path());
            // By ffmpeg, the first sound is so much later than the first picture.
            let first = |map| frames(&input, map).micros()[0];
            let apart_us = first("0:a:0") - first("0:v:0");
            assert!((apart_us - late_ms * 1000).abs() <= 22_000, "{name}: {apart_us} us");
            let (video, micro) = (&plan.video, Ratio::new(1, 1_000_000));
            let picture = video.stamps.first().expect("pictures") - video.origin;
            let wanted_us = video.time_base.rescale(picture, micro) + apart_us;
            let priming = if codec == "aac" { 1024 } else { 0 };
            let wanted = micro.rescale(wanted_us, Ratio::new(1, 48_000)) - priming;
            let off = packets[0].pts - wanted;
            assert!(off.abs() <= 48, "{name} as {codec}: {off} samples off");
        }
    }
}

#[test]
fn missing_packets_become_silence() {
    let folder = folder();
    let whole = Clip::new("whole.mkv").audio("flac").frames(144).make(folder.path());
    let holes = folder.path().join("holes.mkv");
    // Two seconds of packets are missing, from about 2 s on.
    let drop = "noise=drop='between(pts*tb,2,4)*eq(1,1)'";
    clip::remux(&whole, &holes, "", &format!("-bsf:a {drop}"));
    let plan = planned(&holes, "mkv", &[("convert.audio", "flac")]);
    let (streams, packets) = made(&plan, folder.path());
    let ours = samples(&unwrapped(folder.path(), &streams[0], &packets), "");
    let source = samples(&whole, "");
    assert_eq!(ours.len(), source.len());
    assert_eq!(impulses(&ours, 2), [0, 48_000, 96_000, 240_000]);
    let report = sound(&plan, &folder.path().join("again.object")).expect("sound");
    assert!(report.remarks.iter().any(|remark| remark.contains("silence")), "{:?}", report.remarks);
}

#[test]
fn damage_and_changes_are_named() {
    let folder = folder();
    let input = Clip::new("damaged.mkv").audio("flac").make(folder.path());
    let plan = planned(&input, "mkv", &[("convert.audio", "flac")]);
    let dest = folder.path().join("refused.object");
    let stop = audio::sound(&plan, &dest, &mut |_| {}, &AtomicBool::new(true));
    assert_eq!(stop.expect_err("stopped").kind, Kind::Conflict);
    let bytes = std::fs::read(&input).expect("the clip");
    std::fs::write(&input, &bytes[..bytes.len() - 1]).expect("room");
    let reason = sound(&plan, &dest).expect_err("another file");
    assert_eq!(reason.kind, Kind::Input);
    assert!(reason.text.contains("input changed"), "{reason}");
    // Layout changes in the middle: 5.1, then stereo.
    let change = folder.path().join("change.mkv");
    let part = |name: &str, layout: &str| {
        let path = folder.path().join(name);
        let sound = format!("anoisesrc=d=2:r=48000,aformat=channel_layouts={layout}");
        let picture = "testsrc2=size=320x180:rate=24:d=2";
        let all = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", &sound, "-c:v", "ffv1"];
        let mut all: Vec<std::ffi::OsString> = all.map(Into::into).to_vec();
        all.extend(["-c:a".into(), "ac3".into(), path.clone().into()]);
        ffmpeg(all);
        path
    };
    let list = folder.path().join("list.txt");
    let parts = [part("a.mkv", "5.1"), part("b.mkv", "stereo")];
    let text: String = parts.iter().map(|path| format!("file '{}'\n", path.display())).collect();
    std::fs::write(&list, text).expect("room");
    clip::remux(&list, &change, "-f concat -safe 0", "");
    let plan = planned(&change, "mkv", &[("convert.audio", "flac")]);
    let reason = sound(&plan, &dest).expect_err("a change of layout");
    assert_eq!(reason.kind, Kind::Input);
    assert!(reason.text.contains("changes from") && reason.text.contains("2.0"), "{reason}");
}

/// Every way to carry sound, and the containers that hold it.
const ALL: [(&str, &str); 5] =
    [("copy", "mp4"), ("copy", "mkv"), ("aac", "mp4"), ("aac", "mkv"), ("flac", "mkv")];

/// Drives `input` in each of these ways on two ranks, and asserts that every impulse is heard when it is in the
/// input, to a millisecond.
fn assert_heard_in_place(input: &Path, ways: &[(&str, &str)]) {
    let wanted = heard(input);
    assert!(wanted.len() >= 3, "{}: {wanted:?}", input.display());
    for &(codec, extension) in ways {
        let output = input.with_extension(format!("{codec}.{extension}"));
        let set = [("convert.audio", codec), ("convert.preset", "ultrafast")];
        let drive = Drive::new(input, &output, 2, &set);
        drive.run().unwrap_or_else(|error| panic!("{}: {error:#}", output.display()));
        let ours = heard(&output);
        let what = format!("{}: {ours:?}, wants {wanted:?}", output.display());
        assert_eq!(ours.len(), wanted.len(), "{what}");
        // The input's and the output's Matroska round to milliseconds, sound and pictures each.
        let near = |(ours, wanted): (&i64, &i64)| (ours - wanted).abs() <= 1_100;
        assert!(ours.iter().zip(&wanted).all(near), "{what}");
    }
}

#[test]
fn impulses_are_driven_in_place() {
    let folder = folder();
    for name in ["driven.mp4", "driven.mkv"] {
        assert_heard_in_place(&Clip::new(name).audio("aac").make(folder.path()), &ALL);
    }
    // Matroska keeps the priming of Opus in its header.
    let opus = Clip::new("opus.mp4").audio("libopus").make(folder.path());
    assert_heard_in_place(&opus, &ALL[..2]);
}

#[test]
fn late_sound_is_driven_in_place() {
    let folder = folder();
    let plain = Clip::new("plain.mp4").audio("aac").make(folder.path());
    for name in ["late.mp4", "late.mkv"] {
        let input = folder.path().join(name);
        late(&plain, "0.244", &input);
        assert_heard_in_place(&input, &ALL);
    }
}

#[test]
fn a_damaged_packet_is_named_by_its_time() {
    let folder = folder();
    let input = Clip::new("packet.mp4").audio("aac").make(folder.path());
    // Packet 89 (from 0) holds what is heard from 88 * 1024 samples on: 1.877 s.
    let lines = probe(&input, "a:0", "packet=pos,size");
    let line = lines.lines().filter(|line| line.contains(',')).nth(89).expect("packets");
    let numbers: Vec<usize> = line.split(',').filter_map(|text| text.parse().ok()).collect();
    let [size, place] = numbers[..] else { panic!("a packet's size and place: {line}") };
    let mut bytes = std::fs::read(&input).expect("the clip");
    bytes[place..place + size].fill(0xff);
    std::fs::write(&input, bytes).expect("room");
    let plan = planned(&input, "mp4", &[("convert.audio", "aac")]);
    let reason = sound(&plan, &folder.path().join("damaged.object")).expect_err("damage");
    assert_eq!(reason.kind, Kind::Input);
    assert!(reason.text.contains("is damaged") && reason.text.contains("1.877 s"), "{reason}");
}
