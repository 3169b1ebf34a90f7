//! The seam between one SQL text and two databases: bind, run, read. The only file that names sqlx's
//! drivers. Knows nothing of jobs.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    Connection as _, Postgres, Row as _, Sqlite, Transaction, TypeInfo as _, ValueRef as _,
};

use super::StoreError;

/// Which database keeps the jobs.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file on this machine; made when missing.
    Sqlite(PathBuf),
    /// A PostgreSQL server: `postgres://user:password@host/database`.
    Postgres(String),
}

/// Without the password.
impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl StoreUrl {
    /// For a person: the file, or the server without credentials.
    pub fn name(&self) -> String {
        match self {
            StoreUrl::Sqlite(path) => format!("the SQLite file {}", path.display()),
            StoreUrl::Postgres(url) => match PgConnectOptions::from_str(url) {
                Ok(options) => format!(
                    "the PostgreSQL database {} on {}",
                    options.get_database().unwrap_or("(default)"),
                    options.get_host()
                ),
                Err(_) => "a PostgreSQL database".to_owned(),
            },
        }
    }
}

/// A value that is bound or read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Value::Int(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(Some(value.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Value::Text(value)
    }
}

/// One row of a result, by position.
#[derive(Clone, Debug)]
pub(super) struct Row(Vec<Value>);

impl Row {
    /// A number that is there.
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.int_or_none(column)?.ok_or_else(|| corrupt(column))
    }

    /// A number or NULL.
    pub fn int_or_none(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            Some(Value::Text(None)) => Ok(None),
            _ => Err(corrupt(column)),
        }
    }

    /// A text that is there.
    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.text_or_none(column)?.ok_or_else(|| corrupt(column))
    }

    /// A text or NULL.
    pub fn text_or_none(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(value.as_deref()),
            Some(Value::Int(None)) => Ok(None),
            _ => Err(corrupt(column)),
        }
    }
}

fn corrupt(column: usize) -> StoreError {
    StoreError::Corrupt(format!("column {column} is not of the kind that was written"))
}

macro_rules! bind_all {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_deref()),
            };
        }
        query
    }};
}

macro_rules! read_row {
    ($name:ident, $row:ty) => {
        fn $name(row: &$row) -> Result<Row, StoreError> {
            let mut values = Vec::with_capacity(row.len());
            for column in 0..row.len() {
                let raw = row.try_get_raw(column)?;
                let value = match raw.type_info().name() {
                    "TEXT" | "VARCHAR" => Value::Text(row.try_get(column)?),
                    "NULL" => Value::Text(None),
                    _ => Value::Int(row.try_get(column)?),
                };
                values.push(value);
            }
            Ok(Row(values))
        }
    };
}
read_row!(read_sqlite, SqliteRow);
read_row!(read_postgres, PgRow);

/// Where commits are told.
const CHANNEL: &str = "dvp_commits";

/// How long SQLite's file may be in another's hands.
const BUSY: Duration = Duration::from_secs(10);

/// How long PostgreSQL may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Says which PostgreSQL is away; never with the password.
fn away(options: &PgConnectOptions, why: impl Into<String>) -> StoreError {
    let (host, port) = (options.get_host(), options.get_port());
    let name = match options.get_socket() {
        Some(folder) => format!("{} (port {port})", folder.display()),
        None => format!("{host}:{port}"),
    };
    StoreError::Away { name, why: why.into() }
}

/// What a failed call means: a server that is away, or something else.
fn fault(options: &PgConnectOptions, error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Io(error) => away(options, format!("does not answer: {error}")),
        sqlx::Error::Tls(error) => away(options, format!("takes no TLS connection: {error}")),
        sqlx::Error::PoolTimedOut => {
            away(options, format!("did not answer within {} s", ANSWER.as_secs()))
        }
        other => other.into(),
    }
}

fn is_locked(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY; extended codes keep it in their lowest byte.
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// A pool of connections to either.
#[derive(Clone)]
pub(super) enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Db {
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        match url {
            StoreUrl::Sqlite(path) => Self::open_sqlite(path).await,
            StoreUrl::Postgres(url) => Self::open_postgres(url).await,
        }
    }

    async fn open_postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("dvp-engine");
        // The pool would hide why: it goes on trying, and says that time is up.
        let first = tokio::time::timeout(ANSWER, PgConnection::connect_with(&options)).await;
        match first.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => connection.close().await?,
            Err(sqlx::Error::Database(error)) => {
                return Err(away(&options, format!("refuses: {}", error.message())));
            }
            Err(error) => return Err(fault(&options, error)),
        }
        let pools = PgPoolOptions::new().max_connections(8).acquire_timeout(ANSWER);
        Ok(Db::Postgres(pools.connect_lazy_with(options)))
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let pools = SqlitePoolOptions::new().max_connections(4);
        let pools = pools.acquire_timeout(Duration::from_secs(20));
        let until = Instant::now() + BUSY;
        loop {
            match pools.clone().connect_with(options.clone()).await {
                Ok(pool) => return Ok(Db::Sqlite(pool)),
                // Of two that turn a fresh file's journal into a write-ahead log at the same time SQLite
                // refuses one at once, without waiting.
                Err(error) if is_locked(&error) && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The database's clock as an SQL expression: milliseconds since 1970.
    pub fn clock(&self) -> &'static str {
        match self {
            Db::Sqlite(_) => {
                "SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
            }
            Db::Postgres(_) => {
                "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)"
            }
        }
    }

    /// What serves, for a person.
    pub async fn version(&self) -> Result<String, StoreError> {
        let (name, sql) = match self {
            Db::Sqlite(_) => ("SQLite", "SELECT sqlite_version()"),
            Db::Postgres(_) => {
                ("PostgreSQL", "SELECT CAST(current_setting('server_version') AS TEXT)")
            }
        };
        let rows = self.rows(sql, &[]).await?;
        let version = rows.first().map(|row| row.text(0)).transpose()?.unwrap_or("?");
        Ok(format!("{name} {}", version.split_whitespace().next().unwrap_or("?")))
    }

    /// A transaction that writes. Only one is open at a time on a database: SQLite takes its write lock
    /// at once, PostgreSQL an advisory lock, so that what is read in it stays true and the feed's numbers
    /// become visible in their order.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        match self {
            Db::Sqlite(pool) => Ok(Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)),
            Db::Postgres(pool) => {
                let begun = pool.begin().await;
                let mut tx =
                    Tx::Postgres(begun.map_err(|error| fault(&pool.connect_options(), error))?);
                tx.rows("SELECT CAST(1 AS BIGINT) FROM (SELECT pg_advisory_xact_lock(7309450)) AS locked", &[])
                    .await?;
                Ok(tx)
            }
        }
    }

    /// The rows of a query, outside of any transaction.
    pub async fn rows(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        match self {
            Db::Sqlite(pool) => {
                let rows = bind_all!(sqlx::query(sql), values).fetch_all(pool).await?;
                rows.iter().map(read_sqlite).collect()
            }
            Db::Postgres(pool) => {
                let rows = bind_all!(sqlx::query(sql), values).fetch_all(pool).await?;
                rows.iter().map(read_postgres).collect()
            }
        }
    }

    /// Calls `heard` with what [`Tx::tell`] of other processes said, and with nothing when something may
    /// have been missed. Comes back when the link is lost; at once where nobody else can tell.
    pub async fn listen(&self, heard: impl Fn(Option<&str>)) -> Result<(), StoreError> {
        let Db::Postgres(pool) = self else { return Ok(()) };
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        heard(None);
        while let Some(told) = listener.try_recv().await? {
            heard(Some(told.payload()));
        }
        Ok(())
    }

    /// Whether other processes' commits can be heard of.
    pub fn tells(&self) -> bool {
        matches!(self, Db::Postgres(_))
    }

    pub async fn close(&self) {
        match self {
            Db::Sqlite(pool) => pool.close().await,
            Db::Postgres(pool) => pool.close().await,
        }
    }
}

/// An open transaction; rolled back when dropped.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Runs a statement; the number of rows that it changed.
    pub async fn run(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, StoreError> {
        Ok(match self {
            Tx::Sqlite(tx) => {
                bind_all!(sqlx::query(sql), values).execute(&mut **tx).await?.rows_affected()
            }
            Tx::Postgres(tx) => {
                bind_all!(sqlx::query(sql), values).execute(&mut **tx).await?.rows_affected()
            }
        })
    }

    /// The rows of a query.
    pub async fn rows(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Tx::Sqlite(tx) => {
                let rows = bind_all!(sqlx::query(sql), values).fetch_all(&mut **tx).await?;
                rows.iter().map(read_sqlite).collect()
            }
            Tx::Postgres(tx) => {
                let rows = bind_all!(sqlx::query(sql), values).fetch_all(&mut **tx).await?;
                rows.iter().map(read_postgres).collect()
            }
        }
    }

    /// Tells `word` to every [`Db::listen`] when this is committed, where the database can.
    pub async fn tell(&mut self, word: &str) -> Result<(), StoreError> {
        if let Tx::Postgres(_) = self {
            let sql = "SELECT CAST(1 AS BIGINT) FROM (SELECT pg_notify($1, $2)) AS told";
            self.rows(sql, &[CHANNEL.into(), word.into()]).await?;
        }
        Ok(())
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await?,
            Tx::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}
