//! What a user asks for: a chain of tasks with their parameters. Checked whole at the door: every error
//! at once.

pub mod allow;
pub mod codec;
pub mod container;
pub mod encoder;
pub mod filter;
pub mod naming;
pub mod preset;
pub mod resolve;
pub mod task;
pub mod value;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use container::Container;
pub use resolve::{check_param, resolve, spec_text};
pub use task::Task;

/// What the user typed, unchecked. JSON and the command line share it:
/// `{"tasks": ["cut", "resize"], "set": {"cut.start": "1.5", "resize.height": "360"}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpecText {
    /// Task names in the order of the chain; empty means `convert`.
    pub tasks: Vec<String>,
    /// `task.key` to value, as text.
    pub set: BTreeMap<String, String>,
}

/// A checked spec, every default filled in. The same for all of its users, whatever they typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spec {
    /// The chain of picture tasks in order; may be empty (a plain conversion).
    pub steps: Vec<Step>,
    /// The container to write; chosen by the output's extension unless set.
    pub container: Container,
    /// Encoder and its settings.
    pub encode: codec::Encode,
    /// What to do with the sound.
    pub audio: AudioChoice,
    /// How to plan.
    pub plan: PlanOptions,
    /// Damage in the file is no reason to stop: what the decoder makes of it is taken.
    #[serde(default)]
    pub tolerant: bool,
}

/// One picture task, in chain order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Step {
    /// Keep frames with `start <= pts < end`, microseconds from the film's origin.
    Cut {
        /// First moment kept.
        start_us: i64,
        /// First moment no longer kept; none means to the end.
        end_us: Option<i64>,
    },
    /// Scale; a missing side follows from the aspect and is made even.
    Resize {
        /// Pixels across.
        width: Option<u32>,
        /// Pixels down.
        height: Option<u32>,
    },
    /// A checked filter graph, in libavfilter's syntax.
    Filter {
        /// Normalised graph.
        graph: String,
    },
}

/// What to do with the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudioChoice {
    /// Copy where the container holds it and nothing is cut, else AAC.
    Auto,
    /// Copy packets as they are.
    Copy,
    /// Encode to AAC.
    Aac,
    /// Encode to FLAC.
    Flac,
    /// Leave the sound out.
    None,
}

/// `plan.*` keys: how the work is cut. Go with any task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanOptions {
    /// Frames a chunk; none means the default for this film.
    pub chunk_frames: Option<u32>,
    /// Encoder threads a chunk; none means 1.
    pub threads_per_chunk: Option<u32>,
}
