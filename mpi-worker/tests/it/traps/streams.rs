//! Rows about streams without an index or without times of their own: MPEG-TS, MPEG-PS, AVI, raw H.264.

use std::path::{Path, PathBuf};

use testbed::clip::{self, Clip};
use testbed::drive::Drive;
use testbed::reference::{assert_same_frames, frames, whole};
use testbed::sound::heard;

use super::{driven, exact, folder};

/// What is said of the plan for `input`.
fn notes(input: &Path) -> String {
    let output = input.with_extension("planned.mkv");
    Drive::new(input, &output, 1, &[]).plan().expect("a plan").notes.join("; ")
}

/// Asserts that on 3 ranks, into `extension`, each impulse of the sound is heard when it should be, in
/// microseconds after the first picture.
fn assert_heard(input: &Path, extension: &str, wanted: &[i64]) {
    let set = [("convert.preset", "ultrafast"), ("plan.chunk_frames", "40")];
    let output = input.with_extension(format!("heard.{extension}"));
    let drive = Drive::new(input, &output, 3, &set);
    drive.run().unwrap_or_else(|error| panic!("{}: {error:#}", input.display()));
    let ours = heard(&output);
    let near = ours.iter().zip(wanted).all(|(ours, wanted)| (ours - wanted).abs() <= 1_100);
    let what = format!("{}: {ours:?}, wants {wanted:?}", output.display());
    assert!(near && ours.len() == wanted.len(), "{what}");
}

#[test]
fn late_seeks() {
    let folder = folder();
    let hevc = "libx265 -preset ultrafast -x265-params \
                open-gop=1:keyint=24:min-keyint=24:bframes=4:scenecut=0:log-level=none";
    let clips = [
        // A chunk begins one picture after each keyframe, too.
        Clip::new("closed.ts").audio("aac"),
        Clip::new("open.ts").video("mpeg2video -b:v 1M -g 15 -bf 2").audio("mp2"),
        Clip::new("hevc.ts").video(hevc),
        Clip::new("one-key.ts")
            .frames(240)
            .video("libx264 -preset veryfast -g 999 -sc_threshold 0"),
        Clip::new("refresh.ts")
            .video("libx264 -preset veryfast -x264-params intra-refresh=1:keyint=24:bframes=2"),
        Clip::new("open.vob").video("mpeg2video -b:v 1M -g 15 -bf 2"),
    ];
    for clip in clips {
        let frames = clip.frames;
        let (_, outcome) = exact(&clip.make(folder.path()), 25, &[], "");
        let chunks = (frames + 12) as usize / 25;
        assert_eq!((outcome.frames, outcome.chunks), (frames.into(), chunks), "{}", clip.name);
    }
}

#[test]
fn a_stream_starts_anywhere_and_its_sound_is_in_place() {
    let folder = folder();
    let clips = [
        (Clip::new("start.ts").audio("aac"), "mp4"),
        (Clip::new("mp2.ts").audio("mp2"), "mkv"),
        (Clip::new("m4.avi").video("mpeg4 -g 24").audio("libmp3lame"), "mp4"),
        (Clip::new("pcm.avi").video("mjpeg").audio("pcm_s16le"), "mkv"),
    ];
    for (clip, extension) in clips {
        let input = clip.make(folder.path());
        assert_heard(&input, extension, &heard(&input));
    }
}

#[test]
fn timestamps_that_wrap() {
    let folder = folder();
    let plain = Clip::new("plain.ts").audio("aac").make(folder.path());
    // 33 bits of 90 kHz end at 95443.7 s.
    let wrapped = folder.path().join("wrapped.ts");
    clip::remux(&plain, &wrapped, "", "-output_ts_offset 95440 -mpegts_copyts 1");
    let (_, outcome) = exact(&wrapped, 17, &[], "");
    assert_eq!((outcome.frames, outcome.chunks), (96, 6));
    assert_heard(&wrapped, "mkv", &heard(&plain));
}

/// Two recordings in one file, the second begins at another time.
fn spliced(folder: &Path, name: &str, offset: &str) -> PathBuf {
    let first = Clip::new("first.ts").audio("aac").make(folder);
    let second = folder.join("second.ts");
    clip::remux(&first, &second, "", offset);
    let both = [&first, &second].map(|part| std::fs::read(part).expect("a part")).concat();
    let path = folder.join(name);
    std::fs::write(&path, both).expect("room");
    path
}

#[test]
fn spliced_streams() {
    let folder = folder();
    for (name, offset) in [
        ("back.ts", ""),
        ("ahead.ts", "-output_ts_offset 50"),
        ("near.ts", "-output_ts_offset 3.9"),
    ] {
        let input = spliced(folder.path(), name, offset);
        let (_, outcome) = exact(&input, 17, &[("convert.audio", "copy")], "");
        assert_eq!((outcome.frames, outcome.chunks), (192, 1), "{name}");
        assert!(notes(&input).contains("one chunk: the timestamps jump"), "{}", notes(&input));
        // One impulse a second, four seconds a part, each at its picture.
        let wanted: Vec<i64> = (0..8).map(|second| second * 1_000_000).collect();
        assert_heard(&input, "mp4", &wanted);
    }
}

#[test]
fn no_timestamps() {
    let folder = folder();
    let packed = "mpeg4 -bf 2 -g 24 -mpv_flags +strict_gop";
    for (name, video) in [
        ("b-frames.avi", "libx264 -preset veryfast -bf 3 -g 24"),
        ("raw.h264", "libx264 -preset veryfast -bf 3 -g 24"),
        ("raw.hevc", "libx265 -preset ultrafast -x265-params keyint=24:bframes=4:log-level=none"),
        ("raw.m2v", "mpeg2video -bf 2 -g 12"),
        ("asp.avi", packed),
    ] {
        let input = Clip::new(name).video(video).make(folder.path());
        let (output, outcome) = driven(&input, "mkv", &[("convert.codec", "ffv1")]);
        assert_eq!((outcome.frames, outcome.chunks), (96, 1), "{name}");
        assert!(notes(&input).contains("has no time"), "{}", notes(&input));
        let reference = folder.path().join("reference.mkv");
        whole(&input, &reference, "", "none");
        let (ours, mut reference) = (frames(&output, "0:v:0"), frames(&reference, "0:v:0"));
        assert_eq!(ours.hashes(), reference.hashes(), "{name}");
        // One picture after the other, from 0 on. ffmpeg lets the first come as late as the decoder gave it.
        let step = |at: usize| (at as i64 * 1000 + 12) / 24;
        for (at, (stamp, _)) in reference.list.iter_mut().enumerate() {
            *stamp = step(at);
        }
        assert_same_frames(&ours, &reference, name);
    }
}

#[test]
fn equal_timestamps() {
    let folder = folder();
    let pairs = "settb=1/1000,setpts='84*floor(N/2)'";
    let input = Clip::new("pairs.mkv").video("ffv1").filters(pairs).make(folder.path());
    let (output, outcome) =
        driven(&input, "mkv", &[("convert.codec", "ffv1"), ("plan.chunk_frames", "17")]);
    assert_eq!((outcome.frames, outcome.chunks), (96, 1));
    assert!(notes(&input).contains("two pictures share the time"), "{}", notes(&input));
    let (ours, source) = (frames(&output, "0:v:0"), frames(&input, "0:v:0"));
    assert_eq!(ours.hashes(), source.hashes());
    // Each second one lies half way to the next pair.
    let wanted: Vec<i64> = (0..96).map(|at| at * 42_000).collect();
    assert_eq!(ours.micros(), wanted);
}
