//! Leases: the right to work on a job, for a while, on the database's clock. Whoever finds one that has
//! run out may end that launch; from then on the epoch's writes change nothing.

use dvp_model::error::Reason;
use dvp_model::job::step::{Event, step};
use dvp_model::job::{Job, State, StateName};
use dvp_model::time::Millis;
use dvp_model::wire::feed::What;
use dvp_model::{Epoch, JobId, NodeName};
use serde::{Deserialize, Serialize};

use super::db::{Row, Tx};
use super::{Store, StoreError, id};

/// Where an engine works: leases of the same place are dead as soon as another engine has its lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The machine.
    pub node: NodeName,
    /// Its data folder, as a text that differs for each.
    pub folder: String,
}

impl Place {
    fn key(&self) -> String {
        format!("{}:{}", self.node, self.folder)
    }
}

/// A lease as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The launch.
    pub epoch: Epoch,
    /// The engine's start that holds it.
    pub owner: String,
    /// Whether the launch ran where the asker runs.
    pub here: bool,
    /// Whether it ran out.
    pub expired: bool,
}

impl Store {
    /// Gives a queued job its next epoch and a lease of `lease_ms`.
    ///
    /// # Errors
    /// A refusal when the job is no longer queued.
    pub async fn claim(
        &self,
        job: JobId,
        owner: &str,
        place: &Place,
        lease_ms: i64,
        edit: impl FnOnce(&mut Job, Millis) -> Vec<What> + Send,
    ) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        let now = self.tx_now(&mut tx).await?;
        let changed = self
            .change(&mut tx, job, |job, now| {
                let epoch = Epoch(job.epoch.0 + 1);
                job.state = step(&job.state, Event::Claim(epoch), now)?;
                job.epoch = epoch;
                job.started_at = job.started_at.or(Some(now));
                Ok(edit(job, now))
            })
            .await?;
        tx.run("DELETE FROM leases WHERE job = $1", &[id(job)]).await?;
        let sql =
            "INSERT INTO leases (job, epoch, owner, place, expires_at) VALUES ($1, $2, $3, $4, $5)";
        let values = [
            id(job),
            i64::from(changed.epoch.0).into(),
            owner.into(),
            place.key().into(),
            now.plus(lease_ms).0.into(),
        ];
        tx.run(sql, &values).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    /// Takes the right to plan a queued job that has no plan, for `lease_ms`: a lease of
    /// [`Epoch::PLANNING`]. False when another engine has it, or no plan is wanted any more.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn plan_claim(
        &self,
        job: JobId,
        owner: &str,
        place: &Place,
        lease_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.write().await?;
        let now = self.tx_now(&mut tx).await?;
        let sql = "INSERT INTO leases (job, epoch, owner, place, expires_at) \
                   SELECT id, $2, $3, $4, $5 FROM jobs WHERE id = $1 AND state = $6 \
                   AND NOT EXISTS (SELECT 1 FROM plans WHERE job = $1) ON CONFLICT DO NOTHING";
        let values = [
            id(job),
            i64::from(Epoch::PLANNING.0).into(),
            owner.into(),
            place.key().into(),
            now.plus(lease_ms).0.into(),
            StateName::Queued.as_str().into(),
        ];
        let claimed = tx.run(sql, &values).await?;
        tx.commit().await?;
        Ok(claimed == 1)
    }

    /// Gives the right to plan back, if `owner` has it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn plan_leave(&self, job: JobId, owner: &str) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        let sql = "DELETE FROM leases WHERE job = $1 AND epoch = $2 AND owner = $3";
        let values = [id(job), i64::from(Epoch::PLANNING.0).into(), owner.into()];
        tx.run(sql, &values).await?;
        self.commit(tx).await
    }

    /// Renews a lease. False when it is no longer there: the launch must stop.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn lease_renew(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        lease_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.write().await?;
        let now = self.tx_now(&mut tx).await?;
        let sql = "UPDATE leases SET expires_at = $4 WHERE job = $1 AND epoch = $2 AND owner = $3";
        let values =
            [id(job), i64::from(epoch.0).into(), owner.into(), now.plus(lease_ms).0.into()];
        let changed = tx.run(sql, &values).await?;
        tx.commit().await?;
        Ok(changed == 1)
    }

    /// Every lease, as seen from `place`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn leases(&self, place: &Place) -> Result<Vec<Lease>, StoreError> {
        let now = self.now().await?;
        let rows =
            self.db.rows("SELECT job, epoch, owner, place, expires_at FROM leases", &[]).await?;
        rows.iter().map(|row| lease(row, place, now)).collect()
    }

    /// Ends a launch without blame and frees its job: back into the queue, or held or cancelled if that
    /// was asked. Nothing happens when the lease has changed hands meanwhile.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn lease_end(&self, lease: &Lease, entries: Vec<What>) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        let sql = "DELETE FROM leases WHERE job = $1 AND epoch = $2 AND owner = $3";
        let values = [id(lease.job), i64::from(lease.epoch.0).into(), lease.owner.as_str().into()];
        if tx.run(sql, &values).await? == 0 {
            return Ok(());
        }
        self.change(&mut tx, lease.job, |job, now| requeue(job, lease.epoch, now, entries)).await?;
        self.commit(tx).await
    }
}

fn requeue(
    job: &mut Job,
    epoch: Epoch,
    now: Millis,
    mut entries: Vec<What>,
) -> Result<Vec<What>, Reason> {
    if let State::Running { epoch: of, .. }
    | State::Holding { epoch: of, .. }
    | State::Cancelling { epoch: of } = &job.state
        && *of == epoch
    {
        job.state = step(&job.state, Event::Requeue(epoch), now)?;
        match &job.state {
            State::Cancelled => entries.push(What::Cancelled),
            State::Held { .. } => entries.push(What::Held { reason: None }),
            _ => {}
        }
    }
    Ok(entries)
}

/// Refuses to go on unless `epoch` and `owner` hold the lease of `job`.
pub(super) async fn guard(
    tx: &mut Tx,
    job: JobId,
    epoch: Epoch,
    owner: &str,
) -> Result<(), StoreError> {
    let sql = "SELECT epoch FROM leases WHERE job = $1 AND epoch = $2 AND owner = $3";
    let values = [id(job), i64::from(epoch.0).into(), owner.into()];
    match tx.rows(sql, &values).await?.is_empty() {
        false => Ok(()),
        true => Err(StoreError::EpochLost(job, epoch)),
    }
}

fn lease(row: &Row, place: &Place, now: Millis) -> Result<Lease, StoreError> {
    Ok(Lease {
        job: row
            .text(0)?
            .parse()
            .map_err(|error| StoreError::Corrupt(format!("leases: {error}")))?,
        epoch: Epoch(row.int(1)? as u32),
        owner: row.text(2)?.to_owned(),
        here: row.text(3)? == place.key(),
        expired: Millis(row.int(4)?) < now,
    })
}
