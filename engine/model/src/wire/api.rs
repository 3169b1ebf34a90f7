//! The API: one struct a call, with its method, path, request and reply. Route and client are both made
//! from it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Reason;
use crate::id::{JobId, NodeName};
use crate::job::{ChunkInfo, Job, Lane, Submission};
use crate::node::{Climb, Member, Node, Pair};
use crate::path::FilePath;
use crate::plan::Summary;
use crate::time::Millis;
use crate::validate::{Check, Setup};
use crate::wire::feed::Entry;

/// HTTP method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Looks, changes nothing. The request travels in the query string.
    Get,
    /// Changes something. The request travels as JSON.
    Post,
}

/// A call. `{id}` in the path is filled from [`Call::id`].
pub trait Call: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// HTTP method.
    const METHOD: Method;
    /// Path, with `{id}` where the job's id goes.
    const PATH: &'static str;
    /// One line for the docs.
    const ABOUT: &'static str;
    /// What comes back.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// Whether sending it twice does what sending it once does, so that a lost answer may be asked again.
    const REPEATABLE: bool;
    /// The job it is about, if its path has `{id}`.
    fn id(&self) -> Option<JobId> {
        None
    }
    /// How long an answer may take before its engine counts as not answering, milliseconds.
    fn patience_ms(&self) -> u64 {
        15_000
    }
}

/// Body of every answer that is not 2xx, as RFC 9457 has it, and all that is wrong beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub about: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// All that is wrong, as a person reads it.
    pub detail: String,
    /// The same one by one.
    #[serde(flatten)]
    pub errors: Errors,
}

/// All that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Errors {
    /// At least one.
    pub errors: Vec<Reason>,
}

impl From<Reason> for Errors {
    fn from(reason: Reason) -> Self {
        Self { errors: vec![reason] }
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, reason) in self.errors.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

macro_rules! call {
    ($name:ident, $method:ident $repeat:ident, $path:literal, $about:literal, $reply:ty
     $(, id $id:ident)? $(, patience $patience:expr)?) => {
        impl Call for $name {
            const METHOD: Method = Method::$method;
            const REPEATABLE: bool = repeatable!($repeat);
            const PATH: &'static str = $path;
            const ABOUT: &'static str = $about;
            type Reply = $reply;
            $(fn id(&self) -> Option<JobId> {
                Some(self.$id)
            })?
            $(fn patience_ms(&self) -> u64 {
                let patience: fn(&Self) -> u64 = $patience;
                patience(self)
            })?
        }
    };
}

macro_rules! repeatable {
    (often) => {
        true
    };
    (once) => {
        false
    };
}

/// Submits one job. All that is wrong comes back at once, and then nothing was stored. With an id of the
/// caller's it may be repeated: the second call answers with the job of the first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Submit(pub Submission);
call!(Submit, Post often, "/jobs", "Submit a job", Job, patience |_| 60_000);

/// Plans without submitting: the dry run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DryRun(pub Submission);
call!(DryRun, Post often, "/plan", "Plan without submitting", DryRunReply, patience |_| 3_600_000);

/// What a dry run found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DryRunReply {
    /// The plan in figures.
    pub plan: Summary,
    /// Where the output would lie.
    pub output: FilePath,
    /// Ranks that could work at once on the nodes of now.
    pub parallelism: u32,
    /// Rough wall time on them, milliseconds.
    pub wall_ms: u64,
}

/// Submits several jobs: all of them, or none and all that is wrong.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SubmitAll(pub Vec<Submission>);
call!(SubmitAll, Post once, "/batches", "Submit several jobs, all or none", Vec<Job>,
      patience |_| 600_000);

/// The one job whose id begins so.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// Hex digits, with or without dashes.
    pub prefix: String,
}
call!(Find, Get often, "/find", "The job whose id begins with a prefix", Job);

/// Every job, newest first, without chunks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u32>,
}
call!(Jobs, Get often, "/jobs", "List jobs, newest first", Vec<Job>);

/// One job with chunks and lanes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobGet {
    /// Which.
    pub id: JobId,
}
call!(JobGet, Get often, "/jobs/{id}", "One job with its chunks", JobDetail, id id);

/// A job with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobDetail {
    /// The job.
    pub job: Job,
    /// Its chunks in order; empty before the plan.
    pub chunks: Vec<ChunkInfo>,
    /// The sound as an item, when there is sound.
    pub sound: Option<ChunkInfo>,
    /// Ranks of the running launch.
    pub lanes: Vec<Lane>,
    /// Milliseconds to its end, when that can be told.
    pub eta_ms: Option<u64>,
    /// When these figures were taken.
    pub at: Millis,
}

macro_rules! job_command {
    ($(#[$doc:meta])* $name:ident, $repeat:ident, $path:literal, $about:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Which job.
            pub id: JobId,
        }
        call!($name, Post $repeat, $path, $about, Job, id id);
    };
}

job_command!(
    /// Cancels a job. Idempotent on a cancelled one.
    Cancel, often, "/jobs/{id}/cancel", "Cancel a job"
);
job_command!(
    /// Tries a failed or cancelled job again, keeping accepted chunks.
    Retry, once, "/jobs/{id}/retry", "Try a failed or cancelled job again"
);
job_command!(
    /// Holds a job: a running launch is stopped, accepted chunks stay.
    Hold, often, "/jobs/{id}/hold", "Hold a job"
);
job_command!(
    /// Releases a held job.
    Release, once, "/jobs/{id}/release", "Release a held job"
);

/// Begins to upload a film for a job that is yet to be submitted, or finds out how far it came. Its bytes go
/// to `PUT /uploads/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadBegin {
    /// The job's id, chosen by whoever uploads.
    pub id: JobId,
    /// The film's name.
    pub name: String,
}
call!(UploadBegin, Post often, "/uploads/{id}", "Begin to upload a film, or go on", Uploaded, id id);

/// Gives a film its name once all of it is there; then it may be submitted by its path.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadEnd {
    /// The job's id, as it was begun.
    pub id: JobId,
    /// The film's name, as it was begun.
    pub name: String,
    /// All its bytes.
    pub bytes: u64,
}
call!(UploadEnd, Post often, "/uploads/{id}/end", "End an upload", Uploaded, id id, patience |_| 60_000);

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Uploaded {
    /// Bytes that have come.
    pub received: u64,
    /// Where the film lies, once it is whole.
    #[serde(default)]
    pub path: Option<FilePath>,
}

/// Sets a job's priority.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPriority {
    /// Which job.
    pub id: JobId,
    /// Higher goes first.
    pub priority: i32,
}
call!(SetPriority, Post often, "/jobs/{id}/priority", "Set a job's priority", Job, id id);

/// The feed after a cursor, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Only entries after this one.
    #[serde(default)]
    pub after: u64,
    /// Only this job's.
    #[serde(default)]
    pub job: Option<JobId>,
    /// At most so many; none: 1000.
    #[serde(default)]
    pub limit: Option<u32>,
    /// The newest ones rather than the oldest (still oldest first).
    #[serde(default)]
    pub tail: bool,
    /// Waits so long for the first entry, milliseconds (at most 30 000).
    #[serde(default)]
    pub wait_ms: u64,
}
call!(Feed, Get often, "/feed", "What happened, after a cursor", Vec<Entry>,
      patience |feed| feed.wait_ms + 15_000);

/// Every node.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nodes {}
call!(Nodes, Get often, "/nodes", "List nodes", Vec<Node>);

/// What the ladder found the last time, by machine: also while it is climbed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Climbs {}
call!(Climbs, Get often, "/nodes/climbs", "What was found on the way to each node", Vec<Climb>);

/// Whether the nodes reach each other by SSH; empty where there are none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mesh {}
call!(Mesh, Get often, "/nodes/mesh", "Which nodes reach each other", Vec<Pair>);

/// Climbs the ladder to a machine and, when it comes to the top, takes it among the nodes. A name that is
/// there already gets these values.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeAdd {
    /// Host name or address.
    pub name: NodeName,
    /// Who logs in.
    pub user: String,
    /// Port of its sshd.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// Ranks that may run there; none: its usable cores.
    #[serde(default)]
    pub slots: Option<u32>,
    /// Missing packages are installed.
    #[serde(default)]
    pub install: bool,
    /// The fingerprint of the host key that the operator accepts: `SHA256:...`.
    #[serde(default)]
    pub accept_key: Option<String>,
}
call!(NodeAdd, Post often, "/nodes", "Add a node", Climb,
      patience |add| if add.install { 900_000 } else { 120_000 });

fn ssh_port() -> u16 {
    22
}

macro_rules! node_command {
    ($(#[$doc:meta])* $name:ident, $path:literal, $about:literal, $reply:ty, $patience:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Which node.
            pub name: NodeName,
        }
        call!($name, Post often, $path, $about, $reply, patience |_| $patience);
    };
}

node_command!(
    /// Climbs the ladder again; at the top a node that was set aside is given work again.
    NodeCheck, "/nodes/check", "Check a node", Climb, 120_000
);
node_command!(
    /// Gives a node no more work; it finishes what it has.
    NodeDrain, "/nodes/drain", "Drain a node", Member, 15_000
);
node_command!(
    /// Gives a drained node work again.
    NodeUndrain, "/nodes/undrain", "Give a drained node work again", Member, 15_000
);
node_command!(
    /// Forgets a node.
    NodeRemove, "/nodes/remove", "Remove a node", Member, 15_000
);

/// Makes the checks of a setup, or those of one step.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    /// Only this step, from 1 to 5.
    #[serde(default)]
    #[schemars(range(min = 1, max = 5))]
    pub step: Option<u32>,
}
call!(Validate, Get often, "/validate", "Check the whole setup", Validation, patience |_| 300_000);

/// What the checks of a setup found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validation {
    /// What is set up.
    pub setup: Setup,
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// What is short, though nothing fails for it: memory, disk.
    pub warnings: Vec<String>,
}

/// One look at everything: what the dashboard draws.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {}
call!(Status, Get often, "/status", "Engine, services and counts", StatusReply);

/// The engine, its services and its queue, each with its age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReply {
    /// The engine's process.
    pub pid: u32,
    /// Version of the engine.
    pub version: String,
    /// Since when it serves.
    pub started_at: Millis,
    /// Whether it is a background engine.
    pub background: bool,
    /// Its data folder.
    pub data_dir: FilePath,
    /// Jobs by state name.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// Services that it uses.
    pub services: Vec<Service>,
    /// The broker's queue, where jobs come from one; none before the broker spoke.
    #[serde(default)]
    pub queue: Option<QueueFigures>,
    /// The newest feed entry.
    pub last_seq: u64,
    /// When these figures were taken.
    pub at: Millis,
}

/// A service that the engine uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// What for: `store`, `objects`, `launch`, `queue`, `events`, `depth`.
    pub name: String,
    /// What serves: `SQLite 3.50`, `folder`, `Open MPI 4.1.4`.
    pub what: String,
    /// What is wrong with it; none when it works.
    pub fault: Option<Reason>,
    /// Since when it does not work, where that is known.
    #[serde(default)]
    pub since: Option<Millis>,
    /// When it was last asked.
    pub at: Millis,
}

/// A queue as the broker counts it. Jobs that wait are in the database, and another figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueueFigures {
    /// Its name.
    pub name: String,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that were delivered and not yet acknowledged.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u64,
    /// Messages that come in, a second.
    pub in_per_s: f64,
    /// Messages that are acknowledged, a second.
    pub out_per_s: f64,
    /// Dead letters: messages that could not become jobs.
    pub dead: u64,
    /// When the broker was asked.
    pub at: Millis,
}

/// Demo only: kills one rank of a running job with SIGKILL.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillRank {
    /// Which job.
    pub id: JobId,
}
call!(KillRank, Post once, "/jobs/{id}/kill-rank", "Demo only: kill a rank", Killed, id id);

/// Which rank was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Killed {
    /// Its lane at that moment.
    pub lane: Lane,
}

/// Asks the engine to stop: running jobs go on when the next engine starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {}
call!(Stop, Post often, "/engine/stop", "Stop this engine", Stopping);

/// The engine heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopping {
    /// Its process.
    pub pid: u32,
}
