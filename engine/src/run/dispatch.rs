//! The loop that acts: ends what has no live lease, plans, wakes what is due, gives slots to jobs. It takes
//! no input: it looks at the store after every commit and every few seconds, so that normal running, a
//! restart and a lost message share one path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::job::step::{Event, step};
use dvp_model::job::{Job, State, StateName};
use dvp_model::schedule::{Free, Start, Waiting, room, schedule};
use dvp_model::wire::feed::What;
use dvp_model::{JobId, NodeName};

use super::guard::boottime_ms;
use super::{Live, plan, supervise};
use crate::engine::Engine;
use crate::reconcile::{reap, sweep};
use crate::store::StoreError;

/// Plans that are made at once.
const PLANS: usize = 2;

/// Least time between two rounds.
const PAUSE: Duration = Duration::from_millis(20);

/// How often the feed is trimmed.
const TRIM: Duration = Duration::from_secs(3600);

/// Jobs that have a task of this engine, planning or running.
#[derive(Clone, Debug, Default)]
pub struct Active(Arc<Mutex<BTreeSet<JobId>>>);

impl Active {
    /// Whether a task works on `job`.
    pub fn has(&self, job: JobId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&job)
    }

    /// Marks `job` until the mark is dropped, however its task ends.
    fn mark(&self, job: JobId) -> Mark {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
        Mark { active: self.clone(), job }
    }
}

struct Mark {
    active: Active,
    job: JobId,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.active.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}

/// Acts until the engine stops.
pub async fn serve(engine: Engine) {
    let active = Active::default();
    engine.tasks.spawn_until_stop(sweep::serve(engine.clone(), active.clone()));
    let mut commits = engine.store.commits();
    let mut poll = tokio::time::interval(engine.settings.timings.poll);
    let mut trim = tokio::time::interval(TRIM);
    loop {
        tokio::select! {
            () = engine.tasks.token().cancelled() => return,
            _ = poll.tick() => {}
            _ = trim.tick() => {
                sweep::trim_feed(&engine).await;
                sweep::sweep_uploads(&engine).await;
            }
            _ = commits.changed() => {}
        }
        commits.mark_unchanged();
        if let Err(error) = round(&engine, &active).await {
            tracing::warn!("a round of the dispatcher was cut short: {}", Reason::from(error));
        }
        // Commits that come in a burst are looked at together.
        tokio::time::sleep(PAUSE).await;
    }
}

async fn round(engine: &Engine, active: &Active) -> Result<(), StoreError> {
    let leased = reap::reap(engine, active).await?;
    wake(engine).await?;
    let queued = engine.store.jobs_in(StateName::Queued).await?;
    begin_plans(engine, active, &queued, &leased);
    start_runs(engine, active, &queued).await
}

/// Waiting jobs whose moment has come go back into the queue.
async fn wake(engine: &Engine) -> Result<(), StoreError> {
    let now = engine.store.now().await?;
    for job in engine.store.jobs_in(StateName::Waiting).await? {
        let State::Waiting { retry_at, .. } = job.state else { continue };
        if retry_at > now {
            continue;
        }
        let due = |job: &mut Job, now| {
            job.state = step(&job.state, Event::Due, now)?;
            Ok(Vec::new())
        };
        match engine.store.job_change(job.id, due).await {
            // Somebody cancelled or held it just now.
            Err(StoreError::Refused(_)) | Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn begin_plans(engine: &Engine, active: &Active, queued: &[Job], leased: &BTreeSet<JobId>) {
    let unplanned = queued.iter().filter(|job| job.plan.is_none());
    let busy = unplanned.clone().filter(|job| active.has(job.id)).count();
    let next = unplanned.filter(|job| !active.has(job.id) && !leased.contains(&job.id));
    let next = next.take(PLANS.saturating_sub(busy));
    for job in next.cloned().collect::<Vec<_>>() {
        let mark = active.mark(job.id);
        let engine = engine.clone();
        engine.tasks.clone().spawn(async move {
            plan::plan(&engine, job).await;
            drop(mark);
            engine.nudge();
        });
    }
}

async fn start_runs(engine: &Engine, active: &Active, queued: &[Job]) -> Result<(), StoreError> {
    let ready = queued.iter().filter(|job| !active.has(job.id));
    let waiting: Vec<Waiting> = ready.filter_map(waiting).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    for start in schedule(&waiting, &engine.free()) {
        let Some(wanted) = waiting.iter().find(|waiting| waiting.job == start.job) else {
            continue;
        };
        begin_run(engine, active, start, wanted.memory_per_rank).await?;
    }
    Ok(())
}

/// What the scheduler weighs of a job; none before its plan.
fn waiting(job: &Job) -> Option<Waiting> {
    let plan = job.plan.as_ref()?;
    let chunks = (plan.chunks.len() as u32).saturating_sub(job.chunks_done);
    let items = chunks + u32::from(plan.sound && !job.sound_done);
    let left = plan.frames.saturating_sub(job.frames_done);
    let cost = u128::from(plan.cost_ms) * u128::from(left) / u128::from(plan.frames.max(1));
    Some(Waiting {
        job: job.id,
        priority: job.priority,
        cost_ms: cost as u64,
        // A job whose items are all there still wants a slot, to be assembled.
        items: items.max(1),
        ranks: job.ranks_wanted.filter(|_| items > 0),
        memory_per_rank: plan.memory_per_rank,
        since: job.created_at,
    })
}

async fn begin_run(
    engine: &Engine,
    active: &Active,
    start: Start,
    memory_per_rank: u64,
) -> Result<(), StoreError> {
    let lease_ms = engine.settings.timings.lease.as_millis() as i64;
    let claimed_at_ms = boottime_ms();
    let ranks = start.ranks;
    let nodes: Vec<NodeName> = start.places.iter().map(|(node, _)| node.clone()).collect();
    let here = start.places.iter().all(|(node, _)| engine.cluster.member(node).is_none());
    let note = |job: &mut Job, _| {
        job.ranks = ranks;
        job.worked_on(&nodes);
        let reused = job.chunks_done + u32::from(job.sound_done);
        vec![What::Launched { epoch: job.epoch, ranks, nodes, reused }]
    };
    let claim = engine.store.claim(start.job, &engine.owner, &engine.place, lease_ms, note).await;
    let job = match claim {
        Ok(job) => job,
        // Held or cancelled just now, or another engine was faster.
        Err(StoreError::Refused(_) | StoreError::Stale(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let live = Live {
        slots: start.slots(),
        places: if here { Vec::new() } else { start.places.clone() },
        memory_per_slot: memory_per_rank,
        frames_before: job.frames_done,
        ..Live::default()
    };
    engine.live_mut().insert(job.id, live);
    let mark = active.mark(job.id);
    let engine = engine.clone();
    engine.tasks.clone().spawn(async move {
        supervise::run(&engine, job, start, claimed_at_ms).await;
        engine.live_mut().remove(&mark.job);
        drop(mark);
        engine.nudge();
    });
    Ok(())
}

impl Engine {
    /// What the machines of the cluster have left for ranks; without a cluster, what this one has.
    pub fn free(&self) -> Vec<Free> {
        self.free_with(&self.live_mut())
    }

    /// What they have when nothing runs.
    pub fn idle(&self) -> Vec<Free> {
        self.free_with(&BTreeMap::new())
    }

    fn free_with(&self, live: &BTreeMap<JobId, Live>) -> Vec<Free> {
        if self.cluster.is_empty() {
            return vec![self.free_beside(live, None)];
        }
        self.cluster.free(&Self::used_on_nodes(live, None))
    }

    /// What is left here when `job` counts as having nothing.
    fn free_beside(&self, live: &BTreeMap<JobId, Live>, job: Option<JobId>) -> Free {
        let others = || live.iter().filter(|(id, _)| Some(**id) != job).map(|(_, live)| live);
        let used: u32 = others().map(|live| live.slots).sum();
        let memory: u64 =
            others().map(|live| u64::from(live.slots).saturating_mul(live.memory_per_slot)).sum();
        Free {
            node: self.settings.node.clone(),
            slots: self.settings.slots,
            slots_free: self.settings.slots.saturating_sub(used),
            memory_free: self.settings.memory.saturating_sub(memory),
        }
    }

    /// Slots that a running job with so many items left could have.
    pub(super) fn slots_for(&self, job: JobId, items: u32) -> u32 {
        let live = self.live_mut();
        let memory = live.get(&job).map_or(0, |live| live.memory_per_slot);
        room(&self.free_beside(&live, Some(job)), memory).min(items)
    }

    /// The places on the cluster that a running job with so many items left could have.
    pub(super) fn places_for(&self, job: &Job, items: u32) -> Option<Start> {
        self.places_beside(&self.live_mut(), job, items)
    }

    fn places_beside(&self, live: &BTreeMap<JobId, Live>, job: &Job, items: u32) -> Option<Start> {
        let free = self.cluster.free(&Self::used_on_nodes(live, Some(job.id)));
        let wanted = Waiting {
            job: job.id,
            priority: job.priority,
            cost_ms: 0,
            items,
            ranks: job.ranks_wanted,
            memory_per_rank: live.get(&job.id).map_or(0, |live| live.memory_per_slot),
            since: job.created_at,
        };
        schedule(&[wanted], &free).pop()
    }

    /// Gives a running job the places that it has from the scheduler, or those that there are now.
    pub(super) fn places_take(&self, job: &Job, items: u32) -> Option<Start> {
        let mut live = self.live_mut();
        let has = live.get(&job.id).map(|live| live.places.clone()).unwrap_or_default();
        let start = match has.is_empty() {
            true => self.places_beside(&live, job, items)?,
            false => {
                let slots = has.iter().map(|(_, slots)| slots).sum();
                let ranks = job.ranks_wanted.unwrap_or(slots);
                Start { job: job.id, ranks, places: has }
            }
        };
        if let Some(live) = live.get_mut(&job.id) {
            live.places.clone_from(&start.places);
            live.slots = start.slots();
        }
        Some(start)
    }

    /// Gives a running job all slots that it can use for so many items. How many it has then.
    pub(super) fn slots_take(&self, job: JobId, items: u32) -> u32 {
        let slots = self.slots_for(job, items).max(1);
        if let Some(live) = self.live_mut().get_mut(&job) {
            live.slots = slots;
        }
        slots
    }
}
