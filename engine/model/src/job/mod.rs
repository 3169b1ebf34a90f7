//! A job: what was asked, where it stands, what came of it. The API's type and what the screen holds.

pub mod assign;
pub mod seam;
pub mod step;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Reason;
use crate::id::{BatchId, ChunkIndex, Epoch, JobId, NodeName, Rank};
use crate::path::FilePath;
use crate::plan::Summary;
use crate::spec::{Spec, SpecText};
use crate::time::Millis;

/// Where a job stands. States carry what belongs to them; `step` alone knows the arrows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Waits for slots (and, before that, for its plan).
    Queued,
    /// An epoch works on it.
    Running {
        /// Which.
        epoch: Epoch,
        /// What it does.
        phase: Phase,
    },
    /// Failed for a reason that may mend itself: tried again at that moment.
    Waiting {
        /// When.
        retry_at: Millis,
        /// What went wrong.
        why: Reason,
    },
    /// To be held: its launch is being stopped.
    Holding {
        /// The launch.
        epoch: Epoch,
        /// Who asked, and why.
        by: HeldBy,
    },
    /// Not dispatched until released.
    Held {
        /// Who asked, and why.
        by: HeldBy,
    },
    /// To be cancelled: its launch is being stopped.
    Cancelling {
        /// The launch.
        epoch: Epoch,
    },
    /// Done: the output is verified and published.
    Completed,
    /// Done with: it failed, and will not be tried again unless a person says so.
    Failed {
        /// Why, and what to do.
        reason: Reason,
    },
    /// Done with: a person cancelled it.
    Cancelled,
}

/// A state's name, without what it carries.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum StateName {
    Queued,
    Running,
    Waiting,
    Holding,
    Held,
    Cancelling,
    Completed,
    Failed,
    Cancelled,
}

impl StateName {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            StateName::Queued => "queued",
            StateName::Running => "running",
            StateName::Waiting => "waiting",
            StateName::Holding => "holding",
            StateName::Held => "held",
            StateName::Cancelling => "cancelling",
            StateName::Completed => "completed",
            StateName::Failed => "failed",
            StateName::Cancelled => "cancelled",
        }
    }

    /// Nothing happens any more unless a person retries.
    pub fn is_final(self) -> bool {
        matches!(self, StateName::Completed | StateName::Failed | StateName::Cancelled)
    }
}

/// Who held a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// A person.
    Person,
    /// The engine, for this reason.
    Engine(Reason),
}

/// What a job is busy with. Progress, not a state.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The file is read and the plan is made (before slots are taken).
    Planning,
    /// Planned, waits for slots.
    Waiting,
    /// Ranks work on chunks.
    Working,
    /// Chunks are joined and the file is verified.
    Assembling,
    /// The file gets its name.
    Publishing,
}

impl Phase {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Planning => "planning",
            Phase::Waiting => "waiting",
            Phase::Working => "working",
            Phase::Assembling => "assembling",
            Phase::Publishing => "publishing",
        }
    }
}

impl State {
    /// Its name.
    pub fn name(&self) -> StateName {
        match self {
            State::Queued => StateName::Queued,
            State::Running { .. } => StateName::Running,
            State::Waiting { .. } => StateName::Waiting,
            State::Holding { .. } => StateName::Holding,
            State::Held { .. } => StateName::Held,
            State::Cancelling { .. } => StateName::Cancelling,
            State::Completed => StateName::Completed,
            State::Failed { .. } => StateName::Failed,
            State::Cancelled => StateName::Cancelled,
        }
    }

    /// Why it is so, where there is a reason.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            State::Failed { reason } => Some(reason),
            State::Waiting { why, .. } => Some(why),
            State::Held { by: HeldBy::Engine(reason) } => Some(reason),
            _ => None,
        }
    }
}

/// What a user asks for: one input, one output. The body of the API's submit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The input; absolute.
    pub input: FilePath,
    /// Tasks and parameters as typed.
    #[serde(default)]
    pub spec: SpecText,
    /// The output; absolute. None: beside the input, `{stem}.{task}.{ext}`.
    #[serde(default)]
    pub output: Option<FilePath>,
    /// Exactly so many ranks. None: as the scheduler sees fit.
    #[serde(default)]
    pub ranks: Option<u32>,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// Replace an existing output (by a verified file only).
    #[serde(default)]
    pub force: bool,
    /// Submitted with others.
    #[serde(default)]
    pub batch: Option<BatchId>,
    /// Given by whoever submits, so that a repeat of the call makes no second job.
    #[serde(default)]
    pub id: Option<JobId>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Rises with every change; the store writes only over the version it read.
    pub version: u64,
    /// What was asked, with input and output resolved to absolute paths.
    pub input: FilePath,
    /// Where the output will lie.
    pub output_path: FilePath,
    /// Replace an existing output.
    pub force: bool,
    /// What was typed, to edit and resubmit.
    pub asked: SpecText,
    /// What that means.
    pub spec: Spec,
    /// Exactly so many ranks, if asked.
    pub ranks_wanted: Option<u32>,
    /// Higher goes first.
    pub priority: i32,
    /// Its batch.
    pub batch: Option<BatchId>,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// The plan in figures, once there is one.
    pub plan: Option<Summary>,
    /// The last epoch that was started; 0 before the first. (A state has an `epoch` of its own in JSON.)
    #[serde(rename = "last_epoch")]
    pub epoch: Epoch,
    /// Launches that ended in a fault of the job's, towards its limit.
    pub attempts: u32,
    /// Launches in a row that ended in a fault and accepted nothing: the limit counts these.
    #[serde(default)]
    pub barren: u32,
    /// Chunks (not counting the sound) accepted so far.
    pub chunks_done: u32,
    /// Whether the sound is accepted.
    pub sound_done: bool,
    /// Frames of accepted chunks.
    pub frames_done: u64,
    /// Ranks of the newest launch; 0 before the first.
    pub ranks: u32,
    /// Nodes that worked on it.
    pub nodes: Vec<NodeName>,
    /// The output, once completed.
    pub output: Option<Output>,
    /// Submitted.
    pub created_at: Millis,
    /// First launched.
    pub started_at: Option<Millis>,
    /// Ended.
    pub finished_at: Option<Millis>,
    /// Last changed.
    pub updated_at: Millis,
}

impl Job {
    /// Notes that these nodes work on it.
    pub fn worked_on(&mut self, nodes: &[NodeName]) {
        for node in nodes {
            if !self.nodes.contains(node) {
                self.nodes.push(node.clone());
            }
        }
    }

    /// Its phase, also before and after running: `None` when final or held.
    pub fn phase(&self) -> Option<Phase> {
        match &self.state {
            State::Running { phase, .. } => Some(*phase),
            State::Queued if self.plan.is_none() => Some(Phase::Planning),
            State::Queued => Some(Phase::Waiting),
            _ => None,
        }
    }

    /// Chunks in all; 0 while unknown.
    pub fn chunks_total(&self) -> u32 {
        self.plan.as_ref().map_or(0, |plan| plan.chunks.len() as u32)
    }
}

/// A published output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Where it lies.
    pub path: FilePath,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub bytes: u64,
    /// Pictures.
    pub frames: u64,
}

/// Where an item of the ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChunkState {
    /// Nobody works on it.
    Waiting,
    /// A rank works on it (or has it in hand as its next).
    Running,
    /// Accepted.
    Done,
}

/// A chunk, as `job` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkInfo {
    /// Its position.
    pub index: ChunkIndex,
    /// Where it stands.
    pub state: ChunkState,
    /// Its frames.
    pub frames: u32,
    /// How often it was handed out.
    pub attempts: u32,
    /// How often a result was accepted: 0 or 1.
    pub accepted: u32,
    /// Its object's hash, once accepted.
    pub sha256: Option<String>,
    /// The rank that has it or made it.
    pub rank: Option<Rank>,
    /// Frames encoded so far by that rank.
    pub progress: u64,
    /// Wall time of the accepted try, milliseconds.
    pub wall_ms: Option<u64>,
}

/// One rank of a running job: a lane of the job page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lane {
    /// Its number.
    pub rank: Rank,
    /// Its node.
    pub node: NodeName,
    /// Its process there.
    pub pid: u32,
    /// What it works on.
    pub item: Option<crate::id::Item>,
    /// How far it is, in frames (for the sound, in thousandths).
    pub progress: u64,
    /// Items it finished in this launch.
    pub done: u32,
    /// When it last said something.
    pub seen_at: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_survives_json_in_every_state() {
        let spec = crate::spec::resolve(&SpecText::default(), Some("mp4")).unwrap();
        let why = Reason::machine("disk full");
        let states = [
            State::Queued,
            State::Running { epoch: Epoch(3), phase: Phase::Working },
            State::Waiting { retry_at: Millis(5), why: why.clone() },
            State::Holding { epoch: Epoch(3), by: HeldBy::Person },
            State::Held { by: HeldBy::Engine(why.clone()) },
            State::Cancelling { epoch: Epoch(3) },
            State::Completed,
            State::Failed { reason: why },
            State::Cancelled,
        ];
        for state in states {
            let job = Job {
                id: JobId(uuid::Uuid::nil()),
                version: 1,
                input: "/in".into(),
                output_path: "/out".into(),
                force: false,
                asked: SpecText::default(),
                spec: spec.clone(),
                ranks_wanted: None,
                priority: 0,
                batch: None,
                state,
                plan: None,
                epoch: Epoch(4),
                attempts: 0,
                barren: 0,
                chunks_done: 0,
                sound_done: false,
                frames_done: 0,
                ranks: 0,
                nodes: vec![],
                output: None,
                created_at: Millis(1),
                started_at: None,
                finished_at: None,
                updated_at: Millis(1),
            };
            let json = serde_json::to_string(&job).unwrap();
            assert_eq!(serde_json::from_str::<Job>(&json).unwrap(), job, "{json}");
        }
    }
}
