//! The arrows between a job's states. Nothing else knows them.

use thiserror::Error;

use super::{HeldBy, Phase, State, StateName};
use crate::error::Reason;
use crate::id::Epoch;
use crate::time::Millis;

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The dispatcher gave it slots under this epoch.
    Claim(Epoch),
    /// The epoch goes on to another phase.
    Enter(Epoch, Phase),
    /// The epoch published the output.
    Complete(Epoch),
    /// Something failed for good: the plan (no epoch yet) or the epoch.
    Fail(Option<Epoch>, Reason),
    /// The epoch ended for a reason that may mend itself: try again then.
    Retry(Epoch, Reason, Millis),
    /// The epoch is gone without blame (engine died, hand-over): back into the queue.
    Requeue(Epoch),
    /// The moment of a waiting job has come.
    Due,
    /// Somebody wants it held.
    Hold(HeldBy),
    /// A person wants it released.
    Release,
    /// A person wants it cancelled.
    Cancel,
    /// A launch that was to be stopped is gone.
    Stopped(Epoch),
    /// A person wants a failed or cancelled job tried again.
    RetryByPerson,
}

/// An event that a state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a {} job can't do that ({event})", state.as_str())]
pub struct IllegalTransition {
    /// The state it met.
    pub state: StateName,
    /// The event, for a person.
    pub event: String,
}
