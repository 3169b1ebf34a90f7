//! Ranks, mpirun and the engine killed at every step of a job's way.

use std::time::{Duration, Instant};

use dvp_engine::{Engine, Store, StoreUrl};
use dvp_model::job::{Job, Phase, StateName};
use testbed::faults;

use super::bench::*;

/// Kills a process of a running job once something is accepted, and looks at what comes of it.
async fn killed_in_mid_work(victim: impl Fn(&str) -> Option<u32>, name: &str) -> Job {
    let bench = Bench::slow();
    let right = bench.undisturbed(name, LOSSLESS).await;
    let engine = bench.engine().await;
    let store = engine.store();
    let id = bench.submit(store, name, LOSSLESS).await;
    accepted(store, id, 2).await;
    let before = engine.job_detail(id).await.unwrap();
    let pid = victim(&id.to_string()).expect("a process to kill");
    faults::kill(pid);
    let job = end(store, id, StateName::Completed).await;
    let after = engine.job_detail(id).await.unwrap();
    assert_eq!(job.output.clone().unwrap().sha256, right);
    assert_not_redone(&before, &after);
    assert_accepted_once(store, &after).await;
    assert!(job.epoch.0 >= 2, "the kill changed nothing");
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rank_is_killed() {
    let job = killed_in_mid_work(
        |tag| faults::ranks(tag).last().map(|process| process.pid),
        "rank-killed.mkv",
    );
    assert_eq!(job.await.attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn mpirun_is_killed() {
    let mpirun = |tag: &str| {
        let mut tagged = faults::tagged(tag).into_iter();
        tagged.find(|process| process.argv.contains("mpirun ")).map(|process| process.pid)
    };
    killed_in_mid_work(mpirun, "mpirun-killed.mkv").await;
}

/// The demo's key: whoever presses it often does not make a chunk look guilty.
#[tokio::test(flavor = "multi_thread")]
async fn ranks_killed_on_request_are_nobodys_fault() {
    let bench = Bench::slow();
    let engine = bench.engine().await;
    let store = engine.store();
    let id = bench.submit(store, "asked.mkv", LOSSLESS).await;
    let mut kills = 0;
    let begun = Instant::now();
    while kills < 6 {
        kills += u32::from(engine.kill_rank(id).await.is_ok());
        assert!(begun.elapsed() < LIMIT, "{:?}", feed(store, id).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let job = end(store, id, StateName::Completed).await;
    assert_eq!((job.attempts, job.barren), (0, 0));
    assert_accepted_once(store, &engine.job_detail(id).await.unwrap()).await;
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

/// SIGKILL of the engine at each step of a job's way: another one goes on, and the bytes are the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_killed_at_each_step() {
    let bench = Bench::slow();
    let right = bench.undisturbed("engine.mkv", LOSSLESS).await;
    std::fs::create_dir_all(bench.folder.path().join("data")).unwrap();
    let store = Store::open(&StoreUrl::Sqlite(bench.database())).await.unwrap();
    let phase = |wanted: Phase| move |job: &Job| job.phase() >= Some(wanted);
    type Step = (&'static str, Box<dyn Fn(&Job) -> bool + Send + Sync>);
    let steps: Vec<Step> = vec![
        ("submitted", Box::new(|_| true)),
        ("planned", Box::new(|job| job.plan.is_some())),
        ("working", Box::new(phase(Phase::Working))),
        ("accepted 3", Box::new(|job| job.chunks_done >= 3)),
        ("accepted 8", Box::new(|job| job.chunks_done >= 8)),
        (
            "assembling",
            Box::new(|job| job.phase() >= Some(Phase::Assembling) || job.output.is_some()),
        ),
        (
            "publishing",
            Box::new(|job| job.phase() >= Some(Phase::Publishing) || job.output.is_some()),
        ),
    ];
    let id = bench.submit(&store, "engine.mkv", LOSSLESS).await;
    let mut engine = EngineProcess::start(&bench);
    for (what, reached) in steps {
        until(&store, id, what, |job| (reached(job) || job.output.is_some()).then_some(())).await;
        engine.kill();
        engine = EngineProcess::start(&bench);
    }
    let job = end(&store, id, StateName::Completed).await;
    assert_eq!(job.output.clone().unwrap().sha256, right);
    assert_eq!(job.attempts, 0, "an engine's death is no fault of the job");
    let looking = Engine::look(bench.settings()).await.unwrap();
    assert_accepted_once(&store, &looking.job_detail(id).await.unwrap()).await;
    let mine = bench.output("engine.mkv");
    assert_eq!(std::fs::metadata(&mine).unwrap().len(), job.output.unwrap().bytes);
    drop(engine);
    bench.assert_clean(id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stops_hands_over_without_blame() {
    let bench = Bench::slow();
    let right = bench.undisturbed("handed.mkv", LOSSLESS).await;
    let first = bench.engine().await;
    let id = bench.submit(first.store(), "handed.mkv", LOSSLESS).await;
    accepted(first.store(), id, 1).await;
    first.shutdown(LIMIT).await;
    assert_eq!(faults::tagged(&id.to_string()), []);
    let second = bench.engine().await;
    let before = second.job_detail(id).await.unwrap();
    assert!(before.job.chunks_done >= 1);
    let job = end(second.store(), id, StateName::Completed).await;
    assert_eq!((job.attempts, job.output.unwrap().sha256), (0, right));
    assert_not_redone(&before, &second.job_detail(id).await.unwrap());
    bench.assert_clean(id);
    second.shutdown(LIMIT).await;
}
