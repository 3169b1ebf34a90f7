//! The encoder table: the only place that sets codec options. An encoder without a row (and its test)
//! is refused. Each row makes an encoder whose bits depend on nothing but frames and plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::Container;

/// A video codec that DVP writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// H.264 by x264.
    H264,
    /// FFV1 version 3, lossless.
    Ffv1,
}

/// Encoder settings of a spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Encode {
    /// Which codec.
    pub codec: Codec,
    /// x264 preset name; ignored by FFV1.
    pub preset: String,
    /// Constant rate factor times 1000, so that specs compare exactly; ignored by FFV1.
    pub crf_milli: u32,
}

/// How libavcodec is to be set up for one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// libavcodec's name of the encoder.
    pub encoder: &'static str,
    /// Private options of the encoder, by name.
    pub options: Vec<(&'static str, String)>,
    /// Most frames from one keyframe to the next.
    pub keyframe_interval: u32,
}

impl Codec {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::H264 => "h264",
            Codec::Ffv1 => "ffv1",
        }
    }

    /// libavcodec's name of the encoder.
    pub fn encoder(self) -> &'static str {
        match self {
            Codec::H264 => "libx264",
            Codec::Ffv1 => "ffv1",
        }
    }

    /// Whether decoded frames equal, bit for bit, those that were encoded.
    pub fn is_lossless(self) -> bool {
        matches!(self, Codec::Ffv1)
    }

    /// Whether every picture of it decodes alone, so that a seam costs nothing.
    pub fn is_intra_only(self) -> bool {
        matches!(self, Codec::Ffv1)
    }

    /// Whether a container holds this codec.
    pub fn fits(self, container: Container) -> bool {
        match self {
            Codec::H264 => true,
            Codec::Ffv1 => matches!(container, Container::Mkv),
        }
    }

    /// Frames a chunk when nobody says.
    pub fn chunk_frames(self) -> u32 {
        if self.is_intra_only() { 50 } else { 250 }
    }
}

impl Encode {
    /// Pictures that the encoder may put before one that is shown earlier: the depth of the output's DTS.
    /// x264 reorders by two (B-pyramid) with every preset but the one without B-frames.
    pub fn reorder(&self) -> u32 {
        match self.codec {
            Codec::H264 if self.preset == "ultrafast" => 0,
            Codec::H264 => 2,
            Codec::Ffv1 => 0,
        }
    }

    /// The encoder's set-up with `threads` threads, for a film that runs at `rate` (frames a second,
    /// numerator and denominator; x264 chooses the level by it).
    pub fn row(&self, threads: u32, rate: (i64, i64)) -> Row {
        match self.codec {
            Codec::H264 => Row {
                encoder: Codec::H264.encoder(),
                options: vec![
                    ("preset", self.preset.clone()),
                    ("crf", format!("{}.{:03}", self.crf_milli / 1000, self.crf_milli % 1000)),
                    // Keyframes that the planner forces are IDR pictures.
                    ("forced-idr", "1".to_owned()),
                    (
                        "x264-params",
                        [
                            // Other bits at other SIMD levels otherwise.
                            "cpu-independent=1".to_owned(),
                            // Chunks are joined: closed GOPs, headers that do not depend on pictures.
                            "open-gop=0".to_owned(),
                            "stitchable=1".to_owned(),
                            "sliced-threads=0".to_owned(),
                            format!("threads={threads}"),
                            "lookahead-threads=1".to_owned(),
                            format!("fps={}/{}", rate.0, rate.1),
                        ]
                        .join(":"),
                    ),
                ],
                keyframe_interval: crate::plan::cut::KEYFRAME_INTERVAL,
            },
            Codec::Ffv1 => Row {
                encoder: Codec::Ffv1.encoder(),
                options: vec![
                    // No number of slices: the encoder then chooses one by the picture's size alone.
                    ("level", "3".to_owned()),
                    ("slicecrc", "1".to_owned()),
                ],
                keyframe_interval: 1,
            },
        }
    }
}

/// Whether a container holds packets of an audio codec (libavcodec's name) as they are.
pub fn holds_audio(container: Container, codec: &str) -> bool {
    match container {
        Container::Mp4 => {
            matches!(codec, "aac" | "mp3" | "ac3" | "eac3" | "alac" | "flac" | "opus")
        }
        Container::Mkv => matches!(
            codec,
            "aac"
                | "mp3"
                | "mp2"
                | "ac3"
                | "eac3"
                | "dts"
                | "truehd"
                | "mlp"
                | "flac"
                | "alac"
                | "opus"
                | "vorbis"
                | "pcm_s16le"
                | "pcm_s24le"
                | "pcm_s32le"
                | "pcm_u8"
                | "pcm_f32le"
                | "pcm_f64le"
                | "pcm_s16be"
                | "pcm_s24be"
                | "pcm_s32be"
        ),
    }
}

/// Sample rates of the AAC encoder.
pub const AAC_RATES: &[u32] =
    &[96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// Channel layouts of the AAC encoder, by number of channels from 1.
pub const AAC_LAYOUTS: &[&str] =
    &["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x264_bits_do_not_depend_on_the_machine() {
        let encode = Encode { codec: Codec::H264, preset: "medium".into(), crf_milli: 23_500 };
        let row = encode.row(1, (25, 1));
        let option = |name: &str| &row.options.iter().find(|(key, _)| *key == name).unwrap().1;
        assert_eq!(option("crf"), "23.500");
        for part in ["cpu-independent=1", "open-gop=0", "threads=1", "fps=25/1"] {
            assert!(option("x264-params").split(':').any(|set| set == part), "{part}");
        }
        assert_eq!(encode.reorder(), 2);
    }

    #[test]
    fn ffv1_has_no_place_in_mp4() {
        assert!(!Codec::Ffv1.fits(Container::Mp4) && Codec::Ffv1.fits(Container::Mkv));
        assert!(holds_audio(Container::Mkv, "vorbis") && !holds_audio(Container::Mp4, "vorbis"));
    }
}
