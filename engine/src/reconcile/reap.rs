//! Ends launches whose lease is dead: kills all that carries the tag, removes the launch's folder, and puts
//! the job back into the queue without blame.

use std::collections::BTreeSet;
use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::job::{Job, Phase, State};
use dvp_model::wire::feed::What;
use dvp_model::{Epoch, JobId, RunTag};

use super::sweep;
use crate::engine::Engine;
use crate::exec::tag;
use crate::launch::folder;
use crate::nodes::watch;
use crate::run::Target;
use crate::run::dispatch::Active;
use crate::store::{Lease, StoreError};

/// Time that killed processes get to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends every launch and every planning that nobody drives any more. Which jobs have a lease that stands.
///
/// # Errors
/// When the store is away.
pub async fn reap(engine: &Engine, active: &Active) -> Result<BTreeSet<JobId>, StoreError> {
    let mut leased = BTreeSet::new();
    for lease in engine.store.leases(&engine.place).await? {
        let dead = match *lease.owner == *engine.owner {
            // A task of ours that ended without a word.
            true => !active.has(lease.job),
            // Its engine held the lock of this place, which is ours now; or it is away too long.
            false => lease.here || lease.expired,
        };
        match dead {
            true => end(engine, &lease).await?,
            false => drop(leased.insert(lease.job)),
        }
    }
    Ok(leased)
}

async fn end(engine: &Engine, lease: &Lease) -> Result<(), StoreError> {
    let run = RunTag { job: lease.job, epoch: lease.epoch };
    if lease.here
        && let Err(reason) = tag::kill_all(&run, PATIENCE).await
    {
        // The next round tries again; until then the job has no second launch.
        tracing::error!("{reason}");
        return Ok(());
    }
    if lease.epoch == Epoch::PLANNING {
        return engine.store.plan_leave(lease.job, &lease.owner).await;
    }
    if lease.here {
        folder::remove(&engine.settings.data_dir, &run);
        if let Ok(job) = engine.store.job_get(lease.job).await {
            clean(&job);
        }
    }
    if let Ok(job) = engine.store.job_get(lease.job).await {
        // A machine that can't be reached now gets no slots until it was reaped.
        let head = engine.settings.access.head.as_ref().filter(|head| !job.nodes.contains(head));
        let nodes = job.nodes.iter().chain(head);
        let members: Vec<_> = nodes.filter_map(|node| engine.cluster.member(node)).collect();
        watch::reap(engine, &run, &members).await;
    }
    let reason = Reason::machine("the engine that drove this launch is gone");
    let lost = What::Lost { epoch: lease.epoch, reason, items: Vec::new() };
    engine.store.lease_end(lease, vec![lost]).await?;
    if let Ok(job) = engine.store.job_get(lease.job).await {
        sweep::sweep_ended(engine, &job).await;
    }
    Ok(())
}

/// What a dead launch of `job` may have left where its output goes. A file that was about to be published
/// stays for the next epoch.
fn clean(job: &Job) {
    if !matches!(job.state, State::Running { phase: Phase::Publishing, .. }) {
        let _ = Target::of(job).clear();
    }
}
