//! The same bytes on any number of ranks, with or without a killed one; and the pictures are ffmpeg's.

use std::path::Path;

use testbed::clip::{Clip, remux, sample};
use testbed::drive::{Drive, Outcome};
use testbed::reference::{assert_same_frames, frames};

fn drive(input: &Path, name: &str, ranks: u32, set: &[(&str, &str)]) -> Outcome {
    let output = input.with_file_name(format!("{ranks}-{name}"));
    Drive::new(input, &output, ranks, set)
        .run()
        .unwrap_or_else(|error| panic!("{name} on {ranks} ranks: {error:#}"))
}

/// Asserts the same bytes on 1, 2, 3 and 6 ranks.
fn same_on_all(name: &str, set: &[(&str, &str)]) {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mp4").audio("aac").make(folder.path());
    let mut all = vec![("plan.chunk_frames", "17")];
    all.extend_from_slice(set);
    let alone = drive(&clip, name, 1, &all);
    assert_eq!((alone.frames, alone.chunks), (96, 6));
    for ranks in [2, 3, 6] {
        let outcome = drive(&clip, name, ranks, &all);
        assert_eq!(outcome.sha256, alone.sha256, "{name} on {ranks} ranks");
        assert_eq!(outcome.launches, 1);
    }
}

#[test]
fn h264_in_mp4_on_1_2_3_6_ranks() {
    same_on_all("out.mp4", &[]);
}

#[test]
fn h264_in_mkv_on_1_2_3_6_ranks() {
    same_on_all("out.mkv", &[("convert.preset", "veryfast")]);
}

#[test]
fn ffv1_in_mkv_on_1_2_3_6_ranks() {
    same_on_all("out.mkv", &[("convert.codec", "ffv1"), ("convert.audio", "flac")]);
}

#[test]
fn the_sample_losslessly_is_what_ffmpeg_decodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("sample.mp4");
    std::os::unix::fs::symlink(sample(), &input).expect("a link");
    drive(&input, "ours.mkv", 2, &[("convert.codec", "ffv1"), ("plan.chunk_frames", "30")]);
    // The same packets in Matroska, so that ffmpeg reads both with the times of one container.
    let reference = folder.path().join("reference.mkv");
    remux(&input, &reference, "", "-map 0:v -map 0:a");
    let ours = folder.path().join("2-ours.mkv");
    assert_same_frames(&frames(&ours, "0:v:0"), &frames(&reference, "0:v:0"), "the sample");
    assert_same_frames(&frames(&ours, "0:a:0"), &frames(&reference, "0:a:0"), "its sound");
}

#[test]
fn a_killed_rank_changes_no_byte_and_no_accepted_chunk_is_computed_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mp4").frames(240).audio("aac").make(folder.path());
    let set = [("plan.chunk_frames", "12"), ("convert.preset", "fast")];
    let whole = drive(&clip, "whole.mp4", 1, &set);
    for after in [2, 10] {
        let output = folder.path().join(format!("killed-{after}.mp4"));
        let killed = Drive::new(&clip, &output, 3, &set)
            .kill_after(after)
            .run()
            .unwrap_or_else(|error| panic!("killed after {after} items: {error:#}"));
        assert_eq!(killed.sha256, whole.sha256);
        assert!(killed.launches > 1, "the kill did not end the launch");
        assert_eq!(killed.redone, Vec::<String>::new());
        // Only what was in flight is handed out twice: two items a rank.
        let twice = killed.handed_out.values().filter(|count| **count > 1).count();
        assert!(twice <= 6, "{:?}", killed.handed_out);
    }
}
