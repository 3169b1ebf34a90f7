//! What `update` wants done. Only `perform` and `run` know how.

use dvp_model::job::Submission;
use dvp_model::{FilePath, JobId};
use serde::{Deserialize, Serialize};

/// A command on one job. Each knows what takes it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Ask {
    Cancel(JobId),
    Retry(JobId),
    Hold(JobId),
    Release(JobId),
    Priority { id: JobId, from: i32, to: i32 },
}

impl Ask {
    /// The job it is about.
    pub fn id(&self) -> JobId {
        match self {
            Ask::Cancel(id) | Ask::Retry(id) | Ask::Hold(id) | Ask::Release(id) => *id,
            Ask::Priority { id, .. } => *id,
        }
    }

    /// What takes it back. Cancelling deletes what was done: neither it nor a retry can be undone.
    pub fn undone_by(&self) -> Option<Ask> {
        match self {
            Ask::Cancel(_) | Ask::Retry(_) => None,
            Ask::Hold(id) => Some(Ask::Release(*id)),
            Ask::Release(id) => Some(Ask::Hold(*id)),
            Ask::Priority { id, from, to } => Some(Ask::Priority { id: *id, from: *to, to: *from }),
        }
    }

    /// As a sentence's verb, e.g. `cancel`.
    pub fn verb(&self) -> &'static str {
        match self {
            Ask::Cancel(_) => "cancel",
            Ask::Retry(_) => "retry",
            Ask::Hold(_) => "hold",
            Ask::Release(_) => "release",
            Ask::Priority { .. } => "set the priority of",
        }
    }
}

/// How the console ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// Nothing is left to do here.
    Now,
    /// A background engine takes over first.
    HandOver,
    /// Every open job is held first.
    HoldJobs,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Send a command.
    Ask(Ask),
    /// Submit the form, at this count of edits.
    Submit(u64, Box<Submission>),
    /// Plan the form, at this count of edits, without submitting.
    DryRun(u64, Box<Submission>),
    /// Poll this job's chunks and lanes from now on; none stops it.
    Watch(Option<JobId>),
    /// Read a folder.
    List(FilePath),
    /// Put text into the terminal's clipboard.
    Copy(String),
    /// Kill a rank of this job (demo).
    KillRank(JobId),
    /// Stop the console as Ctrl-Z does; true when the engine must be handed over before.
    Suspend(bool),
    /// Draw everything anew.
    Redraw,
    /// End.
    Leave(Leave),
}
