//! The work stage of a run: one launch, from mpirun's start until nothing of it is left. Hands out items,
//! notices silence. What comes back is taken by `accept`; how it ends is judged by `blame`.

mod accept;
mod blame;
mod spread;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dvp_model::error::{Kind, Reason};
use dvp_model::job::Lane;
use dvp_model::job::assign::{Assign, Entry, Hand};
use dvp_model::plan::Plan;
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::{FromWorker, PROTOCOL, RankInfo, SILENCE_MS, ToWorker, Versions};
use dvp_model::{Item, Millis, NodeName, Rank};
use rustix::process::Signal;
use tokio::time::Instant;

use super::End;
use super::guard::Order;
use super::publish::check_space;
use super::supervise::{Run, work_space};
use crate::exec::{Ended, Running, local, tag};
use crate::launch::folder;
use crate::launch::link::{Heard, Link};
use crate::launch::mpirun::{self, Launch};
use crate::store::LedgerRow;

/// Time from mpirun's start to the first word of rank 0.
const GREETING: Duration = Duration::from_secs(60);
/// Time from the last accepted item to the end of all ranks.
const FAREWELL: Duration = Duration::from_secs(20);
/// Time that a launch gets before it makes room for a bigger one.
const SETTLED: Duration = Duration::from_secs(3);
/// Pace of the checks that need no message.
const TICK: Duration = Duration::from_secs(1);

/// Works until every item of the ledger is accepted, or the launch ends otherwise.
pub(super) async fn work(run: &Run<'_>, plan: &Arc<Plan>, rows: &[LedgerRow]) -> Result<(), End> {
    let settings = &run.engine.settings;
    let left = rows.iter().filter(|row| row.accepted.is_none()).count() as u32;
    let frames_left = plan.frames().saturating_sub(accepted_frames(rows));
    if let Some(root) = run.engine.objects.root() {
        check_space(root, work_space(plan, frames_left))?;
    }
    if run.is_spread {
        return work_spread(run, plan, rows, left).await;
    }
    let slots = run.engine.slots_take(run.id, run.job.ranks_wanted.unwrap_or(left).min(left));
    let ranks = run.job.ranks_wanted.unwrap_or(slots);
    if ranks != run.ranks.swap(ranks, Ordering::Relaxed) {
        run.note_ranks(ranks, std::slice::from_ref(&settings.node)).await?;
    }
    let folder = folder::make(&settings.data_dir, &run.tag, ranks)?;
    let invocation = mpirun::invocation(&Launch {
        mpirun: settings.mpirun.clone(),
        worker: settings.worker.clone(),
        run: run.tag.clone(),
        folder,
        ranks,
        root: rustix::process::geteuid().is_root(),
    });
    let nodes = vec![settings.node.clone(); ranks as usize];
    let result = match local::spawn(&invocation) {
        Ok(process) => launch(run, plan, rows, process.into(), nodes).await,
        Err(reason) => match mpirun::version(&settings.mpirun).await {
            Err(missing) => Err(missing.into()),
            Ok(_) => Err(reason.into()),
        },
    };
    folder::remove(&settings.data_dir, &run.tag);
    result
}

/// The same over machines of the cluster.
async fn work_spread(
    run: &Run<'_>,
    plan: &Arc<Plan>,
    rows: &[LedgerRow],
    left: u32,
) -> Result<(), End> {
    // There is no room any more: the scheduler finds some.
    let start = run.engine.places_take(&run.job, left).ok_or(End::Requeue)?;
    let places = spread_ranks(&start.places, start.ranks);
    if start.ranks != run.ranks.swap(start.ranks, Ordering::Relaxed) {
        let nodes: Vec<NodeName> = places.iter().map(|(node, _)| node.clone()).collect();
        run.note_ranks(start.ranks, &nodes).await?;
    }
    let members = spread::members(run, &places)?;
    let ready = spread::prepare(run, plan, members, &places).await?;
    let result = launch(run, plan, rows, ready.running, ready.nodes).await;
    let result = spread::finish(run, &ready.members, result).await;
    run.with_live(|live| {
        live.places.clear();
        live.slots = 0;
    });
    result
}

/// So many ranks on these slots, in turn where there are more ranks than slots.
fn spread_ranks(places: &[(NodeName, u32)], ranks: u32) -> Vec<(NodeName, u32)> {
    let slots: u32 = places.iter().map(|(_, slots)| slots).sum();
    let (each, more) = match places.len() as u32 {
        0 => (0, 0),
        count => (ranks.saturating_sub(slots) / count, ranks.saturating_sub(slots) % count),
    };
    let places = places.iter().enumerate().map(|(position, (node, slots))| {
        (node.clone(), slots + each + u32::from((position as u32) < more))
    });
    places.collect()
}

/// One launch on `nodes` (by rank), from just after mpirun's start until nothing of it is left here.
async fn launch(
    run: &Run<'_>,
    plan: &Arc<Plan>,
    rows: &[LedgerRow],
    running: Running,
    nodes: Vec<NodeName>,
) -> Result<(), End> {
    let since = run.guard.persist(|| run.engine.store.now()).await?;
    run.with_live(|live| {
        live.tool = None;
        live.since = Some(since);
        live.frames_before = accepted_frames(rows);
        live.killed.clear();
    });
    let mut work = Work::new(run, plan.clone(), rows, nodes);
    let mut link = Link::open(running, &run.engine.tasks);
    let mut result = work.drive(&mut link).await;
    drop(link);
    // The link is gone; whatever the ranks made of that, nothing of this launch outlives this point.
    if let Err(reason) = tag::kill_all(&run.tag, Duration::from_secs(10)).await {
        result = result.and(Err(reason.into()));
    }
    run.with_live(|live| {
        live.lanes.clear();
        live.in_hand.clear();
    });
    work.flush_log().await?;
    result
}

fn accepted_frames(rows: &[LedgerRow]) -> u64 {
    let chunks = rows.iter().filter(|row| row.item != Item::Sound);
    chunks.filter_map(|row| Some(row.accepted.as_ref()?.report.frames)).sum()
}

struct Work<'a> {
    run: &'a Run<'a>,
    plan: Arc<Plan>,
    ranks: u32,
    nodes: Vec<NodeName>,
    assign: Assign,
    rows: BTreeMap<Item, LedgerRow>,
    greeted: bool,
    draining: Option<Instant>,
    started: Instant,
    last_heard: Instant,
    last_tick: Instant,
    moved: BTreeMap<Rank, Instant>,
    died: Option<(Rank, String)>,
    lost_machine: bool,
    /// Ranks that want an item and may not have one, once for each.
    withheld: Vec<Rank>,
    log: Vec<What>,
    log_lines: usize,
    last_words: String,
}

impl<'a> Work<'a> {
    fn new(run: &'a Run<'a>, plan: Arc<Plan>, rows: &[LedgerRow], nodes: Vec<NodeName>) -> Self {
        let entries = rows.iter().map(|row| Entry {
            item: row.item,
            attempts: row.attempts,
            suspicion: row.suspicion,
            done: row.accepted.is_some(),
        });
        let now = Instant::now();
        Self {
            run,
            plan,
            ranks: nodes.len() as u32,
            nodes,
            assign: Assign::new(entries.collect()),
            rows: rows.iter().map(|row| (row.item, row.clone())).collect(),
            greeted: false,
            draining: None,
            started: now,
            last_heard: now,
            last_tick: now,
            moved: BTreeMap::new(),
            died: None,
            lost_machine: false,
            withheld: Vec::new(),
            log: Vec::new(),
            log_lines: 0,
            last_words: String::new(),
        }
    }

    async fn drive(&mut self, link: &mut Link) -> Result<(), End> {
        link.say(ToWorker::Job { run: self.run.tag.clone(), plan: Box::new((*self.plan).clone()) });
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                order = self.run.guard.order() => {
                    self.stop(link, order).await;
                    return Err(End::Ordered(order));
                }
                heard = link.hear() => match heard {
                    Some(Heard::Line(line)) => {
                        self.last_heard = Instant::now();
                        self.line(*line, link).await?;
                    }
                    Some(Heard::Log(line)) => self.note(line),
                    Some(Heard::Garbled(what)) => {
                        let reason = Reason::bug(format!("rank 0 wrote no protocol: {what}"));
                        return self.lost(End::Retry { reason, blame: true }).await;
                    }
                    Some(Heard::Ended(ended)) => return self.ended(ended).await,
                    None => return self.ended(Ended::Unknown).await,
                },
                _ = tick.tick() => self.tick().await?,
            }
            let done = self.assign.left() == 0;
            // All is accepted; what does not end by itself is killed by whoever called.
            if done && self.draining.is_some_and(|since| since.elapsed() > FAREWELL) {
                return Ok(());
            }
            self.hand_out(link).await?;
            let turn = done || self.all_withheld() || self.should_grow();
            if self.greeted && self.draining.is_none() && turn {
                self.draining = Some(Instant::now());
                link.say(ToWorker::Drain);
            }
        }
    }

    /// Whether slots became free that would at least double the ranks, and there is work for them: then
    /// the ranks finish what they have, and more of them go on.
    fn should_grow(&self) -> bool {
        let (run, left) = (self.run, self.assign.left());
        if run.job.ranks_wanted.is_some() || self.started.elapsed() < SETTLED {
            return false;
        }
        let more = match run.is_spread {
            true => run.engine.places_for(&run.job, left).map_or(0, |start| start.ranks),
            false => run.engine.slots_for(run.id, left),
        };
        more >= 2 * self.ranks && left >= 2 * more
    }

    /// Whether a person drains the machine of a rank, or took it away.
    fn is_drained(&self, rank: Rank) -> bool {
        let node = self.nodes.get(rank as usize).filter(|_| self.run.is_spread);
        node.is_some_and(|node| self.run.engine.cluster.is_drained(node))
    }

    /// Whether no rank may have another item, and none has one.
    fn all_withheld(&self) -> bool {
        let withheld: BTreeSet<&Rank> = self.withheld.iter().collect();
        withheld.len() == self.ranks as usize && self.assign.in_hand().next().is_none()
    }

    /// Takes up what ranks wanted whose machines are no longer drained.
    fn give_again(&mut self) {
        let (still, again): (Vec<Rank>, Vec<Rank>) =
            std::mem::take(&mut self.withheld).into_iter().partition(|rank| self.is_drained(*rank));
        self.withheld = still;
        again.into_iter().for_each(|rank| self.assign.want(rank));
    }

    async fn line(&mut self, line: FromWorker, link: &Link) -> Result<(), End> {
        match line {
            FromWorker::Hello { versions, ranks } => self.hello(&versions, &ranks).await?,
            FromWorker::Want { rank } if self.is_drained(rank) => self.withheld.push(rank),
            FromWorker::Want { rank } => self.assign.want(rank),
            FromWorker::Progress { rank, item, frames } => self.progress(rank, item, frames),
            FromWorker::Done { rank, item, attempt, report } => {
                self.done(rank, item, attempt, report).await?;
                link.say(ToWorker::Ok { rank, item });
            }
            FromWorker::Failed { item, reason, .. } => {
                return Err(match reason.kind {
                    Kind::Machine => End::Retry { reason, blame: false },
                    Kind::Bug => End::Fail(Reason::bug(format!("{item} failed: {}", reason.text))),
                    _ => End::Fail(reason),
                });
            }
            FromWorker::Refused { reason } => return self.lost(reason.into()).await,
            FromWorker::Beat | FromWorker::Bye => {}
        }
        Ok(())
    }

    async fn hello(&mut self, versions: &Versions, ranks: &[RankInfo]) -> Result<(), End> {
        if versions.protocol != PROTOCOL {
            return Err(Reason::machine(format!(
                "the worker speaks protocol {}, this engine speaks {PROTOCOL}: install both from one build",
                versions.protocol
            ))
            .into());
        }
        let wrong = |info: &&RankInfo| info.fingerprint != self.plan.fingerprint;
        if let Some(info) = ranks.iter().find(wrong) {
            return Err(Reason::machine(format!(
                "rank {} on {} has another worker or other libraries than the plan was made with",
                info.rank, info.host
            ))
            .into());
        }
        if ranks.len() as u32 != self.ranks {
            return Err(Reason::machine(format!(
                "{} ranks came up where {} were started: mpirun and the worker use different MPIs",
                ranks.len(),
                self.ranks
            ))
            .into());
        }
        self.greeted = true;
        let seen_at = self.run.guard.persist(|| self.run.engine.store.now()).await?;
        let lanes: BTreeMap<Rank, Lane> =
            ranks.iter().map(|info| (info.rank, self.lane(info, seen_at))).collect();
        self.run.with_live(|live| live.lanes = lanes);
        Ok(())
    }

    fn lane(&self, info: &RankInfo, seen_at: Millis) -> Lane {
        Lane {
            rank: info.rank,
            node: match self.nodes.get(info.rank as usize) {
                Some(node) => node.clone(),
                None => NodeName(info.host.clone()),
            },
            pid: info.pid,
            item: None,
            progress: 0,
            done: 0,
            seen_at,
        }
    }

    fn progress(&mut self, rank: Rank, item: Item, frames: u64) {
        if !self.assign.has(rank, item) {
            return;
        }
        self.moved.insert(rank, Instant::now());
        let now = self.shown_now();
        self.run.with_live(|live| {
            live.in_hand.insert(item, (rank, frames));
            if let Some(lane) = live.lanes.get_mut(&rank) {
                (lane.item, lane.progress, lane.seen_at) = (Some(item), frames, now);
            }
        });
    }

    /// Gives out what ranks want, unless the lease has lapsed: then they wait until it is renewed.
    async fn hand_out(&mut self, link: &Link) -> Result<(), End> {
        if !self.greeted || self.draining.is_some() || !self.run.guard.is_valid() {
            return Ok(());
        }
        let hands: Vec<Hand> = std::iter::from_fn(|| self.assign.next_hand()).collect();
        if hands.is_empty() {
            return Ok(());
        }
        let (engine, run) = (self.run.engine, self.run);
        let items: Vec<Item> = hands.iter().map(|hand| hand.item).collect();
        let write = || engine.store.ledger_hand_out(run.id, run.epoch, &engine.owner, &items);
        run.guard.persist(write).await?;
        for Hand { rank, item, attempt } in hands {
            let put = engine.objects.put(&run.tag, item, attempt)?;
            self.moved.insert(rank, Instant::now());
            run.with_live(|live| {
                live.in_hand.insert(item, (rank, 0));
                if let Some(lane) = live.lanes.get_mut(&rank)
                    && lane.item.is_none()
                {
                    (lane.item, lane.progress) = (Some(item), 0);
                }
            });
            link.say(ToWorker::Do { rank, item, attempt, put });
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        // This process was frozen, or the machine was: then silence says nothing.
        if now - self.last_tick > 4 * TICK {
            let frozen = now - self.last_tick;
            self.last_heard += frozen;
            self.started += frozen;
            self.moved.values_mut().for_each(|at| *at += frozen);
        }
        self.last_tick = now;
        self.flush_log().await?;
        self.give_again();
        if self.run.is_spread
            && let Some(reason) =
                self.nodes.iter().find_map(|node| self.run.engine.cluster.lost(node))
        {
            let end = End::Retry { reason: Reason::machine(reason.text), blame: false };
            let _ = self.lost(end).await;
            self.run.guard.check()?;
            return Err(End::Requeue);
        }
        let late = |what: &str| Err(End::Retry { reason: Reason::machine(what), blame: true });
        if !self.greeted {
            return match now - self.started > GREETING {
                true => late("the ranks did not come up within a minute"),
                false => Ok(()),
            };
        }
        if now.saturating_duration_since(self.last_heard) > Duration::from_millis(SILENCE_MS) {
            return late("the ranks fell silent");
        }
        let stall = self.run.engine.settings.timings.stall;
        let stalled = self.assign.in_hand().find(|(rank, _)| {
            self.moved.get(rank).is_some_and(|at| now.saturating_duration_since(*at) > stall)
        });
        if let Some((rank, item)) = stalled {
            self.blame(Some(rank), &format!("made no progress on {item} in {} s", stall.as_secs()))
                .await?;
        }
        Ok(())
    }

    async fn flush_log(&mut self) -> Result<(), End> {
        if self.log.is_empty() {
            return Ok(());
        }
        let log = std::mem::take(&mut self.log);
        let (store, id) = (&self.run.engine.store, self.run.id);
        match store.feed_append(Some(id), log).await {
            Err(error) if !error.is_transient() => Err(End::Fail(error.into())),
            // A log is not worth waiting for.
            _ => Ok(()),
        }
    }

    /// Tells the ranks to stop, and gives them a moment for it.
    async fn stop(&mut self, link: &mut Link, order: Order) {
        let grace = self.run.engine.settings.timings.grace;
        if order != Order::Lost {
            link.say(ToWorker::Cancel);
            let gone = async {
                while let Some(heard) = link.hear().await {
                    match heard {
                        Heard::Ended(_) => return,
                        Heard::Log(line) => self.note(line),
                        _ => {}
                    }
                }
            };
            if tokio::time::timeout(grace, gone).await.is_ok() {
                return;
            }
        }
        tag::signal_all(&self.run.tag, Signal::TERM);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// About now, by the store's clock, without asking it.
    fn shown_now(&self) -> Millis {
        let since = self.run.engine.live_mut().get(&self.run.id).and_then(|live| live.since);
        since.unwrap_or_default().plus(self.started.elapsed().as_millis() as i64)
    }
}
