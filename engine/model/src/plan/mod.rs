//! The plan: what will be done with a film, frozen before any work. A pure function of what was found
//! in the file, the spec and the environment; never of the number of ranks.

mod cost;
pub mod cut;
pub mod line;
pub mod make;
pub mod sizes;
mod sound;
pub mod stamp;
pub mod tags;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{ChunkIndex, Item};
use crate::media::{Color, Identity, Part, Run, Splice};
use crate::spec::Spec;
use crate::time::Ratio;
use stamp::Stamps;

/// A frozen plan. Its JSON form is what is hashed, stored and sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this structure.
    pub version: u32,
    /// Which file.
    pub input: Identity,
    /// What was asked.
    pub spec: Spec,
    /// The environment that made the plan and must do the work (see `wire::worker::Hello`).
    pub fingerprint: String,
    /// Pictures.
    pub video: VideoPlan,
    /// Sound; one entry an output audio stream. Empty: no sound is written.
    pub audio: Vec<AudioPlan>,
    /// Where the times in the file jump, in microseconds.
    #[serde(default)]
    pub splices: Vec<Splice>,
    /// Tags of the output: name and value.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// Chunks in presentation order; together they hold every output frame once.
    pub chunks: Vec<Chunk>,
    /// What is carried into the output, for a person.
    pub carried: Vec<String>,
    /// What is not carried, and what is done differently than one may expect; for a person.
    pub notes: Vec<String>,
    /// Memory that a rank needs at most, in bytes (an estimate by the pipeline's bounds).
    pub memory_per_rank: u64,
    /// Work for one core, in milliseconds (a rough estimate, for ordering and ETA).
    pub cost_ms: u64,
}

/// How the pictures are decoded, filtered and stamped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoPlan {
    /// Stream index in the file.
    pub stream: u32,
    /// Decoder name.
    pub decoder: String,
    /// Pixels across, of decoded pictures.
    pub source_width: u32,
    /// Pixels down, of decoded pictures.
    pub source_height: u32,
    /// Pixel format of decoded pictures.
    pub source_format: String,
    /// Pixels across, of the output.
    pub width: u32,
    /// Pixels down, of the output.
    pub height: u32,
    /// Pixel format of the output.
    pub format: String,
    /// Sample aspect ratio of the output; 0/1 when unknown.
    pub sample_aspect: Ratio,
    /// Sample aspect ratio of decoded pictures; 0/1 when unknown.
    pub source_aspect: Ratio,
    /// Whole filter graph between decoder and encoder, in libavfilter's syntax; may be empty.
    pub graph: String,
    /// Source time base: seconds a tick of `stamps`.
    pub time_base: Ratio,
    /// Frame rate to declare; 0/1 when unknown.
    pub frame_rate: Ratio,
    /// The film's origin in source ticks: subtracted from timestamps before the graph sees them.
    pub source_origin: i64,
    /// What is subtracted from source timestamps (ticks of `time_base`) to reach the output's time:
    /// `source_origin` and the start of a cut. The graph itself takes off the difference.
    pub origin: i64,
    /// Source presentation times of the frames that are kept, in order, in ticks of `time_base`.
    pub stamps: Stamps,
    /// How long the last frame is shown, ticks of `time_base`.
    pub last_duration: i64,
    /// Frames just before the first one kept, and just after the last, that temporal filters may see.
    pub around: (Vec<i64>, Vec<i64>),
    /// The film runs at `frame_rate` throughout, save for the rounding of its timestamps.
    pub constant_rate: bool,
    /// Pictures that the decoder may hold back to put them in order (`has_b_frames`).
    pub source_reorder: u32,
    /// Colours of the output.
    pub color: Color,
    /// Reorder depth of the output's DTS: `dts[i] = sorted_pts[i - depth]`.
    pub reorder: u32,
    /// Frames that filters need before a window (temporal margin), and after it.
    pub margin: (u32, u32),
    /// Encoder threads a chunk.
    pub threads: u32,
    /// Pictures are found by number, not by time: so many come before the first one of `around` or
    /// `stamps`.
    #[serde(default)]
    pub counted: Option<u64>,
    /// See [`crate::media::Video::runs`].
    #[serde(default)]
    pub runs: Vec<Run>,
    /// Pictures before the first decodable one that will be missing, if the file starts that way.
    pub undecodable: u32,
}

/// What is done with one audio stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioPlan {
    /// Stream index in the file.
    pub stream: u32,
    /// `copy`, or the encoder: `aac`, `flac`.
    pub codec: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channel layout name.
    pub layout: String,
    /// Source time that is 0 in the output, in microseconds.
    pub origin_us: i64,
    /// Window in microseconds of source time, when the film is cut: (start, end).
    pub window: Option<(i64, Option<i64>)>,
    /// See [`crate::media::Audio::parts`].
    #[serde(default)]
    pub parts: Vec<Part>,
    /// ISO 639-2 code, empty when unknown.
    pub language: String,
}

/// One chunk: frames `first .. first + frames` of the output, in presentation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Output index of the first frame.
    pub first: u64,
    /// Number of frames; at least 1.
    pub frames: u32,
}

impl Plan {
    /// Hash of the plan's JSON form: SHA-256, lower-case hex.
    pub fn hash(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Frames of the output.
    pub fn frames(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.frames)).sum()
    }

    /// Everything that ranks must do: the sound first (it is the longest single item), then the chunks.
    pub fn items(&self) -> impl Iterator<Item = Item> + '_ {
        let sound = (!self.audio.is_empty()).then_some(Item::Sound);
        let chunks = (0..self.chunks.len() as u32).map(|index| Item::Chunk(ChunkIndex(index)));
        sound.into_iter().chain(chunks)
    }

    /// The figures that a person and the scheduler need.
    pub fn summary(&self) -> Summary {
        Summary {
            hash: self.hash(),
            frames: self.frames(),
            duration_us: self.duration_us(),
            width: self.video.width,
            height: self.video.height,
            codec: self.spec.encode.codec.name().to_owned(),
            container: self.spec.container.name().to_owned(),
            chunks: self.chunks.iter().map(|chunk| chunk.frames).collect(),
            sound: !self.audio.is_empty(),
            threads_per_chunk: self.video.threads,
            memory_per_rank: self.memory_per_rank,
            cost_ms: self.cost_ms,
            carried: self.carried.clone(),
            notes: self.notes.clone(),
        }
    }

    /// Length of the output's pictures, microseconds.
    pub fn duration_us(&self) -> i64 {
        let (first, last) = (self.video.stamps.first(), self.video.stamps.last());
        let ticks = match (first, last) {
            (Some(first), Some(last)) => last - first + self.video.last_duration,
            _ => 0,
        };
        self.video.time_base.rescale(ticks, Ratio::new(1, 1_000_000))
    }
}

/// A plan in figures: what the dry run prints, what the console shows, what the scheduler weighs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The plan's hash.
    pub hash: String,
    /// Frames of the output.
    pub frames: u64,
    /// Length of the output, microseconds.
    pub duration_us: i64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Codec name.
    pub codec: String,
    /// Container name.
    pub container: String,
    /// Frames of each chunk, in order.
    pub chunks: Vec<u32>,
    /// Whether there is sound to do.
    pub sound: bool,
    /// Encoder threads a chunk.
    pub threads_per_chunk: u32,
    /// Bytes a rank needs.
    pub memory_per_rank: u64,
    /// Work for one core, milliseconds, roughly.
    pub cost_ms: u64,
    /// What is carried.
    pub carried: Vec<String>,
    /// What is not, or is done differently.
    pub notes: Vec<String>,
}
