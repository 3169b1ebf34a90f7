//! The store: jobs, plans, ledger, leases and the feed in SQLite or PostgreSQL, behind one SQL text.
//! Its clock is the database's. Knows nothing of processes, files or HTTP.

mod cursors;
mod db;
mod feed;
mod jobs;
mod leases;
mod ledger;
mod nodes;
mod plans;

use std::sync::Arc;
use std::time::Duration;

use dvp_model::error::{Kind, Reason};
use dvp_model::time::Millis;
use dvp_model::{Epoch, JobId};
use thiserror::Error;
use tokio::sync::watch;

pub use db::StoreUrl;
pub use feed::FeedQuery;
pub use leases::{Lease, Place};
pub use ledger::Row as LedgerRow;
pub use plans::Publication;

use db::{Db, Tx, Value};

/// Schema steps in order; step n brings the schema to version n + 1. Append only.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_jobs.sql"),
    include_str!("migrations/0002_cursors.sql"),
    include_str!("migrations/0003_nodes.sql"),
];

/// What the store can answer instead of a result.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is away or refuses; the same call may work later.
    #[error("the store does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// The database's server can't be reached or lets nobody in; the same call may work later.
    #[error(
        "PostgreSQL at {name} {why}; start it there, or correct the setting database (`dvp-console config` shows where it comes from)"
    )]
    Away {
        /// Host and port.
        name: String,
        /// What it did.
        why: String,
    },
    /// The row changed since it was read: read it again.
    #[error("job {0} was changed by someone else meanwhile; look again and repeat")]
    Stale(JobId),
    /// The launch that writes has lost its lease: it must stop.
    #[error("epoch {1} of job {0} no longer holds its lease")]
    EpochLost(JobId, Epoch),
    /// No such job.
    #[error("no job {0}")]
    NotFound(String),
    /// Refused for this reason; nothing was written.
    #[error("{0}")]
    Refused(Reason),
    /// The schema is newer than this program.
    #[error(
        "{name} was written by a newer DVP (schema {found}, this one knows {known}): use that version, or another --data-dir"
    )]
    Newer {
        /// The store, for a person.
        name: String,
        /// Its schema version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A row that this program can't have written.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether the same call may work later.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Database(_) | StoreError::Away { .. })
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        StoreError::Corrupt(error.to_string())
    }
}

impl From<Reason> for StoreError {
    fn from(reason: Reason) -> Self {
        StoreError::Refused(reason)
    }
}

impl From<StoreError> for Reason {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Refused(reason) => return reason.clone(),
            StoreError::Database(_) | StoreError::Away { .. } | StoreError::Newer { .. } => {
                Kind::Machine
            }
            StoreError::Stale(_) | StoreError::EpochLost(..) => Kind::Conflict,
            StoreError::NotFound(_) => Kind::NotFound,
            StoreError::Corrupt(_) => Kind::Bug,
        };
        Reason::new(kind, error.to_string())
    }
}

/// A handle on the store; clones share its connections.
#[derive(Clone)]
pub struct Store {
    db: Db,
    url: StoreUrl,
    commits: watch::Sender<u64>,
    /// What this handle says of its commits, so that it does not listen to itself.
    word: Arc<str>,
}

/// Pause before a lost link to the database's news is made again.
const RELISTEN: Duration = Duration::from_secs(1);

impl Store {
    /// Opens the database, makes or upgrades its schema.
    ///
    /// # Errors
    /// When it can't be reached, or its schema is newer than this program.
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        let db = Db::open(url).await?;
        let word = format!("{:016x}", rand::random::<u64>()).into();
        let store = Self { db, url: url.clone(), commits: watch::Sender::new(0), word };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        tx.run("CREATE TABLE IF NOT EXISTS dvp_schema (version BIGINT NOT NULL)", &[]).await?;
        let rows = tx.rows("SELECT version FROM dvp_schema", &[]).await?;
        let found = rows.first().map(|row| row.int(0)).transpose()?;
        let known = MIGRATIONS.len() as i64;
        let version = found.unwrap_or(0);
        if version > known {
            return Err(StoreError::Newer { name: self.url.name(), found: version, known });
        }
        for text in &MIGRATIONS[version as usize..] {
            for statement in text.split(";\n") {
                tx.run(statement, &[]).await?;
            }
        }
        if found.is_none() {
            tx.run("INSERT INTO dvp_schema (version) VALUES ($1)", &[known.into()]).await?;
        } else if version < known {
            tx.run("UPDATE dvp_schema SET version = $1", &[known.into()]).await?;
        }
        tx.commit().await
    }

    /// The database's clock.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn now(&self) -> Result<Millis, StoreError> {
        let rows = self.db.rows(self.db.clock(), &[]).await?;
        clock_of(&rows)
    }

    /// What serves, for a person: `SQLite 3.50.2`, `PostgreSQL 15.8`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn version(&self) -> Result<String, StoreError> {
        self.db.version().await
    }

    /// Sees a new value after every commit made through this process, and after those of other processes
    /// while [`Store::listen`] runs.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Makes everyone who waits on [`Store::commits`] look again.
    pub fn nudge(&self) {
        self.commits.send_modify(|count| *count += 1);
    }

    /// Hears of other processes' commits, where the database tells them, for as long as it is polled. A lost
    /// link is made again; what was told meanwhile is found by looking.
    pub async fn listen(&self) {
        while self.db.tells() {
            let heard = |word: Option<&str>| {
                if word != Some(&*self.word) {
                    self.nudge();
                }
            };
            if let Err(error) = self.db.listen(heard).await {
                tracing::warn!("commits of other engines are not heard of now: {error}");
            }
            tokio::time::sleep(RELISTEN).await;
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.db.close().await;
    }

    async fn tx_now(&self, tx: &mut Tx) -> Result<Millis, StoreError> {
        clock_of(&tx.rows(self.db.clock(), &[]).await?)
    }

    async fn commit(&self, mut tx: Tx) -> Result<(), StoreError> {
        tx.tell(&self.word).await?;
        tx.commit().await?;
        self.nudge();
        Ok(())
    }
}

fn clock_of(rows: &[db::Row]) -> Result<Millis, StoreError> {
    let row = rows.first().ok_or_else(|| StoreError::Corrupt("the clock gave no row".into()))?;
    Ok(Millis(row.int(0)?))
}

fn id(job: JobId) -> Value {
    Value::from(job.to_string())
}
