//! Typed identities. Each prints and parses as it is stored and sent; none can be taken for another.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A job: one input, one spec, one output.
    JobId
);
uuid_id!(
    /// Jobs that were submitted together.
    BatchId
);

impl JobId {
    /// The first eight hex digits, for narrow columns. Commands accept any unique prefix.
    pub fn short(&self) -> String {
        self.0.simple().to_string()[..8].to_owned()
    }
}

/// One launch of a job: rises by one with each, and guards every write that the launch causes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The lease of a job's planning has this epoch; its launches begin at 1.
    pub const PLANNING: Self = Self(0);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Marks every process and folder of one launch: `<job>.<epoch>`, the value of `DVP_RUN`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RunTag {
    /// The job.
    pub job: JobId,
    /// Its launch.
    pub epoch: Epoch,
}

impl fmt::Display for RunTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.epoch)
    }
}

impl FromStr for RunTag {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (job, epoch) = text.split_once('.').ok_or("a run tag is <job>.<epoch>")?;
        Ok(Self {
            job: job.parse().map_err(|error: uuid::Error| error.to_string())?,
            epoch: Epoch(epoch.parse().map_err(|_| format!("'{epoch}' is no epoch"))?),
        })
    }
}

/// The position of a chunk in its plan, from 0 in presentation order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ChunkIndex(pub u32);

impl fmt::Display for ChunkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a rank can be given: one chunk of pictures, or all the sound.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// One chunk of the pictures.
    Chunk(ChunkIndex),
    /// All audio streams, whole and once.
    Sound,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Chunk(index) => write!(f, "chunk {index}"),
            Item::Sound => f.write_str("the sound"),
        }
    }
}

/// A node, as the operator calls it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct NodeName(pub String);

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A rank of one launch, from 0.
pub type Rank = u32;
