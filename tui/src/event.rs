//! All that can happen to the console, in one closed enum: keys, the clock, signals, replies. Knows
//! nothing of the terminal's library or of the network, so that a session can be recorded and replayed.

use dvp_model::job::Job;
use dvp_model::node::Node;
use dvp_model::wire::api::{DryRunReply, Errors, JobDetail, Killed, StatusReply};
use dvp_model::wire::feed::Entry;
use dvp_model::{FilePath, JobId, Millis};
use serde::{Deserialize, Serialize};

use crate::action::Ask;

/// A key, whatever the terminal sends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Alt(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// What can happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this size now, columns and rows.
    Resize(u16, u16),
    /// The clock.
    Tick(Millis),
    /// A frame with all that came before is on the screen, and keys typed earlier were handed in.
    Shown,
    /// The console was stopped and goes on: everything on the screen is gone.
    Resumed,
    /// The terminal went away.
    Hangup,
    /// An answer, or what a poll found.
    Reply(Box<Reply>),
}

/// What a task of `perform` found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// How the engine is reached, or that it isn't.
    Contact(Contact),
    /// Poll of the status.
    Status(StatusReply),
    /// Poll of the jobs.
    Jobs(Vec<Job>),
    /// Poll of the nodes.
    Nodes(Vec<Node>),
    /// Poll of one job's chunks and lanes.
    Detail(Box<JobDetail>),
    /// That poll found no such job.
    NoDetail(JobId, Errors),
    /// New entries of the feed, oldest first.
    Feed(Vec<Entry>),
    /// What came of a command on a job.
    Asked(Ask, Result<Box<Job>, Errors>),
    /// What came of submitting the form (as it was at this count of edits).
    Submitted(u64, Result<Box<Job>, Errors>),
    /// What came of a dry run of the form (as it was at this count of edits).
    DryRun(u64, Result<DryRunReply, Errors>),
    /// A folder was read.
    Listed(Listing),
    /// What came of killing a rank.
    Killed(JobId, Result<Killed, Errors>),
    /// Something to tell the person in one line; true when it went wrong.
    Told(String, bool),
    /// The console's engine could not be handed over or its jobs not held: it stays.
    CannotLeave(String),
}

/// How the engine is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// Not yet.
    Connecting,
    /// This process hosts it.
    Hosting,
    /// Another process hosts it.
    Attached {
        /// Its process.
        pid: u32,
    },
    /// It does not answer; tried again all the time.
    Lost {
        /// Since when.
        since: Millis,
        /// What the last try said.
        why: String,
    },
}

/// A folder's entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Which folder.
    pub folder: FilePath,
    /// Folders first, each group by name; or why it can't be read.
    pub entries: Result<Vec<Found>, String>,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its path.
    pub path: FilePath,
    /// A folder (or a link to one).
    pub folder: bool,
    /// Bytes.
    pub size: u64,
}
