//! Removes what nobody needs any more: objects of jobs that are at their end, objects of dead epochs, old
//! feed entries. Completed and cancelled jobs lose theirs at once; failed ones keep them for a while, so that
//! a retry computes nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use dvp_model::JobId;
use dvp_model::error::{Kind, Reason};
use dvp_model::job::{Job, State};
use dvp_model::time::Millis;
use dvp_model::wire::worker::Locator;

use crate::engine::Engine;
use crate::objects::epoch_of;
use crate::run::Target;
use crate::run::dispatch::Active;
use crate::store::StoreError;

/// An upload that nobody went on with for so long, and that is no job's, is removed.
const ABANDONED_MS: u64 = 24 * 3600 * 1000;

/// Least time between two sweeps of a folder.
const PAUSE: Duration = Duration::from_millis(20);

/// Sweeps until the engine stops: a folder after every commit, S3, where each look costs requests, less often.
pub async fn serve(engine: Engine, active: Active) {
    let timings = &engine.settings.timings;
    let mut commits = engine.store.commits();
    let in_s3 = engine.objects.bucket().is_some();
    let mut poll = tokio::time::interval(if in_s3 { timings.sweep } else { timings.poll });
    loop {
        tokio::select! {
            _ = poll.tick() => {}
            _ = commits.changed(), if !in_s3 => {}
        }
        commits.mark_unchanged();
        if let Err(reason) = sweep(&engine, &active).await {
            tracing::warn!("a sweep was cut short: {reason}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn sweep(engine: &Engine, active: &Active) -> Result<(), Reason> {
    let jobs = engine.objects.jobs().await?;
    let jobs: Vec<JobId> = jobs.into_iter().filter(|job| !active.has(*job)).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    let now = engine.store.now().await?;
    for id in jobs {
        match engine.store.job_get(id).await {
            Ok(job) => sweep_job(engine, active, &job, now).await?,
            // In a bucket it may be another engine's, with a database of its own.
            Err(StoreError::NotFound(_)) if engine.objects.bucket().is_some() => {}
            Err(StoreError::NotFound(_)) => remove_all(engine, id).await,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn sweep_job(engine: &Engine, active: &Active, job: &Job, now: Millis) -> Result<(), Reason> {
    match wanted(engine, job, now) {
        Wanted::No => forget(engine, job).await?,
        Wanted::Yes => {}
        Wanted::Accepted => {
            let found = engine.objects.list(job.id).await?;
            let rows = engine.store.ledger_read(job.id).await?;
            let kept: BTreeSet<Locator> =
                rows.into_iter().filter_map(|row| Some(row.accepted?.object)).collect();
            // What a later epoch makes, claimed since the job was read, is no leftover.
            let is_old = |object: &Locator| epoch_of(object).is_none_or(|it| it <= job.epoch);
            let leftovers: Vec<Locator> = found
                .into_iter()
                .map(|(object, _)| object)
                .filter(|object| is_old(object) && !kept.contains(object))
                .collect();
            if !active.has(job.id) {
                engine.objects.remove(job.id, &leftovers).await?;
            }
        }
    }
    Ok(())
}

/// Sweeps a job that ended just now, if nothing of it is wanted any more. What fails here is done by the next
/// sweep.
pub async fn sweep_ended(engine: &Engine, job: &Job) {
    if !matches!(job.state, State::Completed | State::Cancelled) {
        return;
    }
    let (of, job) = (engine.clone(), job.clone());
    beside(engine, async move {
        if let Err(reason) = forget(&of, &job).await {
            tracing::warn!("job {} was not swept: {reason}", job.id);
        }
    })
    .await;
}

/// Removes all objects of a job. What fails here is done by the next sweep.
pub async fn remove_all(engine: &Engine, job: JobId) {
    let of = engine.clone();
    beside(engine, async move {
        let removed = async {
            let found = of.objects.list(job).await?;
            let objects: Vec<Locator> = found.into_iter().map(|(object, _)| object).collect();
            of.objects.remove(job, &objects).await
        };
        if let Err(reason) = removed.await {
            tracing::warn!("objects of job {job} were not removed: {reason}");
        }
    })
    .await;
}

/// Does it now where that takes no time, else beside everything else: S3 may be slow, or away.
async fn beside(engine: &Engine, work: impl Future<Output = ()> + Send + 'static) {
    match engine.objects.bucket() {
        Some(_) => engine.tasks.spawn_until_stop(work),
        None => work.await,
    }
}

/// Removes all objects of a job at its end. Its rows first: a retry that comes between must not trust
/// objects that go.
async fn forget(engine: &Engine, job: &Job) -> Result<(), Reason> {
    let found = engine.objects.list(job.id).await?;
    if job.state == State::Completed || engine.store.ledger_forget(job.id).await? {
        let _ = Target::of(job).clear();
        let objects: Vec<Locator> = found.into_iter().map(|(object, _)| object).collect();
        engine.objects.remove(job.id, &objects).await?;
    }
    Ok(())
}

/// Which objects of a job are still wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    No,
    Accepted,
    Yes,
}

fn wanted(engine: &Engine, job: &Job, now: Millis) -> Wanted {
    let keep_ms = engine.settings.timings.keep_failed.as_millis() as i64;
    match &job.state {
        State::Completed | State::Cancelled => Wanted::No,
        // Another input needs other chunks.
        State::Failed { reason } if reason.kind == Kind::Input => Wanted::No,
        State::Failed { .. } => match job.finished_at {
            Some(at) if now.since(at) > keep_ms => Wanted::No,
            _ => Wanted::Accepted,
        },
        State::Running { .. } | State::Holding { .. } | State::Cancelling { .. } => Wanted::Yes,
        State::Queued | State::Waiting { .. } | State::Held { .. } => Wanted::Accepted,
    }
}

/// Removes uploaded films that nobody needs any more: those whose jobs all ended a while ago, and those that
/// never became a job. What was made of them stays.
pub async fn sweep_uploads(engine: &Engine) {
    let uploads = engine.uploads.all();
    if uploads.is_empty() {
        return;
    }
    let keep_ms = engine.settings.timings.keep_failed.as_millis() as i64;
    let (Ok(now), Ok(jobs)) = (engine.store.now().await, engine.store.jobs_list(u32::MAX).await)
    else {
        return;
    };
    for (id, age_ms) in uploads {
        let folder = engine.uploads.folder(id);
        let of_it = || jobs.iter().filter(|job| job.input.as_path().starts_with(&folder));
        let is_over = |job: &Job| {
            let ended = job.finished_at.filter(|_| job.state.name().is_final());
            ended.is_some_and(|at| now.since(at) > keep_ms)
        };
        if of_it().next().is_none() {
            if age_ms > ABANDONED_MS {
                engine.uploads.remove(id);
            }
        } else if of_it().all(is_over) {
            of_it().for_each(|job| drop(std::fs::remove_file(&job.input)));
        }
    }
}

/// Deletes what the feed says of jobs that ended long ago. What fails here is done the next time.
pub async fn trim_feed(engine: &Engine) {
    let keep_ms = engine.settings.timings.keep_feed.as_millis() as i64;
    let trimmed = match engine.store.now().await {
        Ok(now) => engine.store.feed_trim(now.plus(-keep_ms)).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = trimmed {
        tracing::warn!("the feed was not trimmed: {error}");
    }
}
