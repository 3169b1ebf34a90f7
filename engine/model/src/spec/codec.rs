//! The codecs that DVP writes, a row each: what each can hold and which settings it has. How its encoder is
//! set up is in `encoder`. A codec without a row (and its tests) is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::Container;
use crate::spec::value::format_milli;

/// A video codec that DVP writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// H.264 by x264.
    H264,
    /// HEVC (H.265) by x265.
    Hevc,
    /// AV1 by SVT-AV1.
    Av1,
    /// VP9 by libvpx.
    Vp9,
    /// FFV1 version 3, lossless.
    Ffv1,
    /// Apple ProRes by libavcodec's encoder.
    Prores,
    /// Motion JPEG by libavcodec's encoder.
    Mjpeg,
}

/// What is known of a codec.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Which codec.
    pub codec: Codec,
    /// As users write it, and libavcodec's name of the codec.
    pub name: &'static str,
    /// libavcodec's name of the encoder.
    pub encoder: &'static str,
    /// Decoded frames equal, bit for bit, those that were encoded.
    pub lossless: bool,
    /// Every picture decodes alone, so that a seam costs nothing.
    pub intra_only: bool,
    /// Both sides are even where chroma is subsampled.
    pub even: bool,
    /// Most threads that work on one chunk.
    pub threads: u32,
    /// Closed captions beside a picture go into the stream.
    pub captions: bool,
    /// Containers that hold it, the usual one first.
    pub containers: &'static [Container],
    /// Pixel formats that go in, by libavutil's names; empty: all that the encoder takes.
    pub formats: &'static [&'static str],
    /// Presets, the default one, and what choosing one means; empty: it has none.
    pub presets: &'static [&'static str],
    /// The preset when none is chosen.
    pub preset: &'static str,
    /// Its measure of quality, if it has one.
    pub quality: Option<Quality>,
}

/// A codec's measure of quality (crf): lower is better and larger.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Range, ends included, in thousandths.
    pub range: (u32, u32),
    /// When nobody says.
    pub default: u32,
    /// When the task `compress` doesn't say.
    pub compress: u32,
    /// Only whole numbers.
    pub whole: bool,
}

/// Presets of x264 and x265, fastest first.
const X26: &[&str] = &[
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
];

/// 8 and 10 bits, full and limited range, 4:2:0 to 4:4:4, and gray.
const YUV: &[&str] = &[
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuvj422p",
    "yuv444p",
    "yuvj444p",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "gray",
    "gray10le",
];

/// Every codec.
pub const CODECS: &[Facts] = &[
    Facts {
        codec: Codec::H264,
        name: "h264",
        encoder: "libx264",
        lossless: false,
        intra_only: false,
        even: true,
        threads: 16,
        captions: true,
        containers: &[Container::Mp4, Container::Mov, Container::Mkv],
        formats: YUV,
        presets: X26,
        preset: "medium",
        quality: Some(Quality {
            range: (0, 51_000),
            default: 23_000,
            compress: 28_000,
            whole: false,
        }),
    },
    Facts {
        codec: Codec::Hevc,
        name: "hevc",
        encoder: "libx265",
        lossless: false,
        intra_only: false,
        even: true,
        threads: 16,
        captions: false,
        containers: &[Container::Mp4, Container::Mov, Container::Mkv],
        formats: YUV,
        presets: X26,
        preset: "medium",
        quality: Some(Quality {
            range: (0, 51_000),
            default: 28_000,
            compress: 32_000,
            whole: false,
        }),
    },
    Facts {
        codec: Codec::Av1,
        name: "av1",
        encoder: "libsvtav1",
        lossless: false,
        intra_only: false,
        even: true,
        threads: 16,
        captions: false,
        containers: &[Container::Mkv, Container::Mp4],
        formats: &["yuv420p", "yuvj420p", "yuv420p10le"],
        presets: &["12", "11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0"],
        preset: "8",
        quality: Some(Quality {
            range: (1_000, 63_000),
            default: 35_000,
            compress: 45_000,
            whole: true,
        }),
    },
    Facts {
        codec: Codec::Vp9,
        name: "vp9",
        encoder: "libvpx-vp9",
        lossless: false,
        intra_only: false,
        even: false,
        threads: 16,
        captions: false,
        containers: &[Container::Mkv, Container::Mp4],
        formats: &[
            "yuv420p",
            "yuvj420p",
            "yuv422p",
            "yuvj422p",
            "yuv444p",
            "yuvj444p",
            "yuv420p10le",
            "yuv422p10le",
            "yuv444p10le",
        ],
        presets: &["8", "7", "6", "5", "4", "3", "2", "1", "0"],
        preset: "4",
        quality: Some(Quality {
            range: (0, 63_000),
            default: 31_000,
            compress: 40_000,
            whole: true,
        }),
    },
    Facts {
        codec: Codec::Ffv1,
        name: "ffv1",
        encoder: "ffv1",
        lossless: true,
        intra_only: true,
        even: false,
        threads: 1,
        captions: false,
        containers: &[Container::Mkv],
        formats: &[],
        presets: &[],
        preset: "",
        quality: None,
    },
    Facts {
        codec: Codec::Prores,
        name: "prores",
        encoder: "prores_ks",
        lossless: false,
        intra_only: true,
        even: false,
        threads: 1,
        captions: false,
        containers: &[Container::Mov, Container::Mkv],
        // By preset: see `Encode::formats`.
        formats: &["yuv422p10le", "yuv444p10le"],
        presets: &["proxy", "lt", "standard", "hq", "4444", "4444xq"],
        preset: "hq",
        quality: None,
    },
    Facts {
        codec: Codec::Mjpeg,
        name: "mjpeg",
        encoder: "mjpeg",
        lossless: false,
        intra_only: true,
        even: false,
        threads: 1,
        captions: false,
        containers: &[Container::Mkv, Container::Mov, Container::Mp4],
        formats: &["yuvj420p", "yuvj422p", "yuvj444p"],
        presets: &[],
        preset: "",
        quality: Some(Quality {
            range: (2_000, 31_000),
            default: 3_000,
            compress: 8_000,
            whole: false,
        }),
    },
];

/// What `convert.pixels` takes, and the 8-bit format of full range that it means too.
const PIXELS: &[(&str, &str, &str)] = &[
    ("yuv420p", "yuv420p", "yuvj420p"),
    ("yuv422p", "yuv422p", "yuvj422p"),
    ("yuv444p", "yuv444p", "yuvj444p"),
    ("yuv420p10", "yuv420p10le", ""),
    ("yuv422p10", "yuv422p10le", ""),
    ("yuv444p10", "yuv444p10le", ""),
];

/// Encoder settings of a spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Encode {
    /// Which codec.
    pub codec: Codec,
    /// Preset; empty for codecs without.
    pub preset: String,
    /// Constant rate factor times 1000, so that specs compare exactly; 0 for codecs without.
    pub crf_milli: u32,
    /// Chroma and depth, as `convert.pixels` writes them; none: as near to the film's as the codec has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<String>,
}

impl Codec {
    /// Its row.
    pub fn facts(self) -> &'static Facts {
        // A test walks the table: no codec is without a row.
        CODECS.iter().find(|facts| facts.codec == self).unwrap_or(&CODECS[0])
    }

    /// By the name that users write.
    pub fn by_name(name: &str) -> Option<Codec> {
        CODECS.iter().find(|facts| facts.name == name).map(|facts| facts.codec)
    }

    /// As users write it, and libavcodec's name of the codec.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// libavcodec's name of the encoder.
    pub fn encoder(self) -> &'static str {
        self.facts().encoder
    }

    /// Whether decoded frames equal, bit for bit, those that were encoded.
    pub fn is_lossless(self) -> bool {
        self.facts().lossless
    }

    /// Whether every picture of it decodes alone, so that a seam costs nothing.
    pub fn is_intra_only(self) -> bool {
        self.facts().intra_only
    }

    /// Whether a container holds this codec.
    pub fn fits(self, container: Container) -> bool {
        self.facts().containers.contains(&container)
    }

    /// Frames a chunk when nobody says.
    pub fn chunk_frames(self) -> u32 {
        if self.is_intra_only() { 50 } else { 250 }
    }
}

impl Quality {
    /// Whether a value, in thousandths, is one of its own.
    ///
    /// # Errors
    /// The end of a sentence: which are.
    pub fn check(&self, milli: u32) -> Result<(), String> {
        let whole = if self.whole { "whole numbers" } else { "it goes" };
        let inside = (self.range.0..=self.range.1).contains(&milli);
        if inside && (!self.whole || milli.is_multiple_of(1000)) {
            return Ok(());
        }
        Err(format!("{whole} from {}", self.allowed()))
    }

    /// Its range, for a person: `0 to 51`.
    pub fn allowed(&self) -> String {
        let number = |milli: u32| format_milli(milli.into());
        format!("{} to {}", number(self.range.0), number(self.range.1))
    }
}

/// The choices of `convert.codec`.
pub const NAMES: &[&str] = &["h264", "hevc", "av1", "vp9", "ffv1", "prores", "mjpeg"];

/// The choices of `convert.preset`: those of all codecs.
pub const PRESETS: &[&str] = &[
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "proxy",
    "lt",
    "standard",
    "hq",
    "4444",
    "4444xq",
    "12",
    "11",
    "10",
    "9",
    "8",
    "7",
    "6",
    "5",
    "4",
    "3",
    "2",
    "1",
    "0",
];

/// The choices of `convert.pixels`.
pub const PIXEL_CHOICES: &[&str] =
    &["auto", "yuv420p", "yuv422p", "yuv444p", "yuv420p10", "yuv422p10", "yuv444p10"];

impl Encode {
    /// Pixel formats that may go in, by libavutil's names; empty: all that the encoder takes.
    pub fn formats(&self) -> Vec<&'static str> {
        let facts = self.codec.facts();
        let mut formats = match (self.codec, self.preset.as_str()) {
            (Codec::Prores, "4444" | "4444xq") => vec!["yuv444p10le"],
            (Codec::Prores, _) => vec!["yuv422p10le"],
            _ => facts.formats.to_vec(),
        };
        let asked = PIXELS.iter().find(|row| Some(row.0) == self.pixels.as_deref());
        if let Some((_, limited, full)) = asked {
            if facts.formats.is_empty() {
                formats = vec![limited];
            } else {
                formats.retain(|format| format == limited || format == full);
            }
        }
        formats
    }

    /// What the encoder calls a pixel format that goes in: some know a full range only by the colours' word,
    /// not by the format's name.
    pub fn coded_format<'a>(&self, format: &'a str) -> std::borrow::Cow<'a, str> {
        match self.codec {
            Codec::Av1 | Codec::Vp9 => format.replace("yuvj", "yuv").into(),
            _ => format.into(),
        }
    }

    /// Pictures that the encoder may put before one that is shown earlier: the depth of the output's DTS.
    /// x264 and x265 reorder by two (B-pyramid) with every preset but x264's without B-frames.
    pub fn reorder(&self) -> u32 {
        match self.codec {
            Codec::H264 if self.preset == "ultrafast" => 0,
            Codec::H264 | Codec::Hevc => 2,
            // A picture that is decoded early lies in one packet with the next one that is shown.
            Codec::Av1 | Codec::Vp9 => 0,
            Codec::Ffv1 | Codec::Prores | Codec::Mjpeg => 0,
        }
    }
}

/// The codecs as README shows them.
pub fn as_markdown() -> String {
    let mut text = String::from(
        "| codec | encoder | containers | presets | crf | `compress.crf` | pixels |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let number = |milli: u32| format_milli(milli.into());
    for facts in CODECS {
        let containers: Vec<&str> = facts.containers.iter().map(|known| known.name()).collect();
        let presets = match facts.presets {
            [] => String::new(),
            [first, .., last] => format!("{first} to {last} ({})", facts.preset),
            [only] => (*only).to_owned(),
        };
        let quality = facts.quality.map_or((String::new(), String::new()), |quality| {
            let default = number(quality.default);
            (format!("{} ({default})", quality.allowed()), number(quality.compress))
        });
        let pixels = match facts.formats {
            [] => "all that it has".to_owned(),
            formats => formats.join(" "),
        };
        text += &format!(
            "| {} | {} | {} | {presets} | {} | {} | {pixels} |\n",
            facts.name,
            facts.encoder,
            containers.join(", "),
            quality.0,
            quality.1,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole() {
        for facts in CODECS {
            assert_eq!(Codec::by_name(facts.name), Some(facts.codec));
            assert_eq!(facts.codec.facts().name, facts.name);
            assert!(!facts.containers.is_empty());
            assert_eq!(facts.presets.is_empty(), facts.preset.is_empty(), "{}", facts.name);
            assert!(facts.presets.is_empty() || facts.presets.contains(&facts.preset));
            if let Some(quality) = facts.quality {
                assert_eq!(quality.check(quality.default), Ok(()), "{}", facts.name);
                assert_eq!(quality.check(quality.compress), Ok(()), "{}", facts.name);
                assert!(quality.check(quality.range.1 + 1).is_err());
            }
        }
        assert!(NAMES.iter().eq(CODECS.iter().map(|facts| &facts.name)));
        for preset in CODECS.iter().flat_map(|facts| facts.presets) {
            assert!(PRESETS.contains(preset), "{preset}");
        }
        for choice in PIXEL_CHOICES {
            assert_eq!(*choice != "auto", PIXELS.iter().any(|row| row.0 == *choice), "{choice}");
        }
    }

    #[test]
    fn ffv1_has_no_place_in_mp4() {
        assert!(!Codec::Ffv1.fits(Container::Mp4) && Codec::Ffv1.fits(Container::Mkv));
    }

    #[test]
    fn pixels_are_chosen_by_chroma_and_depth_not_by_range() {
        let encode = |codec: Codec, preset: &str, pixels: Option<&str>| Encode {
            codec,
            preset: preset.to_owned(),
            crf_milli: 0,
            pixels: pixels.map(str::to_owned),
        };
        assert_eq!(encode(Codec::H264, "fast", Some("yuv422p")).formats(), ["yuv422p", "yuvj422p"]);
        assert_eq!(encode(Codec::Mjpeg, "", Some("yuv444p")).formats(), ["yuvj444p"]);
        assert_eq!(encode(Codec::Ffv1, "", Some("yuv420p10")).formats(), ["yuv420p10le"]);
        assert_eq!(encode(Codec::Prores, "4444", None).formats(), ["yuv444p10le"]);
        assert!(encode(Codec::Prores, "hq", Some("yuv444p10")).formats().is_empty());
    }
}
