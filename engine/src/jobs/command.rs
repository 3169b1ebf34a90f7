//! A person's commands on a job: cancel, retry, hold, release, priority. Each is one event for the state
//! machine, written over the version that it read. The reconcilers do the rest.

use dvp_model::JobId;
use dvp_model::error::Reason;
use dvp_model::job::step::{Event, step};
use dvp_model::job::{HeldBy, Job, State, StateName};
use dvp_model::wire::feed::What;

use super::submit::check_priority;
use crate::store::{Store, StoreError};

/// Cancels a job: at once where nothing runs, else as soon as its launch is stopped. Cancelling a
/// cancelled job changes nothing.
///
/// # Errors
/// No such job, or one that is done.
pub async fn cancel(store: &Store, id: JobId) -> Result<Job, Reason> {
    apply(store, id, "cancelled", Event::Cancel, |job| {
        match (job.state.name(), job.state.name().is_final()) {
            (StateName::Cancelled, _) => vec![What::CancelAsked, What::Cancelled],
            _ => vec![What::CancelAsked],
        }
    })
    .await
}

/// Tries a failed or cancelled job again, or a waiting one at once. What was accepted stays accepted.
///
/// # Errors
/// No such job, or one that needs no retry.
pub async fn retry(store: &Store, id: JobId) -> Result<Job, Reason> {
    let changed = store.job_change(id, |job, now| {
        job.state =
            step(&job.state, Event::RetryByPerson, now).map_err(|_| refused(job, "tried again"))?;
        job.attempts = 0;
        job.barren = 0;
        Ok(vec![What::Retried])
    });
    answered(changed.await, id)
}

/// Holds a job: a running launch is stopped first. Holding a held job changes nothing.
///
/// # Errors
/// No such job, or one that is done.
pub async fn hold(store: &Store, id: JobId) -> Result<Job, Reason> {
    apply(store, id, "held", Event::Hold(HeldBy::Person), |job| match job.state {
        State::Held { .. } => vec![What::Held { reason: None }],
        _ => Vec::new(),
    })
    .await
}

/// Releases a held job into the queue.
///
/// # Errors
/// No such job, or one that is not held.
pub async fn release(store: &Store, id: JobId) -> Result<Job, Reason> {
    apply(store, id, "released", Event::Release, |_| vec![What::Released]).await
}

/// Sets a job's priority, which decides who goes next.
///
/// # Errors
/// No such job, one that is done, or a priority out of range.
pub async fn set_priority(store: &Store, id: JobId, priority: i32) -> Result<Job, Reason> {
    check_priority(priority)?;
    let changed = store.job_change(id, |job, _| {
        if job.state.name().is_final() {
            return Err(refused(job, "moved in the queue"));
        }
        job.priority = priority;
        Ok(vec![What::Priority { priority }])
    });
    answered(changed.await, id)
}

/// One event for one job; `said` tells the feed of the state that came of it.
async fn apply(
    store: &Store,
    id: JobId,
    done: &'static str,
    event: Event,
    said: impl FnOnce(&Job) -> Vec<What> + Send,
) -> Result<Job, Reason> {
    let now = store.job_get(id).await;
    let moment = match &now {
        Ok(job) => job.updated_at,
        Err(_) => return answered(now, id),
    };
    // What is as asked already is neither written nor told again.
    if let Ok(job) = now
        && step(&job.state, event.clone(), moment).is_ok_and(|state| state == job.state)
    {
        return Ok(job);
    }
    let changed = store.job_change(id, |job, now| {
        job.state = step(&job.state, event, now).map_err(|_| refused(job, done))?;
        Ok(said(job))
    });
    answered(changed.await, id)
}

fn refused(job: &Job, what: &str) -> Reason {
    Reason::conflict(format!(
        "job {} is {}: it can't be {what}",
        job.id.short(),
        job.state.name().as_str()
    ))
}

fn answered(result: Result<Job, StoreError>, id: JobId) -> Result<Job, Reason> {
    result.map_err(|error| match error {
        StoreError::NotFound(_) => {
            Reason::not_found(format!("there is no job {id}; `dvp-console jobs` lists them"))
        }
        other => other.into(),
    })
}
