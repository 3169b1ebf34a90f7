//! The traps of chunked video: a test a row, each through mpirun on 1 rank and on 3, with chunks short
//! enough that seams fall in the interesting place. The right value comes from one ffmpeg process.

mod damage;
mod exactness;
mod refusals;
mod streams;
mod structure;
mod timing;

use std::path::{Path, PathBuf};

use dvp_model::error::{Kind, Reason};
use tempfile::TempDir;
use testbed::drive::{Drive, Outcome};
use testbed::reference;

/// A folder of a test's own, removed with it.
fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Drives `input` losslessly on 1 rank and on 3 with chunks of `chunk_frames`, and asserts the same
/// bytes on both and the same pictures at the same times as ffmpeg's with `graph`. Returns the output
/// and how often it was cut.
fn exact(input: &Path, chunk_frames: u32, set: &[(&str, &str)], graph: &str) -> (PathBuf, Outcome) {
    let stem = input.with_extension("");
    let chunk_frames = chunk_frames.to_string();
    let mut all = vec![("convert.codec", "ffv1"), ("plan.chunk_frames", chunk_frames.as_str())];
    all.extend_from_slice(set);
    let output = |ranks: u32| stem.with_extension(format!("out{ranks}.mkv"));
    let drive = |ranks| {
        let drive = Drive::new(input, &output(ranks), ranks, &all);
        drive.run().unwrap_or_else(|error| panic!("{} on {ranks}: {error:#}", input.display()))
    };
    let (alone, three) = (drive(1), drive(3));
    assert_eq!(alone.sha256, three.sha256, "{}: bytes on 1 and 3 ranks", input.display());
    let whole = stem.with_extension("reference.mkv");
    // With its sound, if any: Matroska moves all streams when one begins before 0.
    let sound = if reference::probe(input, "a:0", "stream=codec_name").is_empty() {
        "none"
    } else {
        "copy"
    };
    reference::whole(input, &whole, graph, sound);
    reference::assert_same_frames(
        &reference::frames(&output(3), "0:v:0"),
        &reference::frames(&whole, "0:v:0"),
        &input.display().to_string(),
    );
    (output(3), three)
}

/// Drives `input` to `extension` with `set` on 1 rank and on 3, and asserts the same bytes.
fn driven(input: &Path, extension: &str, set: &[(&str, &str)]) -> (PathBuf, Outcome) {
    let output = |ranks: u32| input.with_extension(format!("driven{ranks}.{extension}"));
    let drive = |ranks| {
        let drive = Drive::new(input, &output(ranks), ranks, set);
        drive.run().unwrap_or_else(|error| panic!("{} on {ranks}: {error:#}", input.display()))
    };
    let (alone, three) = (drive(1), drive(3));
    assert_eq!(alone.sha256, three.sha256, "{}: bytes on 1 and 3 ranks", input.display());
    (output(3), three)
}

/// Drives `input` on `ranks` and returns the reason why that is refused or fails; the output must not
/// be left behind.
fn refused(input: &Path, ranks: u32, set: &[(&str, &str)]) -> Reason {
    let output = input.with_extension("refused.mkv");
    let error = Drive::new(input, &output, ranks, set).run().expect_err("this must not succeed");
    assert!(!output.exists(), "an output of a failed job was left behind");
    let reason = error.downcast_ref::<Reason>();
    reason.unwrap_or_else(|| panic!("no typed reason: {error:#}")).clone()
}

/// Asserts that `reason` blames the input and holds every word.
fn assert_blames_input(reason: &Reason, words: &[&str]) {
    assert_eq!(reason.kind, Kind::Input, "{reason}");
    for word in words {
        let found = reason.text.to_lowercase().contains(&word.to_lowercase());
        assert!(found, "'{word}' is not in: {reason}");
    }
}
