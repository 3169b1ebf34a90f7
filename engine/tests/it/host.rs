//! Who hosts, within one process: attaching, taking over, refusing what can't be served.

use std::path::Path;
use std::time::Duration;

use dvp_engine::config::{Config, Environment, Flags};
use dvp_engine::host::{self, Role};
use dvp_engine::{Store, StoreUrl};
use dvp_model::error::Kind;
use dvp_model::wire::api::{Feed, Jobs, Status, Stop};
use dvp_model::wire::feed::What;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// Settings of a data folder that nothing else uses.
pub fn config(folder: &Path) -> Config {
    let home = ("HOME".into(), folder.as_os_str().to_owned());
    let bin = testbed::mpi::bin_dir();
    let worker = ("DVP_WORKER".into(), bin.join("dvp-worker").into_os_string());
    let engine = ("DVP_ENGINE".into(), bin.join("dvp-engine").into_os_string());
    let data_dir = Some(folder.join("data").into_os_string());
    let flags = Flags { data_dir, ..Flags::default() };
    Config::load_from(&flags, &Environment::of([home, worker, engine])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_attaches_and_takes_over_when_the_first_ends() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let first = host::attach_or_host(&config).await.unwrap();
    let second = host::attach_or_host(&config).await.unwrap();
    assert!(first.is_hosting() && !second.is_hosting());
    let clone = second.client.clone();
    assert_eq!(clone.call(&Jobs::default()).await.unwrap(), []);
    let refused = second.client.call(&Stop {}).await.unwrap_err();
    assert_eq!(
        refused.errors[0].kind,
        Kind::Conflict,
        "a console's engine is not stopped by others"
    );

    first.stop().await;
    assert!(!first.is_hosting() && !config.socket.exists());
    assert_eq!(clone.call(&Jobs::default()).await.unwrap(), [], "the call itself takes over");
    assert!(second.is_hosting() && config.socket.exists());
    let feed = second.client.call(&Feed::default()).await.unwrap();
    let starts = feed.iter().filter(|entry| matches!(entry.what, What::EngineStarted { .. }));
    assert_eq!(starts.count(), 2);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_wait_holds_up_no_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let host = host::attach_or_host(&config).await.unwrap();
    let other = host::attach(&config, Role::Background).await.unwrap();
    let last = other.client.call(&Status {}).await.unwrap().last_seq;
    let waiting = tokio::spawn(async move {
        let news = Feed { after: last, wait_ms: 30_000, ..Feed::default() };
        other.client.call(&news).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), host.stop()).await;
    assert!(ended.is_ok(), "the wait of 30 s held up the end");
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn hand_over_leaves_a_background_engine() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let host = host::attach_or_host(&config).await.unwrap();
    host.hand_over().await.unwrap();
    assert!(!host.is_hosting());
    let status = host.client.call(&Status {}).await.unwrap();
    assert!(status.background && status.pid != std::process::id(), "{status:?}");
    let stopped = host::stop_background(&config).await.unwrap();
    assert_eq!(stopped.map(|it| it.pid), Some(status.pid));
    assert!(host::running(&config).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_needs_no_host_and_becomes_none() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let look = host::attach(&config, Role::Look).await.unwrap();
    assert_eq!(look.client.call(&Feed::default()).await.unwrap(), [], "nothing has happened");
    assert!(!look.is_hosting());
    assert!(host::running(&config).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_newer_version_is_refused_by_whoever_comes() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    std::fs::create_dir(&config.data_dir).unwrap();
    let file = config.data_dir.join("dvp.db");
    Store::open(&StoreUrl::Sqlite(file.clone())).await.unwrap().close().await;
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&file)).await.unwrap();
    sqlx::query("UPDATE dvp_schema SET version = 999").execute(&pool).await.unwrap();
    pool.close().await;
    for role in [Role::Host, Role::Background, Role::Look] {
        let reason = host::attach(&config, role).await.unwrap_err();
        assert_eq!(reason.kind, Kind::Machine, "{role:?}: {reason}");
        for word in ["newer", "999", "--data-dir"] {
            assert!(reason.text.contains(word), "{role:?}: {reason}");
        }
    }
}
