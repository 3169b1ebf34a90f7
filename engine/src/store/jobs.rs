//! Jobs in the store. A write names the version that it read; a write of a launch names its epoch too.

use std::collections::BTreeMap;

use dvp_model::error::Reason;
use dvp_model::job::{Job, State, StateName};
use dvp_model::time::Millis;
use dvp_model::wire::feed::What;
use dvp_model::{BatchId, Epoch, JobId};

use super::db::{Row, Tx, Value};
use super::{Store, StoreError, feed, id, leases};

impl Store {
    /// Stores a new job with its first feed entries. A second call with the same id stores nothing and
    /// gives back what is there.
    ///
    /// # Errors
    /// When another open job writes to the same output, or the database is away.
    pub async fn job_insert(&self, job: Job, entries: Vec<What>) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        if let Some(there) = read(&mut tx, job.id).await? {
            return Ok(there);
        }
        let output = path_key(&job)?;
        let sql = "SELECT id FROM jobs WHERE output_path = $1 AND is_open = 1";
        if let Some(row) = tx.rows(sql, &[output.clone().into()]).await?.first() {
            let other = row.text(0)?.to_owned();
            return Err(StoreError::Refused(Reason::output(format!(
                "job {other} already writes to {}: wait for it, cancel it, or give another --output",
                job.output_path
            ))));
        }
        let now = self.tx_now(&mut tx).await?;
        let job = Job { version: 1, created_at: now, updated_at: now, ..job };
        if let Some(batch) = job.batch {
            let sql = "INSERT INTO batches (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            tx.run(sql, &[batch.to_string().into(), now.0.into()]).await?;
        }
        let sql = "INSERT INTO jobs (id, version, state, is_open, batch, output_path, retry_at, created_at, body) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let values = [
            id(job.id),
            1.into(),
            job.state.name().as_str().into(),
            is_open(&job).into(),
            job.batch.map(|batch| batch.to_string()).into(),
            output.into(),
            retry_at(&job).into(),
            now.0.into(),
            serde_json::to_string(&job)?.into(),
        ];
        tx.run(sql, &values).await?;
        feed::append(&mut tx, Some(job.id), now, &entries).await?;
        self.commit(tx).await?;
        Ok(job)
    }

    /// One job.
    ///
    /// # Errors
    /// When there is none of that id, or the database is away.
    pub async fn job_get(&self, job: JobId) -> Result<Job, StoreError> {
        let rows = self.db.rows("SELECT body FROM jobs WHERE id = $1", &[id(job)]).await?;
        let row = rows.first().ok_or_else(|| StoreError::NotFound(job.to_string()))?;
        parse(row)
    }

    /// The only job whose id begins with `prefix` (hex digits, with or without dashes).
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn job_by_prefix(&self, prefix: &str) -> Result<Job, StoreError> {
        let hex: String = prefix.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
        if hex.is_empty() || hex.len() > 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(StoreError::NotFound(format!("'{prefix}'; see 'dvp-console jobs'")));
        }
        let sql = "SELECT body FROM jobs WHERE REPLACE(id, '-', '') LIKE $1 || '%' LIMIT 2";
        let rows = self.db.rows(sql, &[hex.into()]).await?;
        match rows.as_slice() {
            [row] => parse(row),
            [] => Err(StoreError::NotFound(format!("'{prefix}'; see 'dvp-console jobs'"))),
            _ => Err(StoreError::Refused(Reason::not_found(format!(
                "more than one job begins with '{prefix}': give more of its id"
            )))),
        }
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn jobs_list(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        let sql = "SELECT body FROM jobs ORDER BY created_at DESC, id LIMIT $1";
        self.db.rows(sql, &[i64::from(limit).into()]).await?.iter().map(parse).collect()
    }

    /// Jobs in one state, oldest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn jobs_in(&self, state: StateName) -> Result<Vec<Job>, StoreError> {
        let sql = "SELECT body FROM jobs WHERE state = $1 ORDER BY created_at, id";
        self.db.rows(sql, &[state.as_str().into()]).await?.iter().map(parse).collect()
    }

    /// Every job that is not at its end, oldest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn jobs_open(&self) -> Result<Vec<Job>, StoreError> {
        let sql = "SELECT body FROM jobs WHERE is_open = 1 ORDER BY created_at, id";
        self.db.rows(sql, &[]).await?.iter().map(parse).collect()
    }

    /// Jobs of a batch, oldest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn jobs_of_batch(&self, batch: BatchId) -> Result<Vec<Job>, StoreError> {
        let sql = "SELECT body FROM jobs WHERE batch = $1 ORDER BY created_at, id";
        self.db.rows(sql, &[batch.to_string().into()]).await?.iter().map(parse).collect()
    }

    /// Number of jobs by state name; states without jobs are left out.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = self.db.rows("SELECT state, COUNT(*) FROM jobs GROUP BY state", &[]).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.int(1)? as u64))).collect()
    }

    /// Writes `job` over the version that it carries, and appends `entries`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the stored version is another one.
    pub async fn job_update(&self, job: &Job, entries: Vec<What>) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        let now = self.tx_now(&mut tx).await?;
        let job = write(&mut tx, job.clone(), now).await?;
        feed::append(&mut tx, Some(job.id), now, &entries).await?;
        self.commit(tx).await?;
        Ok(job)
    }

    /// Reads a job, lets `edit` change it, and writes it with the feed entries that `edit` returns, in one
    /// transaction. `edit` gets the database's clock. An error of `edit` writes nothing.
    ///
    /// # Errors
    /// What `edit` refused, or that there is no such job.
    pub async fn job_change(
        &self,
        job: JobId,
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        let changed = self.change(&mut tx, job, edit).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    /// As [`Store::job_change`], for a launch: only while `epoch` and `owner` hold the lease.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when they don't.
    pub async fn job_change_by(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        let changed = self.change(&mut tx, job, edit).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    /// As [`Store::job_change_by`], and gives the lease back.
    ///
    /// # Errors
    /// [`StoreError::EpochLost`] when the lease is not held.
    pub async fn job_end_by(
        &self,
        job: JobId,
        epoch: Epoch,
        owner: &str,
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Job, StoreError> {
        let mut tx = self.db.write().await?;
        leases::guard(&mut tx, job, epoch, owner).await?;
        let changed = self.change(&mut tx, job, edit).await?;
        tx.run("DELETE FROM leases WHERE job = $1", &[id(job)]).await?;
        self.commit(tx).await?;
        Ok(changed)
    }

    pub(super) async fn change(
        &self,
        tx: &mut Tx,
        job: JobId,
        edit: impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send,
    ) -> Result<Job, StoreError> {
        let now = self.tx_now(tx).await?;
        let mut changed =
            read(tx, job).await?.ok_or_else(|| StoreError::NotFound(job.to_string()))?;
        let was_final = changed.state.name().is_final();
        let entries = edit(&mut changed, now)?;
        if was_final && !changed.state.name().is_final() {
            // A person wants a fresh start: old faults don't count towards its limits.
            (changed.attempts, changed.barren) = (0, 0);
            tx.run("UPDATE ledger SET suspect = 0, kills = 0 WHERE job = $1", &[id(job)]).await?;
        }
        let changed = write(tx, changed, now).await?;
        feed::append(tx, Some(job), now, &entries).await?;
        Ok(changed)
    }
}

pub(super) async fn read(tx: &mut Tx, job: JobId) -> Result<Option<Job>, StoreError> {
    tx.rows("SELECT body FROM jobs WHERE id = $1", &[id(job)]).await?.first().map(parse).transpose()
}

async fn write(tx: &mut Tx, job: Job, now: Millis) -> Result<Job, StoreError> {
    if is_open(&job) == 1 {
        let sql = "SELECT id FROM jobs WHERE output_path = $1 AND is_open = 1 AND id <> $2";
        if let Some(row) = tx.rows(sql, &[path_key(&job)?.into(), id(job.id)]).await?.first() {
            return Err(StoreError::Refused(Reason::output(format!(
                "job {} writes to {} by now: wait for it or cancel it first",
                row.text(0)?,
                job.output_path
            ))));
        }
    }
    let read = job.version;
    let finished_at = match job.state.name().is_final() {
        true => job.finished_at.or(Some(now)),
        false => None,
    };
    let job = Job { version: read + 1, updated_at: now, finished_at, ..job };
    let sql = "UPDATE jobs SET version = $3, state = $4, is_open = $5, retry_at = $6, body = $7 \
               WHERE id = $1 AND version = $2";
    let values: [Value; 7] = [
        id(job.id),
        (read as i64).into(),
        (job.version as i64).into(),
        job.state.name().as_str().into(),
        is_open(&job).into(),
        retry_at(&job).into(),
        serde_json::to_string(&job)?.into(),
    ];
    match tx.run(sql, &values).await? {
        1 => Ok(job),
        _ => Err(StoreError::Stale(job.id)),
    }
}

fn parse(row: &Row) -> Result<Job, StoreError> {
    Ok(serde_json::from_str(row.text(0)?)?)
}

fn is_open(job: &Job) -> i64 {
    i64::from(!job.state.name().is_final())
}

fn retry_at(job: &Job) -> Option<i64> {
    match &job.state {
        State::Waiting { retry_at, .. } => Some(retry_at.0),
        _ => None,
    }
}

/// A path as a text that any database takes, whatever its bytes.
fn path_key(job: &Job) -> Result<String, StoreError> {
    Ok(serde_json::to_string(&job.output_path)?)
}
