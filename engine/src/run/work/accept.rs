//! Accepts what ranks bring: checked against plan, file and neighbours, then written down once.

use dvp_model::error::Reason;
use dvp_model::job::{Job, seam};
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::{Accepted, Report};
use dvp_model::{ChunkIndex, Item, Rank};
use tokio::time::Instant;

use super::Work;
use crate::run::{End, Live};

impl Work<'_> {
    /// `rank` says that `item` is finished.
    pub(super) async fn done(
        &mut self,
        rank: Rank,
        item: Item,
        attempt: u32,
        report: Report,
    ) -> Result<(), End> {
        if !self.assign.has(rank, item) {
            return self.twice(item, &report).await;
        }
        let (engine, run) = (self.run.engine, self.run);
        let object = engine.objects.put(&run.tag, item, attempt)?;
        if engine.objects.size(&object).await? != Some(report.size) {
            let reason = Reason::machine(format!(
                "the object of {item} is not what its rank wrote ({} bytes): does the place of {object} work?",
                report.size
            ));
            return Err(End::Retry { reason, blame: true });
        }
        self.check_report(item, &report)?;
        let accepted = Accepted { item, object, sha256: report.sha256.clone(), report };
        let edit = |job: &mut Job, _| {
            match item {
                Item::Sound => job.sound_done = true,
                Item::Chunk(_) => {
                    job.chunks_done += 1;
                    job.frames_done += accepted.report.frames;
                }
            }
            job.barren = 0;
            Ok(vec![What::Accepted { item, rank, wall_ms: accepted.report.wall_ms }])
        };
        let accept =
            || engine.store.ledger_accept(run.id, run.epoch, &engine.owner, rank, &accepted, edit);
        run.guard.persist(accept).await?;
        self.assign.done(rank, item);
        self.moved.insert(rank, Instant::now());
        if let Some(row) = self.rows.get_mut(&item) {
            row.accepted = Some(accepted);
        }
        let next = self.assign.in_hand().find(|(other, _)| *other == rank).map(|(_, item)| item);
        let (left, now) = (self.assign.left(), self.shown_now());
        run.with_live(|live: &mut Live| {
            live.in_hand.remove(&item);
            live.slots = live.slots.min(left.max(1));
            if let Some(lane) = live.lanes.get_mut(&rank) {
                (lane.item, lane.progress, lane.seen_at) = (next, 0, now);
                lane.done += 1;
            }
        });
        Ok(())
    }

    /// A result for an item that is not in that rank's hand: harmless if it is the same again.
    async fn twice(&mut self, item: Item, report: &Report) -> Result<(), End> {
        let known = self.rows.get(&item).and_then(|row| row.accepted.as_ref());
        match known {
            Some(accepted) if accepted.sha256 != report.sha256 => {
                let reason = Reason::bug(format!(
                    "{item} was computed twice with different results ({} and {}): the first one stays",
                    accepted.sha256, report.sha256
                ));
                let (store, id) = (&self.run.engine.store, self.run.id);
                let alarm =
                    || store.feed_append(Some(id), vec![What::Alarm { reason: reason.clone() }]);
                self.run.guard.persist(alarm).await
            }
            _ => Ok(()),
        }
    }

    /// What a rank says of an item must fit the plan and its neighbours.
    fn check_report(&self, item: Item, report: &Report) -> Result<(), End> {
        let Item::Chunk(index) = item else { return Ok(()) };
        let planned = self.plan.chunks.get(index.0 as usize).map(|chunk| u64::from(chunk.frames));
        if planned != Some(report.frames) {
            return Err(End::Fail(Reason::job(format!(
                "{item} came back with {} frames where the plan has {}",
                report.frames,
                planned.unwrap_or(0)
            ))));
        }
        let witness = |index: u32| {
            let row = self.rows.get(&Item::Chunk(ChunkIndex(index)))?;
            Some(&row.accepted.as_ref()?.report.witness)
        };
        let before = index
            .0
            .checked_sub(1)
            .and_then(|left| seam::disagreement(ChunkIndex(left), witness(left)?, &report.witness));
        let after =
            witness(index.0 + 1).and_then(|next| seam::disagreement(index, &report.witness, next));
        match before.or(after) {
            Some(what) => Err(End::Fail(Reason::job(format!(
                "two chunks do not meet: {what}; the input may be damaged there"
            )))),
            None => Ok(()),
        }
    }
}
