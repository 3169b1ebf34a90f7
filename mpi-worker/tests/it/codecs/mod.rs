//! Every codec that is written: the same bytes on any number of ranks and at any SIMD level, and the
//! pictures that one ffmpeg process makes with the same encoder.

mod pictures;
mod ranks;

use std::ffi::OsString;
use std::path::Path;

use dvp_model::spec::codec::Encode;
use dvp_model::spec::{SpecText, resolve};
use testbed::clip::Clip;

/// A codec with its settings, and pixels that go in.
struct Case {
    /// Parameters of `convert`.
    set: &'static [(&'static str, &'static str)],
    /// libavutil's name of the clip's pixel format.
    pixels: &'static str,
}

const fn case(set: &'static [(&'static str, &'static str)], pixels: &'static str) -> Case {
    Case { set, pixels }
}

/// Each codec with each kind of pixels that it takes, at its fastest.
const CASES: &[Case] = &[
    case(&[("convert.codec", "h264"), ("convert.preset", "veryfast")], "yuv420p"),
    case(&[("convert.codec", "h264"), ("convert.preset", "veryfast")], "yuv444p10le"),
    case(&[("convert.codec", "hevc"), ("convert.preset", "ultrafast")], "yuv420p"),
    case(&[("convert.codec", "hevc"), ("convert.preset", "superfast")], "yuvj422p"),
    case(&[("convert.codec", "hevc"), ("convert.preset", "fast")], "yuv420p10le"),
    case(&[("convert.codec", "hevc"), ("convert.preset", "ultrafast")], "yuv422p10le"),
    case(&[("convert.codec", "hevc"), ("convert.preset", "ultrafast")], "yuv444p"),
    case(&[("convert.codec", "av1"), ("convert.preset", "12")], "yuv420p"),
    case(&[("convert.codec", "av1"), ("convert.preset", "10")], "yuv420p10le"),
    case(&[("convert.codec", "av1"), ("convert.preset", "12")], "yuvj420p"),
    case(&[("convert.codec", "vp9"), ("convert.preset", "8")], "yuv420p"),
    case(&[("convert.codec", "vp9"), ("convert.preset", "8")], "yuvj420p"),
    case(&[("convert.codec", "vp9"), ("convert.preset", "8")], "yuv422p10le"),
    case(&[("convert.codec", "vp9"), ("convert.preset", "8")], "yuv444p"),
    case(&[("convert.codec", "ffv1")], "yuv420p10le"),
    case(&[("convert.codec", "ffv1")], "gbrp"),
    case(&[("convert.codec", "prores"), ("convert.preset", "proxy")], "yuv420p"),
    case(&[("convert.codec", "prores"), ("convert.preset", "hq")], "yuv422p10le"),
    case(&[("convert.codec", "prores"), ("convert.preset", "4444")], "yuv444p10le"),
    case(&[("convert.codec", "mjpeg"), ("convert.crf", "4")], "yuvj420p"),
    case(&[("convert.codec", "mjpeg")], "yuv422p"),
    case(&[("convert.codec", "mjpeg")], "yuv444p"),
];

impl Case {
    fn name(&self) -> String {
        let set: Vec<&str> = self.set.iter().map(|(_, value)| *value).collect();
        format!("{} of {}", set.join(" "), self.pixels)
    }

    /// Its encoder, as the door makes it.
    fn encode(&self) -> Encode {
        let set = self.set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let text = SpecText { tasks: Vec::new(), set: set.collect() };
        resolve(&text, Some("mkv")).expect("a right spec").encode
    }

    /// A lossless clip with its pixels.
    fn clip(&self, folder: &Path, frames: u32) -> std::path::PathBuf {
        // Natural enough that encoders have choices to make.
        let filters = format!("noise=alls=12:allf=t,format={}", self.pixels);
        let clip = Clip::new(&format!("{}.mkv", self.pixels)).size(208, 96).frames(frames);
        clip.video("ffv1").filters(&filters).make(folder)
    }
}

/// ffmpeg's arguments for an encoder of the table: `more` goes to the encoder's own parameters.
fn arguments(encode: &Encode, more: &str) -> Vec<OsString> {
    let row = encode.row(1, (24, 1));
    let mut all: Vec<String> = vec!["-c:v".to_owned(), row.encoder.to_owned()];
    all.extend(["-g".to_owned(), row.keyframe_interval.to_string()]);
    all.extend(["-threads:v".to_owned(), "1".to_owned()]);
    let mut flags = "+bitexact+global_header".to_owned();
    for (key, value) in row.options {
        match key {
            "flags" => flags += &value,
            _ if key.ends_with("-params") && !more.is_empty() => {
                all.extend([format!("-{key}"), format!("{value}:{more}")]);
            }
            _ => all.extend([format!("-{key}:v"), value]),
        }
    }
    all.extend(["-flags:v".to_owned(), flags]);
    all.into_iter().map(Into::into).collect()
}
