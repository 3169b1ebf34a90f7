//! Frozen plans, and outputs that are about to get their name.

use dvp_model::error::Reason;
use dvp_model::job::{Job, Output};
use dvp_model::plan::Plan;
use dvp_model::time::Millis;
use dvp_model::wire::feed::What;
use dvp_model::{Epoch, JobId};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, id, leases, ledger};

/// An output whose file is whole and verified under its temporary name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// What will be there.
    pub output: Output,
    /// What ranks remarked, for the manifest.
    pub remarks: Vec<String>,
}

impl Store {
    /// Freezes a plan: stores it with an empty ledger, edits the job, in one transaction. Replaces an older
    /// plan of the job and forgets what was accepted for that.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when `owner` has no right to plan, and what `edit` refused.
    pub async fn plan_put(
        &self,
        job: JobId,
        owner: &str,
        plan: &Plan,
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, Epoch::PLANNING, owner).await?;
        ledger::clear(&mut tx, job).await?;
        let sql = "INSERT INTO plans (job, hash, fingerprint, body) VALUES ($1, $2, $3, $4)";
        let body = serde_json::to_string(plan)?;
        let values = [id(job), plan.hash().into(), plan.fingerprint.clone().into(), body.into()];
        tx.run(sql, &values).await?;
        ledger::fill(&mut tx, job, plan).await?;
        let changed = self.change(&mut tx, job, edit).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    /// The frozen plan of a job, if it has one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn plan_get(&self, job: JobId) -> Result<Option<Plan>, StoreError> {
        let rows = self.db.rows("SELECT body FROM plans WHERE job = $1", &[id(job)]).await?;
        rows.first().map(|row| Ok(serde_json::from_str(row.text(0)?)?)).transpose()
    }

    /// Forgets a job's plan with everything accepted for it, and edits the job.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when the lease is not held, and what `edit` refused.
    pub async fn plan_drop(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        ledger::clear(&mut tx, job).await?;
        let changed = self.change(&mut tx, job, edit).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    /// Notes what is about to be published under `epoch`.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when the lease is not held.
    pub async fn publication_put(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        publication: &Publication,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        tx.run("DELETE FROM publications WHERE job = $1", &[id(job)]).await?;
        let sql = "INSERT INTO publications (job, epoch, body) VALUES ($1, $2, $3)";
        let body = serde_json::to_string(publication)?;
        tx.run(sql, &[id(job), i64::from(epoch.0).into(), body.into()]).await?;
        self.commit(tx).await
    }

    /// What a launch of this job was about to publish, if any was.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn publication_get(&self, job: JobId) -> Result<Option<Publication>, StoreError> {
        let sql = "SELECT body FROM publications WHERE job = $1";
        let rows = self.db.rows(sql, &[id(job)]).await?;
        rows.first().map(|row| Ok(serde_json::from_str(row.text(0)?)?)).transpose()
    }
}
