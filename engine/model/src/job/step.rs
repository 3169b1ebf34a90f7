//! The arrows between a job's states. Nothing else knows them.

use std::fmt;

use thiserror::Error;

use super::{HeldBy, Phase, State, StateName};
use crate::error::{Kind, Reason};
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
    /// Something failed for a reason that may mend itself (planning: no epoch yet): try again then.
    Retry(Option<Epoch>, Reason, Millis),
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

impl From<IllegalTransition> for Reason {
    fn from(error: IllegalTransition) -> Self {
        Reason::new(Kind::Conflict, error.to_string())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Claim(epoch) => write!(f, "start of epoch {epoch}"),
            Event::Enter(epoch, phase) => write!(f, "epoch {epoch} goes on to {}", phase.as_str()),
            Event::Complete(epoch) => write!(f, "epoch {epoch} published"),
            Event::Fail(Some(epoch), _) => write!(f, "epoch {epoch} failed"),
            Event::Fail(None, _) => f.write_str("the plan failed"),
            Event::Retry(Some(epoch), ..) => write!(f, "epoch {epoch} waits for another try"),
            Event::Retry(None, ..) => f.write_str("planning waits for another try"),
            Event::Requeue(epoch) => write!(f, "epoch {epoch} back into the queue"),
            Event::Due => f.write_str("time for another try"),
            Event::Hold(_) => f.write_str("hold"),
            Event::Release => f.write_str("release"),
            Event::Cancel => f.write_str("cancel"),
            Event::Stopped(epoch) => write!(f, "epoch {epoch} is stopped"),
            Event::RetryByPerson => f.write_str("retry"),
        }
    }
}

impl Event {
    /// The epoch that speaks, where one does.
    pub fn epoch(&self) -> Option<Epoch> {
        match self {
            Event::Claim(epoch)
            | Event::Enter(epoch, _)
            | Event::Complete(epoch)
            | Event::Fail(Some(epoch), _)
            | Event::Retry(Some(epoch), ..)
            | Event::Requeue(epoch)
            | Event::Stopped(epoch) => Some(*epoch),
            _ => None,
        }
    }
}

/// Where a job stands after `event` met it in `state` at `now`.
///
/// # Errors
/// When the state has no such arrow, or the event comes from another epoch than the one that runs.
pub fn step(state: &State, event: Event, now: Millis) -> Result<State, IllegalTransition> {
    use {Event as E, State as S};
    let illegal = IllegalTransition { state: state.name(), event: event.to_string() };
    if let (
        Some(speaks),
        S::Running { epoch, .. } | S::Holding { epoch, .. } | S::Cancelling { epoch },
    ) = (event.epoch(), state)
        && speaks != *epoch
    {
        return Err(illegal);
    }
    Ok(match (state, event) {
        (S::Queued, E::Claim(epoch)) => S::Running { epoch, phase: Phase::Working },
        (S::Queued, E::Fail(None, reason)) => S::Failed { reason },
        (S::Queued, E::Retry(None, why, retry_at)) => S::Waiting { retry_at, why },

        (S::Running { epoch, .. }, E::Enter(_, phase)) => S::Running { epoch: *epoch, phase },
        (S::Running { .. }, E::Complete(_)) => S::Completed,
        (S::Running { .. }, E::Fail(Some(_), reason)) => S::Failed { reason },
        (S::Running { .. }, E::Retry(Some(_), why, retry_at)) => S::Waiting { retry_at, why },
        (S::Running { .. }, E::Requeue(_)) => S::Queued,
        (S::Running { epoch, .. }, E::Hold(by)) => S::Holding { epoch: *epoch, by },
        (S::Running { epoch, .. }, E::Cancel) => S::Cancelling { epoch: *epoch },

        (S::Waiting { retry_at, .. }, E::Due) if *retry_at <= now => S::Queued,
        (S::Waiting { .. }, E::RetryByPerson) => S::Queued,

        // The epoch may have published, or failed for good, before it heard that it should stop.
        (S::Holding { .. } | S::Cancelling { .. }, E::Complete(_)) => S::Completed,
        (S::Holding { .. }, E::Fail(Some(_), reason)) => S::Failed { reason },
        (S::Holding { by, .. }, E::Stopped(_) | E::Requeue(_) | E::Retry(Some(_), ..)) => {
            S::Held { by: by.clone() }
        }
        (S::Holding { epoch, .. }, E::Hold(by)) => S::Holding { epoch: *epoch, by },
        (S::Holding { epoch, .. }, E::Cancel) => S::Cancelling { epoch: *epoch },

        (
            S::Cancelling { .. },
            E::Stopped(_) | E::Requeue(_) | E::Retry(Some(_), ..) | E::Fail(Some(_), _),
        ) => S::Cancelled,
        (S::Cancelling { epoch }, E::Cancel) => S::Cancelling { epoch: *epoch },

        (S::Queued | S::Waiting { .. } | S::Held { .. }, E::Hold(by)) => S::Held { by },
        (S::Queued | S::Waiting { .. } | S::Held { .. }, E::Cancel) => S::Cancelled,
        (S::Held { .. }, E::Release) => S::Queued,

        (S::Failed { .. } | S::Cancelled, E::RetryByPerson) => S::Queued,
        (S::Cancelled, E::Cancel) => S::Cancelled,
        _ => return Err(illegal),
    })
}

/// Milliseconds to wait before try number `failures + 1`, after `failures` failed in a row: the first
/// retry comes at once, then 1 s, 2 s, 4 s and so on to 5 minutes, each moved by up to a quarter either
/// way by `random` (0 to 1) so that jobs that failed together don't come back together.
pub fn backoff_ms(failures: u32, random: f64) -> i64 {
    if failures <= 1 {
        return 0;
    }
    let base = 1_000i64 << (failures - 2).min(9);
    let jitter = 0.75 + 0.5 * random.clamp(0.0, 1.0);
    (base.min(300_000) as f64 * jitter) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = Millis(1_000);
    const E1: Epoch = Epoch(1);

    fn why() -> Reason {
        Reason::machine("disk full")
    }

    fn states() -> Vec<State> {
        vec![
            State::Queued,
            State::Running { epoch: E1, phase: Phase::Working },
            State::Waiting { retry_at: NOW, why: why() },
            State::Holding { epoch: E1, by: HeldBy::Person },
            State::Held { by: HeldBy::Person },
            State::Cancelling { epoch: E1 },
            State::Completed,
            State::Failed { reason: why() },
            State::Cancelled,
        ]
    }

    fn events(epoch: Epoch) -> Vec<Event> {
        vec![
            Event::Claim(epoch),
            Event::Enter(epoch, Phase::Assembling),
            Event::Complete(epoch),
            Event::Fail(Some(epoch), why()),
            Event::Fail(None, why()),
            Event::Retry(Some(epoch), why(), NOW),
            Event::Retry(None, why(), NOW),
            Event::Requeue(epoch),
            Event::Due,
            Event::Hold(HeldBy::Person),
            Event::Release,
            Event::Cancel,
            Event::Stopped(epoch),
            Event::RetryByPerson,
        ]
    }

    /// One row a state, one column an event in the order of `events`; `-` is an illegal one.
    #[test]
    fn the_whole_table() {
        let table = "
            queued     running - - - failed - waiting - - held - cancelled - -
            running    - running completed failed - waiting - queued - holding - cancelling - -
            waiting    - - - - - - - - queued held - cancelled - queued
            holding    - - completed failed - held - held - holding - cancelling held -
            held       - - - - - - - - - held queued cancelled - -
            cancelling - - completed cancelled - cancelled - cancelled - - - cancelling cancelled -
            completed  - - - - - - - - - - - - - -
            failed     - - - - - - - - - - - - - queued
            cancelled  - - - - - - - - - - - cancelled - queued";
        for (state, row) in states().iter().zip(table.trim().lines()) {
            let mut words = row.split_whitespace();
            assert_eq!(words.next(), Some(state.name().as_str()));
            for (event, expected) in events(E1).into_iter().zip(words) {
                let name = event.to_string();
                let got = step(state, event, NOW).map_or("-", |state| state.name().as_str());
                assert_eq!(got, expected, "{} meets {name}", state.name().as_str());
            }
        }
    }

    #[test]
    fn another_epoch_changes_nothing() {
        for state in [&states()[1], &states()[3], &states()[5]] {
            for event in events(Epoch(2)).into_iter().filter(|event| event.epoch().is_some()) {
                assert!(step(state, event, NOW).is_err());
            }
        }
    }

    #[test]
    fn a_waiting_job_is_not_due_early() {
        let state = State::Waiting { retry_at: NOW.plus(1), why: why() };
        assert!(step(&state, Event::Due, NOW).is_err());
    }

    #[test]
    fn backoff_grows_from_nothing_to_minutes() {
        assert_eq!(backoff_ms(1, 0.5), 0);
        assert_eq!(backoff_ms(2, 0.5), 1_000);
        assert_eq!(backoff_ms(4, 0.0), 3_000);
        assert_eq!(backoff_ms(u32::MAX, 1.0), 375_000);
    }

    proptest! {
        /// Whatever happens, in whatever order: a completed job stays completed, a final job leaves its
        /// end only through a person's retry, and an epoch is heard only while it is the one that runs.
        #[test]
        fn no_walk_breaks_the_rules(walk in prop::collection::vec((0usize..14, 1u32..4), 0..60)) {
            let mut state = State::Queued;
            for (which, epoch) in walk {
                let event = events(Epoch(epoch)).swap_remove(which);
                let by_person = event == Event::RetryByPerson;
                let speaks = event.epoch();
                let claims = matches!(event, Event::Claim(_));
                let Ok(next) = step(&state, event, NOW) else { continue };
                if state.name().is_final() && next.name() != state.name() {
                    prop_assert!(by_person && state.name() != StateName::Completed);
                }
                if let Some(speaks) = speaks {
                    match &state {
                        State::Running { epoch, .. }
                        | State::Holding { epoch, .. }
                        | State::Cancelling { epoch } => prop_assert_eq!(*epoch, speaks),
                        State::Queued => prop_assert!(claims),
                        other => prop_assert!(false, "{other:?} heard an epoch"),
                    }
                }
                state = next;
            }
        }

        #[test]
        fn backoff_stays_in_bounds(failures in 0u32.., random in 0f64..1.0) {
            prop_assert!((0..=375_000).contains(&backoff_ms(failures, random)));
        }
    }
}
