//! Why a launch ended before its work, and who is to blame: mpirun's words are the only witness of which
//! rank died.

use dvp_model::error::Reason;
use dvp_model::job::assign::KILLS_LIMIT;
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::exit;
use dvp_model::{Item, Rank};

use super::Work;
use crate::exec::Ended;
use crate::launch::mpirun;
use crate::run::End;

/// Lines of stderr that a launch may bring into the feed.
const LOG_LINES: usize = 200;

impl Work<'_> {
    /// A line of the launch's stderr.
    pub(super) fn note(&mut self, line: String) {
        if let Some((rank, how)) = mpirun::death(&line) {
            self.died.get_or_insert((rank, how));
        } else if let Some(rank) = mpirun::early_end(&line) {
            self.died.get_or_insert((rank, "ended early".to_owned()));
        }
        self.lost_machine |= mpirun::lost_machine(&line);
        self.log_lines += 1;
        if self.log_lines <= LOG_LINES {
            self.log.push(What::Log { epoch: self.run.epoch, line: line.clone() });
        }
        self.last_words = line;
    }

    /// mpirun ended: what to make of it.
    pub(super) async fn ended(&mut self, ended: Ended) -> Result<(), End> {
        let drained = self.draining.is_some() && self.assign.in_hand().next().is_none();
        if self.assign.left() == 0 || (drained && ended == Ended::Code(0)) {
            return Ok(());
        }
        if ended == Ended::Code(i32::from(exit::LINK)) {
            let reason = Reason::machine("the ranks lost their link to the engine");
            return self.lost(End::Retry { reason, blame: false }).await;
        }
        if let Ended::Signal(signal) = ended {
            let reason = Reason::job(format!("mpirun was killed by signal {signal}"));
            return self.lost(End::Retry { reason, blame: true }).await;
        }
        if self.lost_machine {
            let reason = Reason::machine("mpirun lost a machine");
            return self.lost(End::Retry { reason, blame: false }).await;
        }
        match self.died.clone() {
            Some((rank, how)) if self.was_asked(rank) => {
                let reason = Reason::job(format!("rank {rank} {how}, as asked"));
                let _ = self.lost(reason.into()).await;
                self.run.guard.check()?;
                Err(End::Requeue)
            }
            Some((rank, how)) if self.greeted => self.blame(Some(rank), &how).await,
            None if self.greeted => self.blame(None, "died").await,
            _ => {
                let words = match self.last_words.as_str() {
                    "" => format!("{ended:?}"),
                    words => words.to_owned(),
                };
                let reason = Reason::machine(format!("the ranks could not be started: {words}"));
                self.lost(End::Retry { reason, blame: false }).await
            }
        }
    }

    /// Whether a person had this rank killed.
    fn was_asked(&self, rank: Rank) -> bool {
        let live = self.run.engine.live_mut();
        live.get(&self.run.id).is_some_and(|live| live.killed.contains(&rank))
    }

    /// A rank died or hangs: marks the suspects, gives up the item that must be the cause too often.
    pub(super) async fn blame(&mut self, dead: Option<Rank>, how: &str) -> Result<(), End> {
        let blame = self.assign.blame(dead);
        let (engine, run) = (self.run.engine, self.run);
        let write = || {
            let (suspects, killer) = (&blame.suspects, blame.killer);
            engine.store.ledger_blame(run.id, run.epoch, &engine.owner, suspects, killer)
        };
        run.guard.persist(write).await?;
        let who = match dead {
            Some(rank) => format!("rank {rank}"),
            None => "a rank".to_owned(),
        };
        let killer = blame.killer.and_then(|item| self.rows.get(&item));
        if let Some(row) = killer
            && row.kills + 1 >= KILLS_LIMIT
        {
            let reason = Reason::job(format!(
                "{} kills its rank: {KILLS_LIMIT} times with nothing else in hand, the last time {who} {how}; \
                 the input may be damaged there, 'dvp-worker chunk' repeats it alone",
                row.item
            ));
            return self.lost(End::Fail(reason)).await;
        }
        let reason = Reason::job(format!("{who} {how}"));
        self.lost(End::Retry { reason, blame: true }).await
    }

    /// Writes down what was in flight, and ends with `end`.
    pub(super) async fn lost(&mut self, end: End) -> Result<(), End> {
        let reason = match &end {
            End::Retry { reason, .. } | End::Fail(reason) | End::Replan(reason) => reason.clone(),
            End::Ordered(_) | End::Requeue => return Err(end),
        };
        let items: Vec<Item> = self.assign.in_hand().map(|(_, item)| item).collect();
        let entry = What::Lost { epoch: self.run.epoch, reason, items };
        let (store, id) = (&self.run.engine.store, self.run.id);
        self.run.guard.persist(|| store.feed_append(Some(id), vec![entry.clone()])).await?;
        Err(end)
    }
}
