//! What happened: one append-only table, read by the screen, the log and later the event publisher.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Reason;
use crate::id::{Epoch, Item, JobId, NodeName, Rank};
use crate::job::Phase;
use crate::time::Millis;

/// One entry of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Rises by at least one with each entry.
    pub seq: u64,
    /// When.
    pub at: Millis,
    /// The job it is about.
    pub job: Option<JobId>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A job was accepted.
    Submitted,
    /// Its plan stands.
    Planned {
        /// Frames.
        frames: u64,
        /// Chunks.
        chunks: u32,
    },
    /// A launch started.
    Launched {
        /// Its epoch.
        epoch: Epoch,
        /// Its ranks.
        ranks: u32,
        /// Where.
        nodes: Vec<NodeName>,
        /// Items accepted before, and not computed again.
        reused: u32,
    },
    /// It goes on to another phase.
    Entered {
        /// Which.
        phase: Phase,
    },
    /// An item was accepted.
    Accepted {
        /// What.
        item: Item,
        /// By whom it was made.
        rank: Rank,
        /// Wall time, milliseconds.
        wall_ms: u64,
    },
    /// A rank died or a launch ended early.
    Lost {
        /// The epoch.
        epoch: Epoch,
        /// The sentence of whoever noticed.
        reason: Reason,
        /// What was in flight and will be done again.
        items: Vec<Item>,
    },
    /// It will be tried again.
    WillRetry {
        /// When. Another name in JSON: the entry's own moment lies beside it.
        #[serde(rename = "retry_at")]
        at: Millis,
        /// What went wrong.
        reason: Reason,
    },
    /// A person held it, or the engine did.
    Held {
        /// The engine's reason; none for a person.
        reason: Option<Reason>,
    },
    /// A person released it.
    Released,
    /// A person changed its priority.
    Priority {
        /// To what.
        priority: i32,
    },
    /// A person asked for another try.
    Retried,
    /// A person asked to cancel it.
    CancelAsked,
    /// Its end.
    Cancelled,
    /// Its end.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// Its end.
    Completed {
        /// SHA-256 of the output.
        sha256: String,
        /// Bytes of the output.
        bytes: u64,
    },
    /// An engine began to serve this data.
    EngineStarted {
        /// Its process.
        pid: u32,
    },
    /// An engine stopped on purpose.
    EngineStopped {
        /// Its process.
        pid: u32,
    },
    /// Something that a person should see.
    Alarm {
        /// What.
        reason: Reason,
    },
    /// A line of a launch's log (what ranks and mpirun wrote to stderr).
    Log {
        /// The epoch.
        epoch: Epoch,
        /// The line, cleaned.
        line: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_keeps_its_moment_apart_from_the_entrys() {
        let reason = Reason::machine("no mpirun");
        let what = What::WillRetry { at: Millis(7), reason };
        let entry = Entry { seq: 1, at: Millis(5), job: None, what };
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry, "{json}");
    }
}
