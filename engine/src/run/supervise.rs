//! One run of a job, from its claim to its end: checks that the plan still holds, works, assembles,
//! publishes; then writes down how it ended and gives the lease back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use dvp_model::error::{Kind, Reason};
use dvp_model::estimate;
use dvp_model::job::step::{Event, backoff_ms, step};
use dvp_model::job::{HeldBy, Job, Phase, State};
use dvp_model::media::Identity;
use dvp_model::plan::Plan;
use dvp_model::schedule::Start;
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::{Accepted, AssembleRequest, Assembled, Locator};
use dvp_model::{Epoch, Item, JobId, Millis, NodeName, RunTag};

use super::guard::{Guard, Order};
use super::publish::{self, Target};
use super::{End, work};
use crate::engine::Engine;
use crate::exec::tag;
use crate::launch::tool;
use crate::reconcile::sweep;
use crate::store::{Lease, LedgerRow, Publication};

/// Launches in a row that end in a fault and bring nothing, after which a job is given up.
const BARREN_LIMIT: u32 = 5;

/// A run, as its stages see it.
pub(super) struct Run<'a> {
    pub engine: &'a Engine,
    pub guard: Guard,
    pub id: JobId,
    pub epoch: Epoch,
    pub tag: RunTag,
    /// Ranks of its newest launch.
    pub ranks: AtomicU32,
    /// Its ranks run on machines of the cluster, and not here.
    pub is_spread: bool,
    pub target: Target,
    pub job: Job,
}

/// Runs `job`, which was claimed at `claimed_at_ms` of the boot clock, to an end.
pub async fn run(engine: &Engine, job: Job, start: Start, claimed_at_ms: u64) {
    let run = Run {
        engine,
        guard: Guard::start(engine, job.id, job.epoch, claimed_at_ms),
        id: job.id,
        epoch: job.epoch,
        tag: RunTag { job: job.id, epoch: job.epoch },
        ranks: AtomicU32::new(start.ranks),
        is_spread: engine.live_mut().get(&job.id).is_some_and(|live| !live.places.is_empty()),
        target: Target::of(&job),
        job,
    };
    if let Err(end) = run.stages().await {
        tracing::info!("epoch {} of job {} ends: {end:?}", run.epoch, run.id);
        run.close(end).await;
    }
}

impl Run<'_> {
    async fn stages(&self) -> Result<(), End> {
        let store = &self.engine.store;
        let plan = self.guard.persist(|| store.plan_get(self.id)).await?;
        let plan = plan.ok_or_else(|| Reason::bug("a claimed job has no plan"))?;
        self.check(&plan).await?;
        if let Some(publication) = self.found_publication().await? {
            return publish::publish(self, &plan, &publication).await;
        }
        let plan = Arc::new(plan);
        let mut repaired: BTreeSet<Item> = BTreeSet::new();
        loop {
            let rows = self.guard.persist(|| store.ledger_read(self.id)).await?;
            if rows.iter().any(|row| row.accepted.is_none()) {
                work::work(self, &plan, &rows).await?;
                continue;
            }
            self.enter(Phase::Assembling).await?;
            match self.assemble(&plan, &rows).await {
                Ok(publication) => return publish::publish(self, &plan, &publication).await,
                // An object that is damaged again, just made, is not mended by making it once more.
                Err(failure) if failure.damaged.iter().any(|item| !repaired.contains(item)) => {
                    repaired.extend(&failure.damaged);
                    self.revoke(failure).await?;
                    self.enter(Phase::Working).await?;
                }
                Err(failure) => {
                    self.guard.check()?;
                    return Err(failure.reason.into());
                }
            }
        }
    }

    /// Whether plan, worker and input still belong together.
    async fn check(&self, plan: &Plan) -> Result<(), End> {
        let versions = self.engine.versions().await?;
        if versions.fingerprint != plan.fingerprint {
            return Err(End::Replan(Reason::machine(
                "the worker or its libraries changed since the plan was made: the job starts again from its plan",
            )));
        }
        match check_input(&plan.input) {
            Err(_) if self.job.chunks_done == 0 && !self.job.sound_done => Err(End::Replan(
                Reason::input("the input changed before work began: it is planned again"),
            )),
            Err(reason) => Err(End::Fail(reason)),
            Ok(()) => Ok(()),
        }
    }

    pub(super) async fn enter(&self, phase: Phase) -> Result<(), End> {
        let (store, owner) = (&self.engine.store, &self.engine.owner);
        let edit = |job: &mut Job, now| {
            if matches!(job.state, State::Running { phase: of, .. } if of == phase) {
                return Ok(Vec::new());
            }
            job.state = step(&job.state, Event::Enter(self.epoch, phase), now)?;
            Ok(vec![What::Entered { phase }])
        };
        let entered = self.guard.persist(|| store.job_change_by(self.id, self.epoch, owner, edit));
        match entered.await {
            Ok(_) => Ok(()),
            // The job is to be held or cancelled: the order is on its way.
            Err(End::Fail(reason)) if reason.kind == Kind::Conflict => {
                Err(End::Ordered(Order::Stop))
            }
            Err(end) => Err(end),
        }
    }

    /// Writes down that a launch has other ranks than the one before.
    pub(super) async fn note_ranks(&self, ranks: u32, nodes: &[NodeName]) -> Result<(), End> {
        let (store, owner) = (&self.engine.store, &self.engine.owner);
        let edit = |job: &mut Job, _| {
            job.ranks = ranks;
            job.worked_on(nodes);
            let reused = job.chunks_done + u32::from(job.sound_done);
            let nodes = nodes.to_vec();
            Ok(vec![What::Launched { epoch: self.epoch, ranks, nodes, reused }])
        };
        let note = || store.job_change_by(self.id, self.epoch, owner, edit);
        self.guard.persist(note).await.map(drop)
    }

    async fn assemble(
        &self,
        plan: &Plan,
        rows: &[LedgerRow],
    ) -> Result<Publication, tool::Failure> {
        let objects: Vec<Accepted> = rows.iter().filter_map(|row| row.accepted.clone()).collect();
        all_there(&objects, &self.engine.objects.list(self.id).await?)?;
        let bytes: u64 = objects.iter().map(|accepted| accepted.report.size).sum();
        self.target.check(self.job.force)?;
        self.target.clear()?;
        publish::check_space(self.target.folder(), bytes + bytes / 20 + publish::SPARE)?;
        self.with_live(|live| {
            live.slots = 1;
            live.places.clear();
            live.tool = Some((0, 0));
            live.lanes.clear();
        });
        let remarks = objects.iter().flat_map(|accepted| accepted.report.remarks.clone()).collect();
        let request = AssembleRequest {
            plan: plan.clone(),
            objects,
            output: self.target.temporary.clone().into(),
        };
        let progress = |done, total| self.with_live(|live| live.tool = Some((done, total)));
        let worker = &self.engine.settings.worker;
        let assembled = tokio::select! {
            assembled = tool::assemble(worker, &self.tag, &request, progress) => assembled,
            _ = self.guard.order() => Err(Reason::conflict("told to stop").into()),
        };
        tag::kill_all(&self.tag, self.engine.settings.timings.grace).await?;
        let assembled = assembled.and_then(|output| whole(plan, output).map_err(Into::into));
        if assembled.is_err() {
            self.target.clear()?;
        }
        let Assembled { sha256, bytes, frames } = assembled?;
        let output =
            dvp_model::job::Output { path: self.job.output_path.clone(), sha256, bytes, frames };
        Ok(Publication { output, remarks })
    }

    async fn revoke(&self, failure: tool::Failure) -> Result<(), End> {
        let (store, owner) = (&self.engine.store, &self.engine.owner);
        let rows = self.guard.persist(|| store.ledger_read(self.id)).await?;
        let edit = |job: &mut Job, _| {
            for row in rows.iter().filter(|row| failure.damaged.contains(&row.item)) {
                match (row.item, &row.accepted) {
                    (Item::Sound, Some(_)) => job.sound_done = false,
                    (Item::Chunk(_), Some(accepted)) => {
                        job.chunks_done = job.chunks_done.saturating_sub(1);
                        job.frames_done = job.frames_done.saturating_sub(accepted.report.frames);
                    }
                    _ => {}
                }
            }
            let items = failure.damaged.clone();
            Ok(vec![What::Lost { epoch: self.epoch, reason: failure.reason.clone(), items }])
        };
        let revoke = || store.ledger_revoke(self.id, self.epoch, owner, &failure.damaged, &edit);
        self.guard.persist(revoke).await.map(drop)
    }

    /// An earlier epoch's file, whole under its temporary or under its final name, if there is one.
    async fn found_publication(&self) -> Result<Option<Publication>, End> {
        let store = &self.engine.store;
        let publication = self.guard.persist(|| store.publication_get(self.id)).await?;
        let Some(publication) = publication else { return Ok(None) };
        let (target, output) = (self.target.clone(), publication.output.clone());
        let holds = move || target.is_published(&output) || target.take_over(&output);
        let found = tokio::task::spawn_blocking(holds).await.unwrap_or(false);
        Ok(found.then_some(publication))
    }

    pub(super) fn with_live(&self, edit: impl FnOnce(&mut super::Live)) {
        if let Some(live) = self.engine.live_mut().get_mut(&self.id) {
            edit(live);
        }
    }

    /// Writes down how the run ended, and gives the lease back. Nothing of the launch is left by then.
    async fn close(&self, end: End) {
        let closed = match end {
            // Whoever has the job now, or the next start of this engine, cleans up.
            End::Ordered(Order::Lost) => Ok(()),
            End::Ordered(Order::Shutdown) | End::Requeue => self.give_back(Vec::new()).await,
            End::Ordered(Order::Stop) => self.end_with(Event::Stopped(self.epoch), false).await,
            End::Retry { reason, blame } => self.retry(reason, blame).await,
            End::Fail(reason) => self.end_with(Event::Fail(Some(self.epoch), reason), false).await,
            End::Replan(reason) => self.replan(reason).await,
        };
        if let Err(end) = closed {
            tracing::warn!(
                "the end of epoch {} of job {} was not stored: {end:?}",
                self.epoch,
                self.id
            );
        }
    }

    /// Back into the queue without blame.
    async fn give_back(&self, entries: Vec<What>) -> Result<(), End> {
        let store = &self.engine.store;
        let lease = Lease {
            job: self.id,
            epoch: self.epoch,
            owner: self.engine.owner.to_string(),
            here: true,
            expired: false,
        };
        let _ = self.target.clear();
        // One try: the next start does the same for a lease that is left.
        store.lease_end(&lease, entries).await.map_err(|error| End::Fail(error.into()))
    }

    async fn replan(&self, reason: Reason) -> Result<(), End> {
        let store = &self.engine.store;
        let edit = |job: &mut Job, _| {
            job.plan = None;
            (job.chunks_done, job.frames_done, job.sound_done) = (0, 0, false);
            Ok(vec![What::Alarm { reason: reason.clone() }])
        };
        let drop = || store.plan_drop(self.id, self.epoch, &self.engine.owner, edit);
        self.guard.persist(drop).await?;
        self.give_back(Vec::new()).await
    }

    async fn retry(&self, reason: Reason, blame: bool) -> Result<(), End> {
        let store = &self.engine.store;
        let job = self.guard.persist(|| store.job_get(self.id)).await?;
        let barren = job.barren + 1;
        if barren >= BARREN_LIMIT && !reason.kind.is_transient() {
            let text =
                format!("given up after {barren} launches in a row that brought nothing: {reason}");
            let reason = Reason::new(reason.kind, text);
            return self.end_with(Event::Fail(Some(self.epoch), reason), blame).await;
        }
        let now = self.guard.persist(|| store.now()).await?;
        // A machine's fault mends no sooner for being asked at once.
        let failures = barren + u32::from(reason.kind.is_transient());
        let at = now.plus(backoff_ms(failures, rand::random()));
        self.end_with(Event::Retry(Some(self.epoch), reason, at), blame).await
    }

    async fn end_with(&self, event: Event, blame: bool) -> Result<(), End> {
        let (store, owner) = (&self.engine.store, &self.engine.owner);
        let _ = self.target.clear();
        let fault = matches!(event, Event::Retry(..) | Event::Fail(..));
        let edit = |job: &mut Job, now: Millis| {
            job.state = step(&job.state, event.clone(), now)?;
            job.attempts += u32::from(blame);
            job.barren += u32::from(fault);
            Ok(entries_of(&job.state))
        };
        // The lease goes with it, whatever orders came meanwhile.
        let end = || store.job_end_by(self.id, self.epoch, owner, edit);
        loop {
            match end().await {
                Ok(job) => {
                    sweep::sweep_ended(self.engine, &job).await;
                    return Ok(());
                }
                Err(error) if error.is_transient() && !self.engine.tasks.is_stopping() => {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
                Err(error) => return Err(End::Fail(error.into())),
            }
        }
    }
}

/// What the feed says when a job comes to this state.
fn entries_of(state: &State) -> Vec<What> {
    match state {
        State::Cancelled => vec![What::Cancelled],
        State::Failed { reason } => vec![What::Failed { reason: reason.clone() }],
        State::Waiting { retry_at, why } => {
            vec![What::WillRetry { at: *retry_at, reason: why.clone() }]
        }
        State::Held { by } => {
            let reason = match by {
                HeldBy::Person => None,
                HeldBy::Engine(reason) => Some(reason.clone()),
            };
            vec![What::Held { reason }]
        }
        _ => Vec::new(),
    }
}

/// Finds objects that are gone or cut off, all at once; what is in them the assembly itself checks.
fn all_there(objects: &[Accepted], found: &[(Locator, u64)]) -> Result<(), tool::Failure> {
    let found: BTreeMap<&Locator, u64> = found.iter().map(|(it, bytes)| (it, *bytes)).collect();
    let lacks = |accepted: &&Accepted| found.get(&accepted.object) != Some(&accepted.report.size);
    let damaged: Vec<Item> = objects.iter().filter(lacks).map(|accepted| accepted.item).collect();
    match damaged.first() {
        None => Ok(()),
        Some(first) => Err(tool::Failure {
            reason: Reason::machine(format!(
                "{} accepted objects are gone or cut off, the first is that of {first}: they are computed again",
                damaged.len()
            )),
            damaged,
        }),
    }
}

/// An assembled file with another number of frames than planned is no output.
fn whole(plan: &Plan, output: Assembled) -> Result<Assembled, Reason> {
    match output.frames == plan.frames() {
        true => Ok(output),
        false => Err(Reason::bug(format!(
            "the assembled file has {} frames where the plan has {}",
            output.frames,
            plan.frames()
        ))),
    }
}

/// Whether the input is still the file that was planned.
///
/// # Errors
/// When it is gone or another one.
pub(super) fn check_input(planned: &Identity) -> Result<(), Reason> {
    use std::os::unix::fs::MetadataExt;
    let path = &planned.path;
    let found = std::fs::metadata(path.as_path())
        .map_err(|error| Reason::input(format!("the input {path} can't be read: {error}")))?;
    let nanoseconds = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
    let found = Identity {
        path: path.clone(),
        size: found.len(),
        mtime_ns: nanoseconds(found.mtime(), found.mtime_nsec()),
        ctime_ns: nanoseconds(found.ctime(), found.ctime_nsec()),
        inode: found.ino(),
    };
    match planned.is_same(&found) {
        true => Ok(()),
        false => Err(Reason::input(format!(
            "the input changed: {path} is not the file that was planned; submit it again when it no longer changes"
        ))),
    }
}

/// Free space that a launch wants for what is left of `plan`, bytes.
pub(super) fn work_space(plan: &Plan, frames_left: u64) -> u64 {
    let pixels = u64::from(plan.video.width) * u64::from(plan.video.height);
    let lossless = plan.spec.encode.codec.is_lossless();
    estimate::object_bytes(pixels, frames_left, lossless) + publish::SPARE
}
