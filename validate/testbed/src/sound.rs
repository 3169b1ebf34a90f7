//! Sound as ffmpeg plays it: samples, and where in them a clip's impulses lie.

use std::path::Path;

use dvp_model::time::Ratio;

use crate::reference::{ffmpeg, probe};

/// Samples that ffmpeg decodes of a file's sound, 16 bits, interleaved; `filter` may be empty.
///
/// # Panics
/// When ffmpeg fails.
pub fn samples(path: &Path, filter: &str) -> Vec<i16> {
    let mut all: Vec<std::ffi::OsString> =
        vec!["-i".into(), path.into(), "-map".into(), "0:a:0".into()];
    if !filter.is_empty() {
        all.extend(["-af".into(), filter.into()]);
    }
    all.extend(["-f", "s16le", "-"].map(Into::into));
    let output = ffmpeg(all).stdout;
    output.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Positions of the impulses, in samples: the clip has one each second.
pub fn impulses(samples: &[i16], channels: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for (at, frame) in samples.chunks_exact(channels).enumerate() {
        if i32::from(frame[0]).abs() > 16_000 && found.last().is_none_or(|last| at > last + 4_800) {
            found.push(at);
        }
    }
    found
}

/// When impulses are heard, in microseconds after the first picture, as ffmpeg plays the file. The sound
/// has 48,000 samples a second.
///
/// # Panics
/// When there is no sound, or no picture.
pub fn heard(path: &Path) -> Vec<i64> {
    let apart = apart(path);
    // ffprobe says it twice where there are programs.
    let channels = probe(path, "a:0", "stream=channels");
    let channels = channels.lines().next().and_then(|line| line.trim_matches(',').parse().ok());
    let channels = channels.expect("a number");
    let at = |sample: usize| apart + sample as i64 * 1_000_000 / 48_000;
    impulses(&samples(path, ""), channels).into_iter().map(at).collect()
}

/// How much later the sound begins than the pictures, in microseconds. Both are read at once: a stream
/// that starts anywhere has its origin at the first of those that are read.
fn apart(path: &Path) -> i64 {
    let mut all: Vec<std::ffi::OsString> = vec!["-i".into(), path.into()];
    let rest = "-map 0:v:0 -map 0:a:0 -fps_mode passthrough -enc_time_base -1 -f framecrc -";
    all.extend(rest.split_whitespace().map(Into::into));
    let output = ffmpeg(all).stdout;
    let text = String::from_utf8_lossy(&output);
    let first = |stream: &str| {
        let base = text.lines().find_map(|line| line.strip_prefix(&format!("#tb {stream}: ")));
        let (num, den) = base.and_then(|base| base.split_once('/')).expect("a time base");
        let base = Ratio::new(num.parse().expect("a number"), den.parse().expect("a number"));
        let line = text.lines().find(|line| line.starts_with(&format!("{stream},")));
        let pts = line.and_then(|line| line.split(',').nth(2)).expect("a line");
        base.rescale(pts.trim().parse().expect("a time"), Ratio::new(1, 1_000_000))
    };
    first("1") - first("0")
}
