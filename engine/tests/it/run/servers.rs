//! What needs a server or root: full disks, a database that goes away, many deaths.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use dvp_engine::{Engine, Settings, Store, StoreUrl, Timings};
use dvp_model::Epoch;
use dvp_model::error::Kind;
use dvp_model::job::{State, StateName};
use dvp_model::wire::feed::What;
use rustix::process::Signal;
use testbed::clip::Clip;
use testbed::{faults, reference};

use super::bench::*;

mod cluster;

/// A small file system of its own.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={size}");
        let at_text = at.to_str().unwrap();
        reference::run("mount", ["-t", "tmpfs", "-o", &size, "tmpfs", at_text]);
        Self(at)
    }

    fn resize(&self, size: &str) {
        let at = self.0.to_str().unwrap();
        reference::run("mount", ["-o", &format!("remount,size={size}"), at]);
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn waits_for_room(bench: &Bench, disk: &Tmpfs) {
    let engine = bench.engine().await;
    let store = engine.store();
    let id = bench.submit(store, "full.mkv", LOSSLESS).await;
    let why = until(store, id, "a reason to wait", |job| match &job.state {
        State::Waiting { why, .. } => Some(why.clone()),
        _ => None,
    });
    let why = why.await;
    assert_eq!(why.kind, Kind::Machine);
    assert!(why.text.contains("MB free"), "{why}");
    disk.resize("1g");
    let job = end(store, id, StateName::Completed).await;
    assert_eq!(job.attempts, 0);
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_for_objects_makes_the_job_wait() {
    let bench = Bench::new();
    let disk = Tmpfs::mount(bench.folder.path().join("data/objects"), "8m");
    waits_for_room(&bench, &disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_for_the_output_makes_the_job_wait() {
    let bench = Bench::new();
    let disk = Tmpfs::mount(bench.folder.path().join("out"), "8m");
    waits_for_room(&bench, &disk).await;
}

/// The database is away for a while in mid-job: the job goes on, nothing is lost or done twice.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_restarts_in_mid_job() {
    let bench = Bench::slow();
    let right = bench.undisturbed("pg.mkv", LOSSLESS).await;
    let mut server = testbed::postgres::Postgres::start();
    let store = StoreUrl::Postgres(server.url());
    let engine = Engine::start(Settings { store, ..bench.settings() }).await.unwrap();
    let store = engine.store();
    let id = bench.submit(store, "pg.mkv", LOSSLESS).await;
    accepted(store, id, 1).await;
    server.stop();
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.begin();
    let job = loop {
        match store.job_get(id).await {
            Ok(job) if job.state.name().is_final() => break job,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    assert_eq!(job.state, State::Completed, "{:?}", feed(store, id).await);
    assert_eq!((job.epoch.0, job.attempts), (1, 0), "{:?}", feed(store, id).await);
    assert_eq!(job.output.unwrap().sha256, right);
    assert_accepted_once(store, &engine.job_detail(id).await.unwrap()).await;
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

/// Two engines begin at once on an empty database: one makes its tables, both work, and each job is planned
/// and launched once. Each hears of the other's commits: nobody looks by the clock here.
#[tokio::test(flavor = "multi_thread")]
async fn two_engines_share_a_database() {
    let bench = Bench::new();
    let server = testbed::postgres::Postgres::start();
    let settings = |name: &str| Settings {
        data_dir: bench.folder.path().join(name),
        store: StoreUrl::Postgres(server.url()),
        timings: Timings { poll: Duration::from_secs(3600), ..Timings::default() },
        ..bench.settings()
    };
    let (first, second) =
        tokio::join!(Engine::start(settings("first")), Engine::start(settings("second")));
    let (first, second) = (first.unwrap(), second.unwrap());
    let mut ids = Vec::new();
    for n in 0..12 {
        let engine = if n % 2 == 0 { &first } else { &second };
        ids.push(bench.submit(engine.store(), &format!("{n}.mkv"), LOSSLESS).await);
    }
    for id in ids {
        let job = end(first.store(), id, StateName::Completed).await;
        let seen = feed(first.store(), id).await;
        let count = |wanted: fn(&What) -> bool| seen.iter().filter(|what| wanted(what)).count();
        assert_eq!(count(|what| matches!(what, What::Planned { .. })), 1, "{seen:#?}");
        assert_eq!(count(|what| matches!(what, What::WillRetry { .. })), 0, "{seen:#?}");
        assert_eq!((job.epoch, job.attempts, job.barren), (Epoch(1), 0, 0), "{seen:#?}");
        assert_eq!(faults::tagged(&id.to_string()), []);
    }
    first.shutdown(LIMIT).await;
    second.shutdown(LIMIT).await;
}

/// Fifty jobs, the engine killed every few seconds: each completes, and its output is there once.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_jobs_survive_an_engine_that_keeps_dying() {
    let bench = Bench::with(Clip::new("small.mp4").frames(24));
    std::fs::create_dir_all(bench.folder.path().join("data")).unwrap();
    let store = Store::open(&StoreUrl::Sqlite(bench.database())).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(bench.submit(&store, &format!("{n}.mkv"), LOSSLESS).await);
    }
    let begun = Instant::now();
    loop {
        let engine = EngineProcess::start(&bench);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let open = store.jobs_open().await.unwrap().len();
        engine.kill();
        if open == 0 {
            break;
        }
        assert!(begun.elapsed() < 5 * LIMIT, "{open} jobs are open");
    }
    let mut hashes = std::collections::BTreeSet::new();
    for (n, id) in ids.iter().enumerate() {
        let job = store.job_get(*id).await.unwrap();
        assert_eq!(job.state, State::Completed, "{:?}", feed(&store, *id).await);
        hashes.insert(job.output.unwrap().sha256);
        assert!(bench.output(&format!("{n}.mkv")).exists());
        assert_eq!(faults::tagged(&id.to_string()), []);
    }
    assert_eq!(hashes.len(), 1);
}
/// An engine that stands still longer than its ranks wait, then wakes: they are gone by then, and it goes
/// on without blame.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_froze_goes_on() {
    let bench = Bench::slow();
    let right = bench.undisturbed("thawed.mkv", LOSSLESS).await;
    std::fs::create_dir_all(bench.folder.path().join("data")).unwrap();
    let store = Store::open(&StoreUrl::Sqlite(bench.database())).await.unwrap();
    let id = bench.submit(&store, "thawed.mkv", LOSSLESS).await;
    let engine = EngineProcess::start(&bench);
    accepted(&store, id, 1).await;
    faults::signal(engine.0.id(), Signal::STOP);
    testbed::wait::wait_for("the ranks' end", LIMIT, || match faults::ranks(&id.to_string()) {
        ranks if ranks.is_empty() => Ok(()),
        ranks => Err(format!("{ranks:?}")),
    });
    faults::signal(engine.0.id(), Signal::CONT);
    let job = end(&store, id, StateName::Completed).await;
    assert_eq!((job.attempts, job.output.unwrap().sha256), (0, right));
    drop(engine);
    bench.assert_clean(id);
}
