//! The containers that DVP writes, and what each of them holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The container to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// MPEG-4 part 14.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
}

/// Every container.
pub const CONTAINERS: &[Container] = &[Container::Mp4, Container::Mov, Container::Mkv];

/// Their names, as `convert.container` takes them.
pub const NAMES: &[&str] = &["mp4", "mov", "mkv"];

impl Container {
    /// File extension, also the name users write.
    pub fn name(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Mkv => "mkv",
        }
    }

    /// By its name or extension, in any case.
    pub fn by_name(name: &str) -> Option<Container> {
        let name = name.to_lowercase();
        CONTAINERS.iter().copied().find(|container| container.name() == name)
    }

    /// libavformat's name of the muxer.
    pub fn muxer(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Mkv => "matroska",
        }
    }

    /// Whether it is made of boxes: times in ticks of a scale that fits the film, decoding times, and edit
    /// lists that say what is not heard.
    pub fn is_mp4(self) -> bool {
        matches!(self, Container::Mp4 | Container::Mov)
    }

    /// Whether it is Matroska: times in milliseconds, no decoding times, none before 0.
    pub fn is_matroska(self) -> bool {
        matches!(self, Container::Mkv)
    }

    /// Whether it holds packets of an audio codec (libavcodec's name) as they are.
    pub fn holds_audio(self, codec: &str) -> bool {
        match self {
            Container::Mp4 => {
                matches!(codec, "aac" | "mp3" | "ac3" | "eac3" | "alac" | "flac" | "opus")
            }
            Container::Mov => matches!(
                codec,
                "aac"
                    | "mp3"
                    | "ac3"
                    | "eac3"
                    | "alac"
                    | "pcm_s16le"
                    | "pcm_s16be"
                    | "pcm_s24le"
                    | "pcm_s24be"
                    | "pcm_s32le"
                    | "pcm_s32be"
                    | "pcm_f32le"
                    | "pcm_f64le"
            ),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_has_its_name() {
        assert_eq!(CONTAINERS.len(), NAMES.len());
        for (container, name) in CONTAINERS.iter().zip(NAMES) {
            assert_eq!(container.name(), *name);
            assert_eq!(Container::by_name(&name.to_uppercase()), Some(*container));
            // One kind of time-keeping each.
            assert!(container.is_mp4() != container.is_matroska());
        }
        assert_eq!(Container::by_name("avi"), None);
    }

    #[test]
    fn sound_that_a_container_has_no_place_for() {
        let holds = |container: Container, codec: &str| container.holds_audio(codec);
        assert!(holds(Container::Mkv, "vorbis") && !holds(Container::Mp4, "vorbis"));
        assert!(holds(Container::Mov, "pcm_s24le") && !holds(Container::Mp4, "pcm_s24le"));
    }
}
