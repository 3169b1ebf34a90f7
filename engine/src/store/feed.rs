//! The feed: what happened, append-only, each reader with a cursor of its own.

use dvp_model::JobId;
use dvp_model::time::Millis;
use dvp_model::wire::feed::{Entry, What};

use super::db::{Row, Tx, Value};
use super::{Store, StoreError};

/// The query for [`last`].
pub(super) const LAST: &str = "SELECT seq FROM feed ORDER BY seq DESC LIMIT 1";

/// What a reader of the feed wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct FeedQuery {
    /// Only entries after this one.
    pub after: u64,
    /// Only this job's.
    pub job: Option<JobId>,
    /// At most so many.
    pub limit: u32,
    /// The newest rather than the oldest ones; oldest first all the same.
    pub tail: bool,
}

impl Store {
    /// Appends entries about `job`, or about the engine.
    ///
    /// # Errors
    /// When the database is away, or there is no such job.
    pub async fn feed_append(
        &self,
        job: Option<JobId>,
        entries: Vec<What>,
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.write().await?;
        let now = self.tx_now(&mut tx).await?;
        append(&mut tx, job, now, &entries).await?;
        self.commit(tx).await
    }

    /// Entries after a cursor, oldest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn feed_read(&self, query: FeedQuery) -> Result<Vec<Entry>, StoreError> {
        let after = Value::from(query.after as i64);
        let limit = Value::from(i64::from(query.limit));
        let job = query.job.map(|job| Value::from(job.to_string()));
        let rows = match (job, query.tail) {
            (None, false) => {
                let sql =
                    "SELECT seq, at, job, body FROM feed WHERE seq > $1 ORDER BY seq LIMIT $2";
                self.db.rows(sql, &[after, limit]).await?
            }
            (None, true) => {
                let sql =
                    "SELECT seq, at, job, body FROM feed WHERE seq > $1 ORDER BY seq DESC LIMIT $2";
                self.db.rows(sql, &[after, limit]).await?
            }
            (Some(job), false) => {
                let sql = "SELECT seq, at, job, body FROM feed WHERE seq > $1 AND job = $3 ORDER BY seq LIMIT $2";
                self.db.rows(sql, &[after, limit, job]).await?
            }
            (Some(job), true) => {
                let sql = "SELECT seq, at, job, body FROM feed WHERE seq > $1 AND job = $3 ORDER BY seq DESC LIMIT $2";
                self.db.rows(sql, &[after, limit, job]).await?
            }
        };
        let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if query.tail {
            entries.reverse();
        }
        Ok(entries)
    }

    /// The number of the newest entry; 0 when there is none.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn feed_last(&self) -> Result<u64, StoreError> {
        last(&self.db.rows(LAST, &[]).await?)
    }

    /// Deletes entries older than `before`, except those of jobs that are still open. How many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn feed_trim(&self, before: Millis) -> Result<u64, StoreError> {
        let mut tx = self.db.write().await?;
        let sql = "DELETE FROM feed WHERE at < $1 AND seq < (SELECT MAX(seq) FROM feed) \
                   AND (job IS NULL OR job NOT IN (SELECT id FROM jobs WHERE is_open = 1))";
        let gone = tx.run(sql, &[before.0.into()]).await?;
        self.commit(tx).await?;
        Ok(gone)
    }
}

/// Appends within a transaction that holds the write lock, so that numbers are committed in order.
pub(super) async fn append(
    tx: &mut Tx,
    job: Option<JobId>,
    at: Millis,
    entries: &[What],
) -> Result<(), StoreError> {
    for what in entries {
        let sql = "INSERT INTO feed (seq, at, job, body) \
                   SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3 FROM feed";
        let body = serde_json::to_string(what)?;
        let job = job.map(|job| job.to_string());
        tx.run(sql, &[at.0.into(), job.into(), body.into()]).await?;
    }
    Ok(())
}

/// The number of the newest entry, out of the rows of [`LAST`]; 0 when there is none.
pub(super) fn last(rows: &[Row]) -> Result<u64, StoreError> {
    Ok(rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0) as u64)
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq: row.int(0)? as u64,
        at: Millis(row.int(1)?),
        job: row
            .text_or_none(2)?
            .map(str::parse)
            .transpose()
            .map_err(|error| StoreError::Corrupt(format!("feed: {error}")))?,
        what: serde_json::from_str(row.text(3)?)?,
    })
}
