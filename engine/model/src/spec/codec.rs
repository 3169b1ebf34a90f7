//! The encoder table: the only place that sets codec options. An encoder without a row (and its test)
//! is refused. Each row makes an encoder whose bits depend on nothing but frames and plan.

use serde::{Deserialize, Serialize};

use crate::spec::Container;

/// A video codec that DVP writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// H.264 by x264.
    H264,
    /// FFV1 version 3, lossless.
    Ffv1,
}

/// Encoder settings of a spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encode {
    /// Which codec.
    pub codec: Codec,
    /// x264 preset name; ignored by FFV1.
    pub preset: String,
    /// Constant rate factor times 1000, so that specs compare exactly; ignored by FFV1.
    pub crf_milli: u32,
}

impl Codec {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::H264 => "h264",
            Codec::Ffv1 => "ffv1",
        }
    }

    /// Whether decoded frames equal, bit for bit, those that were encoded.
    pub fn is_lossless(self) -> bool {
        matches!(self, Codec::Ffv1)
    }

    /// Whether a container holds this codec.
    pub fn fits(self, container: Container) -> bool {
        match self {
            Codec::H264 => true,
            Codec::Ffv1 => matches!(container, Container::Mkv),
        }
    }
}
