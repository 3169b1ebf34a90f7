//! Planning a job, right after it was submitted and before it takes slots: asks `dvp-worker plan`, freezes
//! what it answers. Ends at once when the job is held or cancelled.

use dvp_model::error::Reason;
use dvp_model::job::step::{Event, backoff_ms, step};
use dvp_model::job::{Job, State};
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::PlanRequest;
use dvp_model::{Epoch, RunTag};

use crate::engine::Engine;
use crate::exec::tag;
use crate::launch::tool;
use crate::run::Live;
use crate::store::StoreError;

/// Plans `job`, which is queued and has no plan, unless another engine does.
pub async fn plan(engine: &Engine, job: Job) {
    let lease_ms = engine.settings.timings.lease.as_millis() as i64;
    match engine.store.plan_claim(job.id, &engine.owner, &engine.place, lease_ms).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return tracing::warn!("job {} is not planned now: {error}", job.id),
    }
    let run = RunTag { job: job.id, epoch: Epoch::PLANNING };
    let request = PlanRequest { input: job.input.clone(), spec: job.spec.clone() };
    engine.live_mut().insert(job.id, Live::default());
    let progress = |done, total| {
        if let Some(live) = engine.live_mut().get_mut(&job.id) {
            live.tool = Some((done, total));
        }
    };
    let planned = tokio::select! {
        planned = tool::plan(&engine.settings.worker, Some(&run), &request, progress) => Some(planned),
        () = unwanted(engine, &job) => None,
    };
    if let Err(reason) = tag::kill_all(&run, engine.settings.timings.grace).await {
        tracing::warn!("{reason}");
    }
    engine.live_mut().remove(&job.id);
    if let Some(planned) = planned
        && let Err(error) = store(engine, &job, planned).await
    {
        // The job is as it was: the next round plans it again, or it has left the queue meanwhile.
        tracing::warn!("the plan of job {} was not stored: {error}", job.id);
    }
    if let Err(error) = engine.store.plan_leave(job.id, &engine.owner).await {
        // Reaped by the next round, or by another engine when it has run out.
        tracing::warn!("the right to plan job {} was not given back: {error}", job.id);
    }
}

async fn store(
    engine: &Engine,
    job: &Job,
    planned: Result<dvp_model::plan::Plan, Reason>,
) -> Result<Job, StoreError> {
    match planned {
        Ok(plan) => {
            let summary = plan.summary();
            let what =
                What::Planned { frames: summary.frames, chunks: summary.chunks.len() as u32 };
            let freeze = |job: &mut Job, _| {
                if job.plan.is_some() || job.state.name().is_final() {
                    return Err(Reason::conflict("the job has a plan, or needs none any more"));
                }
                job.plan = Some(summary);
                (job.chunks_done, job.frames_done, job.sound_done) = (0, 0, false);
                Ok(vec![what])
            };
            engine.store.plan_put(job.id, &engine.owner, &plan, freeze).await
        }
        Err(reason) => {
            let random = rand::random();
            let fail = |job: &mut Job, now: dvp_model::Millis| {
                if reason.kind.is_transient() {
                    job.barren += 1;
                    let at = now.plus(backoff_ms(job.barren + 1, random));
                    job.state = step(&job.state, Event::Retry(None, reason.clone(), at), now)?;
                    return Ok(vec![What::WillRetry { at, reason }]);
                }
                job.state = step(&job.state, Event::Fail(None, reason.clone()), now)?;
                Ok(vec![What::Failed { reason }])
            };
            engine.store.job_change_by(job.id, Epoch::PLANNING, &engine.owner, fail).await
        }
    }
}

/// Comes back when the plan of `job` is no longer wanted, or no longer ours to make. Until then the lease
/// is renewed.
async fn unwanted(engine: &Engine, job: &Job) {
    let lease = engine.settings.timings.lease;
    let mut commits = engine.store.commits();
    let mut renew = tokio::time::interval(lease / 3);
    loop {
        tokio::select! {
            () = engine.tasks.token().cancelled() => return,
            _ = renew.tick() => {
                let (lease_ms, owner) = (lease.as_millis() as i64, &engine.owner);
                let renewed = engine.store.lease_renew(job.id, Epoch::PLANNING, owner, lease_ms);
                if let Ok(false) = renewed.await {
                    return;
                }
                continue;
            }
            _ = commits.changed() => {}
        }
        match engine.store.job_get(job.id).await {
            Ok(found) if found.state != State::Queued => return,
            _ => {}
        }
    }
}
