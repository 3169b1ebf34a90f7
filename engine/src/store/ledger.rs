//! The chunk ledger: a row an item. An item is accepted by the first row change that names the epoch
//! which holds the lease; rows and objects together are the checkpoint.

use dvp_model::error::Reason;
use dvp_model::job::Job;
use dvp_model::job::assign::Suspicion;
use dvp_model::plan::Plan;
use dvp_model::time::Millis;
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::{Accepted, Locator, Report};
use dvp_model::{ChunkIndex, Epoch, Item, JobId, Rank};

use super::db::{Row as DbRow, Tx, Value};
use super::{Store, StoreError, id, leases};

/// An item of a job's ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What.
    pub item: Item,
    /// How often it was handed out.
    pub attempts: u32,
    /// Whether it is suspected of killing its rank.
    pub suspicion: Suspicion,
    /// Ranks that died with nothing but it in hand.
    pub kills: u32,
    /// The rank that made it, once accepted.
    pub rank: Option<Rank>,
    /// The epoch that made it, once accepted.
    pub epoch: Option<Epoch>,
    /// The accepted object.
    pub accepted: Option<Accepted>,
}

impl Store {
    /// All items of a job: the sound first, then chunks in order. Empty before the plan.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ledger_read(&self, job: JobId) -> Result<Vec<Row>, StoreError> {
        let sql = "SELECT position, attempts, suspect, kills, epoch, worker_rank, object, sha256, report \
                   FROM ledger WHERE job = $1 ORDER BY position";
        self.db.rows(sql, &[id(job)]).await?.iter().map(row).collect()
    }

    /// Notes that items were handed out once more.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when the lease is not held.
    pub async fn ledger_hand_out(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        items: &[Item],
    ) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        for item in items {
            let sql = "UPDATE ledger SET attempts = attempts + 1 WHERE job = $1 AND position = $2";
            tx.run(sql, &[id(job), position(*item)]).await?;
        }
        self.commit(tx).await
    }

    /// Accepts an item, unless it was accepted before, and edits the job in the same transaction. Gives
    /// the job and whether the item is newly accepted.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when the lease is not held.
    #[allow(clippy::too_many_arguments, reason = "a row's columns")]
    pub async fn ledger_accept(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        rank: Rank,
        accepted: &Accepted,
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Option<Job>, StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        let sql = "UPDATE ledger SET epoch = $3, worker_rank = $4, object = $5, sha256 = $6, report = $7, \
                   suspect = 0 WHERE job = $1 AND position = $2 AND sha256 IS NULL";
        let values: [Value; 7] = [
            id(job),
            position(accepted.item),
            i64::from(epoch.0).into(),
            i64::from(rank).into(),
            serde_json::to_string(&accepted.object)?.into(),
            accepted.sha256.clone().into(),
            serde_json::to_string(&accepted.report)?.into(),
        ];
        if tx.run(sql, &values).await? == 0 {
            return Ok(None);
        }
        let changed = self.change(&mut tx, job, edit).await?;
        self.commit(tx).await?;
        Ok(Some(changed))
    }

    /// Takes back accepted items whose objects turned out damaged or missing: they are computed again.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when the lease is not held.
    pub async fn ledger_revoke(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        items: &[Item],
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        for item in items {
            let sql = "UPDATE ledger SET epoch = NULL, worker_rank = NULL, object = NULL, sha256 = NULL, \
                       report = NULL WHERE job = $1 AND position = $2";
            tx.run(sql, &[id(job), position(*item)]).await?;
        }
        let changed = self.change(&mut tx, job, edit).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    /// Notes who was in hand when a rank died: `suspects` run alone from now on, `killer` (one that was
    /// alone in hand) counts one more death.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when the lease is not held.
    pub async fn ledger_blame(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        suspects: &[(Item, Suspicion)],
        killer: Option<Item>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        for (item, suspicion) in suspects {
            let sql =
                "UPDATE ledger SET suspect = $3 WHERE job = $1 AND position = $2 AND suspect < $3";
            let level = *suspicion as i64;
            tx.run(sql, &[id(job), position(*item), level.into()]).await?;
        }
        if let Some(item) = killer {
            let sql = "UPDATE ledger SET kills = kills + 1 WHERE job = $1 AND position = $2";
            tx.run(sql, &[id(job), position(item)]).await?;
        }
        self.commit(tx).await
    }

    /// Forgets what was accepted for a job that is at its end, because its objects go. False, and nothing
    /// happens, when it is not at its end (any more).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ledger_forget(&self, job: JobId) -> Result<bool, StoreError> {
        let mut tx = self.db.write().await?;
        match super::jobs::read(&mut tx, job).await? {
            Some(found) if found.state.name().is_final() => {}
            _ => return Ok(false),
        }
        let sql = "UPDATE ledger SET epoch = NULL, worker_rank = NULL, object = NULL, sha256 = NULL, \
                   report = NULL WHERE job = $1 AND sha256 IS NOT NULL";
        if tx.run(sql, &[id(job)]).await? > 0 {
            let edit = |job: &mut Job, _| {
                (job.chunks_done, job.frames_done, job.sound_done) = (0, 0, false);
                Ok(Vec::new())
            };
            self.change(&mut tx, job, edit).await?;
        }
        tx.run("DELETE FROM publications WHERE job = $1", &[id(job)]).await?;
        self.commit(tx).await?;
        Ok(true)
    }
}

pub(super) async fn fill(tx: &mut Tx, job: JobId, plan: &Plan) -> Result<(), StoreError> {
    for item in plan.items() {
        let sql =
            "INSERT INTO ledger (job, position, attempts, suspect, kills) VALUES ($1, $2, 0, 0, 0)";
        tx.run(sql, &[id(job), position(item)]).await?;
    }
    Ok(())
}

/// Forgets plan, ledger and publication of a job.
pub(super) async fn clear(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    tx.run("DELETE FROM ledger WHERE job = $1", &[id(job)]).await?;
    tx.run("DELETE FROM publications WHERE job = $1", &[id(job)]).await?;
    tx.run("DELETE FROM plans WHERE job = $1", &[id(job)]).await?;
    Ok(())
}

fn position(item: Item) -> Value {
    Value::from(match item {
        Item::Sound => -1,
        Item::Chunk(index) => i64::from(index.0),
    })
}

fn row(row: &DbRow) -> Result<Row, StoreError> {
    let item = match row.int(0)? {
        -1 => Item::Sound,
        index => Item::Chunk(ChunkIndex(index as u32)),
    };
    let accepted = match (row.text_or_none(6)?, row.text_or_none(7)?, row.text_or_none(8)?) {
        (Some(object), Some(sha256), Some(report)) => Some(Accepted {
            item,
            object: serde_json::from_str::<Locator>(object)?,
            sha256: sha256.to_owned(),
            report: serde_json::from_str::<Report>(report)?,
        }),
        _ => None,
    };
    Ok(Row {
        item,
        attempts: row.int(1)? as u32,
        suspicion: match row.int(2)? {
            0 => Suspicion::None,
            1 => Suspicion::Rank,
            _ => Suspicion::Launch,
        },
        kills: row.int(3)? as u32,
        epoch: row.int_or_none(4)?.map(|epoch| Epoch(epoch as u32)),
        rank: row.int_or_none(5)?.map(|rank| rank as Rank),
        accepted,
    })
}
