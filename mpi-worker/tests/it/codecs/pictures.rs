//! A film in one chunk against one ffmpeg process with the same encoder, and each encoder at two SIMD levels.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use testbed::reference::{assert_same_frames, ffmpeg, frames, probe};

use super::{CASES, Case, arguments};
use crate::media::{finished, planned};

/// What ffmpeg makes of `input` with the case's encoder.
fn reference(case: &Case, input: &Path, pixels: &str) -> PathBuf {
    let output = input.with_extension("reference.mkv");
    let mut all: Vec<OsString> = vec!["-i".into(), input.into()];
    let common = "-fps_mode passthrough -sws_flags bicubic+accurate_rnd+bitexact -fflags +bitexact";
    all.extend(common.split_whitespace().map(Into::into));
    all.extend(["-pix_fmt".into(), pixels.into()]);
    all.extend(arguments(&case.encode(), ""));
    all.push(output.clone().into());
    ffmpeg(all);
    output
}

#[test]
fn pictures_are_those_of_ffmpeg_with_the_same_encoder() {
    dvp_worker::media::init();
    for case in CASES {
        let folder = tempfile::tempdir().expect("a folder");
        let input = case.clip(folder.path(), 20);
        let name = case.name();
        let plan = planned(&input, case.set).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert_eq!(plan.chunks.len(), 1, "{name}");
        let ours = folder.path().join("ours.mkv");
        finished(&plan, &ours).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let theirs = reference(case, &input, &plan.video.format);
        assert_same_frames(&frames(&ours, "0:v:0"), &frames(&theirs, "0:v:0"), &name);
        let fields = "stream=codec_name,profile,width,height,pix_fmt,color_range,has_b_frames";
        assert_eq!(probe(&ours, "v:0", fields), probe(&theirs, "v:0", fields), "{name}");
        // Pixels that had to change are said.
        let said = plan.notes.iter().any(|note| note.starts_with("pixels: "));
        assert_eq!(said, name == "prores proxy of yuv420p", "{name}: {:?}", plan.notes);
    }
}

#[test]
fn bits_are_the_same_at_two_simd_levels() {
    for case in CASES {
        let folder = tempfile::tempdir().expect("a folder");
        let input = case.clip(folder.path(), 12);
        let encode = case.encode();
        let packets = |global: &[&str], more: &str| {
            let mut all: Vec<OsString> = global.iter().map(Into::into).collect();
            all.extend(["-i".into(), input.clone().into()]);
            let scale = "-sws_flags bicubic+accurate_rnd+bitexact";
            all.extend(scale.split_whitespace().map(Into::into));
            if let Some(pixels) = encode.formats().first().filter(|_| case.pixels == "yuv420p") {
                all.extend(["-pix_fmt".into(), pixels.into()]);
            }
            all.extend(arguments(&encode, more));
            all.extend(["-f", "framehash", "-hash", "sha256", "-"].map(Into::into));
            String::from_utf8(ffmpeg(all).stdout).expect("text")
        };
        let (fast, plain) = (packets(&[], ""), packets(&["-cpuflags", "0"], "asm=0"));
        assert!(fast.lines().filter(|line| !line.starts_with('#')).count() == 12, "{fast}");
        assert_eq!(fast, plain, "{}", case.name());
    }
}
