//! The worker's formats. `dvp-worker plan` and `assemble` read one request on stdin and write one JSON
//! object a line on stdout; `dvp-worker work` speaks lines both ways on rank 0's stdin and stdout.
//! Nothing that a user named travels in an argv.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Reason;
use crate::id::{Item, Rank, RunTag};
use crate::path::FilePath;
use crate::plan::Plan;
use crate::s3::S3Name;
use crate::spec::Spec;

/// Version of everything in this file. Another one is refused by name.
pub const PROTOCOL: u32 = 1;

/// The engine's silence after which rank 0 ends, and the pace of beats, in milliseconds.
pub const SILENCE_MS: u64 = 20_000;
/// Beats go this often, both ways, in milliseconds.
pub const BEAT_MS: u64 = 5_000;

/// What worked here: `dvp-worker versions` prints it, `hello` carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// [`PROTOCOL`] of the binary.
    pub protocol: u32,
    /// The binary: crate version and a hash of the executable.
    pub build: String,
    /// Hash over build and all libraries that decide bits. Another one restarts a job from its plan.
    pub fingerprint: String,
    /// Library name to version, for a person.
    pub libraries: std::collections::BTreeMap<String, String>,
}

/// Request of `dvp-worker plan`, on stdin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanRequest {
    /// The file.
    pub input: FilePath,
    /// The checked spec.
    pub spec: Spec,
}

/// Where an object lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locator {
    /// A file on this machine, or on a mount that all nodes share.
    File(FilePath),
    /// An object in S3: workers reach it by URLs that they ask for.
    S3(S3Name),
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Locator::File(path) => path.fmt(f),
            Locator::S3(name) => name.fmt(f),
        }
    }
}

/// Lines of `plan` and `assemble` on stdout. The last line is `planned`, `assembled` or `failed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolLine {
    /// How far it is, in units of its own (bytes read, packets written).
    Progress {
        /// Done so far.
        done: u64,
        /// All there is; 0 when unknown.
        total: u64,
    },
    /// `plan` worked.
    Planned {
        /// The plan.
        plan: Box<Plan>,
    },
    /// `assemble` worked: the file is whole, verified and flushed under its temporary name.
    Assembled {
        /// What was written.
        output: Assembled,
    },
    /// It didn't.
    Failed {
        /// Why.
        reason: Reason,
        /// The items whose objects are missing or damaged, if that is why: compute them again.
        #[serde(default)]
        damaged: Vec<Item>,
    },
}

/// The assembled file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembled {
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub bytes: u64,
    /// Pictures.
    pub frames: u64,
}

/// Request of `dvp-worker assemble`, on stdin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AssembleRequest {
    /// The plan.
    pub plan: Plan,
    /// Accepted objects, with the hashes that they must have.
    pub objects: Vec<Accepted>,
    /// Where to write: a temporary name in the output's folder.
    pub output: FilePath,
}

/// An accepted item and its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// What it is.
    pub item: Item,
    /// Where it lies.
    pub object: Locator,
    /// SHA-256 that it must have.
    pub sha256: String,
    /// Its report, for the seam witness.
    pub report: Report,
}

/// Request of `dvp-worker chunk`, on stdin: repeats one item here and prints its [`Report`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// The plan.
    pub plan: Plan,
    /// Which item.
    pub item: Item,
    /// Where to write its object; none: nowhere.
    pub put: Option<FilePath>,
}

/// What a rank found out about an item that it finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Pictures (or audio packets, for the sound).
    pub frames: u64,
    /// First and last presentation time, source ticks.
    pub span: (i64, i64),
    /// The seam witness: neighbours must agree.
    pub witness: Witness,
    /// SHA-256 of the object, lower-case hex.
    pub sha256: String,
    /// Bytes of the object.
    pub size: u64,
    /// Milliseconds of wall time.
    pub wall_ms: u64,
    /// What should be said of it: damage that was tolerated, pictures that could not be decoded.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// Timestamp and hash of decoded source frames around and at the ends of a chunk's window. The frame
/// after chunk i must be the first of chunk i + 1; the frame before chunk i + 1 the last of chunk i.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Last frame before the window; none at the film's start.
    pub before: Option<(i64, String)>,
    /// First frame of the window.
    pub first: Option<(i64, String)>,
    /// Last frame of the window.
    pub last: Option<(i64, String)>,
    /// First frame after the window; none at the film's end.
    pub after: Option<(i64, String)>,
}

/// A rank, as `hello` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankInfo {
    /// Its number.
    pub rank: Rank,
    /// The machine's host name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// Lines from the engine to rank 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// The first line: what all this is about.
    Job {
        /// Which launch.
        run: RunTag,
        /// The plan; ranks refuse one of another fingerprint.
        plan: Box<Plan>,
    },
    /// Answers a `want`: do this.
    Do {
        /// Who.
        rank: Rank,
        /// What.
        item: Item,
        /// Which try of that item this is, from 1.
        attempt: u32,
        /// Where the object goes.
        put: Locator,
    },
    /// Answers a `done`: the item is accepted, forget it.
    Ok {
        /// Who.
        rank: Rank,
        /// What.
        item: Item,
    },
    /// The engine lives.
    Beat,
    /// Hand out nothing more: ranks finish what they have, then all end well.
    Drain,
    /// Stop at once.
    Cancel,
}

/// Lines from rank 0 to the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    /// The first line, after `job` was read and every rank spoke.
    Hello {
        /// Rank 0's versions.
        versions: Versions,
        /// All ranks.
        ranks: Vec<RankInfo>,
    },
    /// A rank asks for an item. Each rank keeps one in hand beyond the one it works on.
    Want {
        /// Who.
        rank: Rank,
    },
    /// How far a rank is with an item. May be dropped when the engine reads slowly.
    Progress {
        /// Who.
        rank: Rank,
        /// What.
        item: Item,
        /// Pictures encoded so far (for the sound: thousandths).
        frames: u64,
    },
    /// An item is finished, verified and stored at the place that `do` named.
    Done {
        /// Who.
        rank: Rank,
        /// What.
        item: Item,
        /// The attempt that `do` named.
        attempt: u32,
        /// What it found.
        report: Report,
    },
    /// An item can't be done.
    Failed {
        /// Who.
        rank: Rank,
        /// What.
        item: Item,
        /// The attempt that `do` named.
        attempt: u32,
        /// Why; its kind says whether another try may help.
        reason: Reason,
    },
    /// This launch can't work: a line that makes no sense, or a rank of another environment (named).
    /// The last line; the ranks end with [`exit::FAILED`], or [`exit::PROTOCOL`] for a bad line.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// The ranks live.
    Beat,
    /// All ranks end well, nothing is in hand. The last line.
    Bye,
}

/// Exit codes of `dvp-worker`, all commands.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// The request on stdin could not be read, or speaks another protocol.
    pub const PROTOCOL: u8 = 2;
    /// A typed failure was printed as the last line.
    pub const FAILED: u8 = 4;
    /// The engine's link ended or fell silent.
    pub const LINK: u8 = 5;
    /// Cancelled on request.
    pub const CANCELLED: u8 = 7;
    /// A panic.
    pub const BUG: u8 = 70;
}
