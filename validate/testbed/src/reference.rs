//! The reference: one ffmpeg process doing the same on the whole file, and what ffmpeg says of a file.
//! A right value in a test comes from here, never from DVP.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use dvp_model::time::Ratio;

/// Decoded frames of one stream: timestamps and hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Seconds a tick.
    pub time_base: Ratio,
    /// Presentation time in ticks, and MD5 of the pixels or samples, in order.
    pub list: Vec<(i64, String)>,
}

impl Frames {
    /// Timestamps in microseconds.
    pub fn micros(&self) -> Vec<i64> {
        let micro = Ratio::new(1, 1_000_000);
        self.list.iter().map(|(pts, _)| self.time_base.rescale(*pts, micro)).collect()
    }

    /// Hashes alone.
    pub fn hashes(&self) -> Vec<&str> {
        self.list.iter().map(|(_, hash)| hash.as_str()).collect()
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it can't be started or fails: with all that it wrote to stderr.
pub fn run<I, S>(program: &str, arguments: I) -> Output
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null());
    let output =
        command.output().unwrap_or_else(|error| panic!("{program} did not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs ffmpeg quietly on `arguments`.
pub fn ffmpeg<I, S>(arguments: I) -> Output
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let quiet = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"];
    let mut all: Vec<std::ffi::OsString> = quiet.iter().map(Into::into).collect();
    all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
    run("ffmpeg", all)
}

/// One ffmpeg process that does the whole film: `input` to `output`, lossless (FFV1) in Matroska, with
/// `graph` between (may be empty) and the sound treated as `audio` says (an encoder, `copy` or `none`).
pub fn whole(input: &Path, output: &Path, graph: &str, audio: &str) {
    let mut arguments: Vec<&OsStr> = vec![OsStr::new("-i"), input.as_os_str()];
    arguments.extend(["-map", "0:v:0"].map(OsStr::new));
    if audio != "none" {
        arguments.extend(["-map", "0:a?"].map(OsStr::new));
    }
    let common = "-fps_mode passthrough -enc_time_base -1 \
                  -sws_flags bicubic+accurate_rnd+bitexact -fflags +bitexact -flags:v +bitexact";
    arguments.extend(common.split_whitespace().map(OsStr::new));
    if !graph.is_empty() {
        arguments.extend(["-vf", graph].map(OsStr::new));
    }
    arguments.extend(["-c:v", "ffv1"].map(OsStr::new));
    if audio != "none" {
        arguments.extend(["-c:a", audio].map(OsStr::new));
    }
    arguments.push(output.as_os_str());
    ffmpeg(arguments);
}

/// Decoded frames of stream `map` (`0:v:0`, `0:a:1`) with their own timestamps, as ffmpeg reads them.
pub fn frames(path: &Path, map: &str) -> Frames {
    decoded(path, map, &[])
}

/// As [`frames`], decoded by one thread, and whatever ffmpeg has to say.
pub fn frames_by_one_thread(path: &Path, map: &str) -> Frames {
    decoded(path, map, &["-threads", "1"])
}

fn decoded(path: &Path, map: &str, before: &[&str]) -> Frames {
    let rest = [
        OsStr::new("-i"),
        path.as_os_str(),
        OsStr::new("-map"),
        OsStr::new(map),
        OsStr::new("-fps_mode"),
        OsStr::new("passthrough"),
        OsStr::new("-enc_time_base"),
        OsStr::new("-1"),
        OsStr::new("-f"),
        OsStr::new("framemd5"),
        OsStr::new("-"),
    ];
    let output = ffmpeg(before.iter().map(OsStr::new).chain(rest));
    parse_framemd5(&String::from_utf8_lossy(&output.stdout))
}

/// Reads ffmpeg's framemd5 format, one stream.
///
/// # Panics
/// When the text isn't of that format.
fn parse_framemd5(text: &str) -> Frames {
    let mut frames = Frames { time_base: Ratio::new(0, 1), list: Vec::new() };
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb 0: ") {
            let (num, den) = base.trim().split_once('/').expect("a time base is num/den");
            let number = |text: &str| text.parse().expect("a time base is whole numbers");
            frames.time_base = Ratio::new(number(num), number(den));
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [_, _, pts, _, _, hash] = fields[..] else { panic!("framemd5 line: {line}") };
            frames.list.push((pts.parse().expect("a timestamp"), hash.to_owned()));
        }
    }
    frames
}

/// Asserts that both have the same pictures, in order, at the same times to a millisecond.
///
/// # Panics
/// Where they differ, with the first difference.
pub fn assert_same_frames(ours: &Frames, reference: &Frames, what: &str) {
    let first = ours.list.iter().zip(&reference.list).position(|(a, b)| a.1 != b.1);
    assert_eq!(first, None, "{what}: this frame is the first that differs");
    assert_eq!(ours.list.len(), reference.list.len(), "{what}: frames");
    let late = ours.micros().into_iter().zip(reference.micros()).enumerate();
    for (index, (a, b)) in late {
        assert!((a - b).abs() <= 1_000, "{what}: frame {index} lies at {a} us, wants {b} us");
    }
}

/// One value that ffprobe prints: `entries` as for `-show_entries`, of `stream` (`v:0`, or empty).
pub fn probe(path: &Path, stream: &str, entries: &str) -> String {
    let mut arguments: Vec<&OsStr> = ["-v", "error"].map(OsStr::new).to_vec();
    if !stream.is_empty() {
        arguments.extend(["-select_streams", stream].map(OsStr::new));
    }
    arguments.extend(["-show_entries", entries, "-of", "csv=p=0"].map(OsStr::new));
    arguments.push(path.as_os_str());
    String::from_utf8_lossy(&run("ffprobe", arguments).stdout).trim().to_owned()
}

/// Structural similarity of two films' pictures over all planes, 0 to 1, frame by frame in order.
///
/// # Panics
/// When ffmpeg prints none.
pub fn ssim(ours: &Path, reference: &Path) -> f64 {
    let output = run(
        "ffmpeg",
        [
            OsStr::new("-hide_banner"),
            OsStr::new("-nostdin"),
            OsStr::new("-i"),
            ours.as_os_str(),
            OsStr::new("-i"),
            reference.as_os_str(),
            OsStr::new("-lavfi"),
            OsStr::new("[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b];[a][b]ssim"),
            OsStr::new("-f"),
            OsStr::new("null"),
            OsStr::new("-"),
        ],
    );
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = text.rsplit("All:").next().and_then(|rest| rest.split_whitespace().next());
    all.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no SSIM in:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_framemd5() {
        let text = "#format: frame checksums\n#tb 0: 1/1000\n0, 0, 33, 33, 6, abc\n0, 33, 67, 33, 6, def\n";
        let frames = parse_framemd5(text);
        assert_eq!(frames.micros(), [33_000, 67_000]);
        assert_eq!(frames.hashes(), ["abc", "def"]);
    }
}
