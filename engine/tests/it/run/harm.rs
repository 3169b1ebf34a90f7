//! Cancelled, held, damaged, changed, poisoned, in the way: what a person or the world may do to a job.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dvp_engine::jobs::{command, submit};
use dvp_engine::run::Target;
use dvp_engine::{Engine, Settings, Store, StoreUrl, Timings};
use dvp_model::error::Kind;
use dvp_model::job::{Job, Output, Phase, State, StateName, Submission};
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::Locator;
use dvp_model::{ChunkIndex, Epoch, Item, JobId};
use rustix::process::Signal;
use testbed::clip::Clip;
use testbed::{faults, reference};

use super::bench::*;

#[tokio::test(flavor = "multi_thread")]
async fn cancel_in_each_state() {
    let bench = Bench::slow();
    let engine = bench.engine().await;
    let store = engine.store();
    // Held, then cancelled; queued behind another, then cancelled.
    let held = bench.submit(store, "held.mkv", LOSSLESS).await;
    command::hold(store, held).await.unwrap();
    end(store, held, StateName::Held).await;
    command::cancel(store, held).await.unwrap();
    end(store, held, StateName::Cancelled).await;

    let queued = bench.submit(store, "queued.mkv", LOSSLESS).await;
    command::cancel(store, queued).await.unwrap();
    end(store, queued, StateName::Cancelled).await;

    type Reached = fn(&Job) -> bool;
    let steps: [(&str, Reached); 4] = [
        ("planned", |job| job.plan.is_some()),
        ("running", |job| job.state.name() == StateName::Running),
        ("accepted", |job| job.chunks_done > 1),
        ("assembling", |job| job.phase() == Some(Phase::Assembling)),
    ];
    for (what, reached) in steps {
        let name = format!("{what}.mkv");
        let id = bench.submit(store, &name, LOSSLESS).await;
        until(store, id, what, |job| reached(job).then_some(())).await;
        command::cancel(store, id).await.unwrap();
        let asked = Instant::now();
        let job =
            until(store, id, "its end", |job| job.state.name().is_final().then(|| job.clone()));
        let job = job.await;
        assert_eq!(job.state, State::Cancelled, "{what}");
        assert!(asked.elapsed() < Duration::from_secs(10), "final after {:?}", asked.elapsed());
        testbed::wait::wait_for("the sweep", LIMIT, || {
            let objects = bench.folder.path().join("data/objects").join(id.to_string());
            if objects.exists() { Err(format!("{what}: objects are there")) } else { Ok(()) }
        });
        bench.assert_clean(id);
        assert!(!bench.output(&name).exists());
    }
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_and_release_keep_what_was_accepted() {
    let bench = Bench::slow();
    let engine = bench.engine().await;
    let store = engine.store();
    let id = bench.submit(store, "held.mkv", LOSSLESS).await;
    accepted(store, id, 2).await;
    command::hold(store, id).await.unwrap();
    end(store, id, StateName::Held).await;
    assert_eq!(faults::tagged(&id.to_string()), []);
    let before = engine.job_detail(id).await.unwrap();
    command::release(store, id).await.unwrap();
    end(store, id, StateName::Completed).await;
    let after = engine.job_detail(id).await.unwrap();
    assert_not_redone(&before, &after);
    assert_accepted_once(store, &after).await;
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

fn file(object: &Locator) -> Option<PathBuf> {
    match object {
        Locator::File(path) => Some(path.as_path().to_owned()),
        Locator::S3(_) => None,
    }
}

/// Holds a job with something accepted, lets `change` do harm to chunks that are accepted, and releases it.
async fn harmed_while_held(
    bench: &Bench,
    engine: &Engine,
    change: impl FnOnce(Vec<PathBuf>),
) -> JobId {
    let store = engine.store();
    let id = bench.submit(store, "harmed.mkv", LOSSLESS).await;
    accepted(store, id, 2).await;
    command::hold(store, id).await.unwrap();
    end(store, id, StateName::Held).await;
    let rows = store.ledger_read(id).await.unwrap().into_iter();
    let chunks = rows.filter(|row| row.item != Item::Sound).filter_map(|row| row.accepted);
    change(chunks.filter_map(|accepted| file(&accepted.object)).collect());
    command::release(store, id).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_objects_are_computed_again() {
    let bench = Bench::slow();
    let right = bench.undisturbed("harmed.mkv", LOSSLESS).await;
    let engine = bench.engine().await;
    let id = harmed_while_held(&bench, &engine, |chunks| {
        faults::flip_byte(&chunks[0]).unwrap();
        faults::truncate(&chunks[1], 0.5).unwrap();
    })
    .await;
    let job = end(engine.store(), id, StateName::Completed).await;
    assert_eq!(job.output.unwrap().sha256, right);
    let lost = feed(engine.store(), id).await.into_iter().map(|what| match what {
        What::Lost { items, .. } => items.len(),
        _ => 0,
    });
    assert_eq!(lost.sum::<usize>(), 2);
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_changes_fails_the_job() {
    let bench = Bench::slow();
    let engine = bench.engine().await;
    let id = harmed_while_held(&bench, &engine, |_| {
        let other = Clip::new("other.mp4").size(854, 480).frames(120).make(bench.folder.path());
        std::fs::rename(other, &bench.input).unwrap();
    })
    .await;
    let job = end(engine.store(), id, StateName::Failed).await;
    let State::Failed { reason } = job.state else { unreachable!() };
    assert_eq!(reason.kind, Kind::Input);
    assert!(reason.text.contains("changed"), "{reason}");
    assert!(!bench.output("harmed.mkv").exists());
    // A person who means the new file retries: it is planned anew, nothing old is in it.
    testbed::wait::wait_for("the sweep", LIMIT, || {
        let objects = bench.folder.path().join("data/objects").join(id.to_string());
        if objects.exists() { Err("objects are there") } else { Ok(()) }.map_err(str::to_owned)
    });
    command::retry(engine.store(), id).await.unwrap();
    end(engine.store(), id, StateName::Completed).await;
    let theirs = bench.output("reference.mkv");
    reference::whole(&bench.input, &theirs, "", "none");
    let ours = reference::frames(&bench.output("harmed.mkv"), "0:v:0");
    assert_eq!(ours.hashes(), reference::frames(&theirs, "0:v:0").hashes());
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_starts_the_job_again_from_its_plan() {
    let bench = Bench::slow();
    let right = bench.undisturbed("worker.mkv", LOSSLESS).await;
    let copy = bench.folder.path().join("dvp-worker");
    std::fs::copy(worker(), &copy).unwrap();
    let settings = || Settings { worker: copy.clone(), ..bench.settings() };
    let first = Engine::start(settings()).await.unwrap();
    let id = bench.submit(first.store(), "worker.mkv", LOSSLESS).await;
    accepted(first.store(), id, 2).await;
    first.shutdown(LIMIT).await;
    // Another build: the same program with a byte behind its end.
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes.push(0);
    std::fs::write(&copy, bytes).unwrap();
    let second = Engine::start(settings()).await.unwrap();
    let job = end(second.store(), id, StateName::Completed).await;
    assert_eq!(job.output.unwrap().sha256, right);
    let said = feed(second.store(), id).await.into_iter().any(|what| match what {
        What::Alarm { reason } => reason.text.contains("starts again from its plan"),
        _ => false,
    });
    assert!(said);
    second.shutdown(LIMIT).await;
}

/// A launch that was given up and wakes late can neither take nor remove what a later one wrote.
#[tokio::test]
async fn hidden_names_belong_to_one_launch() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.folder.path().join("data")).unwrap();
    let store = Store::open(&StoreUrl::Sqlite(bench.database())).await.unwrap();
    let id = bench.submit(&store, "named.mkv", LOSSLESS).await;
    let job = store.job_get(id).await.unwrap();
    let [early, late] = [1, 2].map(|epoch| Target::of(&Job { epoch: Epoch(epoch), ..job.clone() }));
    let film = b"a whole film";
    let output = Output {
        path: job.output_path.clone(),
        // By `printf 'a whole film' | sha256sum`.
        sha256: "1a030adee057ca2e334f305feb144719b116288c220eeada774c92ab967f4bee".into(),
        bytes: film.len() as u64,
        frames: 1,
    };
    std::fs::write(&early.temporary, film).unwrap();
    assert!(!late.take_over(&Output { bytes: 1, ..output.clone() }));
    assert!(late.take_over(&output));
    assert!(!late.take_over(&output));
    assert!(!early.temporary.exists());
    early.clear().unwrap();
    assert_eq!(std::fs::read(&late.temporary).unwrap(), film);
    assert!(!late.is_published(&output));
    // The later one clears after both.
    std::fs::write(&early.temporary, film).unwrap();
    late.clear().unwrap();
    assert!(!early.temporary.exists() && !late.temporary.exists());
}

/// A chunk whose rank always dies: the job fails and names it, and nothing else is blamed.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_kills_its_rank_fails_the_job() {
    let bench = Bench::slow();
    let engine = bench.engine().await;
    let store = engine.store();
    let poison = Item::Chunk(ChunkIndex(4));
    let id = bench.submit(store, "poison.mkv", LOSSLESS).await;
    let begun = Instant::now();
    let reason = loop {
        let live = engine.live().remove(&id).unwrap_or_default();
        for lane in live.lanes.values().filter(|lane| lane.item == Some(poison)) {
            faults::kill(lane.pid);
        }
        let job = store.job_get(id).await.unwrap();
        match job.state {
            State::Failed { reason } => break reason,
            State::Completed => panic!("the poison was survived"),
            _ => assert!(begun.elapsed() < LIMIT, "{:?}", feed(store, id).await),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(reason.kind, Kind::Job);
    assert!(reason.text.contains("chunk 4 kills its rank"), "{reason}");
    // Retried by a person, without the poison, it goes on with what it has.
    let before = engine.job_detail(id).await.unwrap();
    command::retry(store, id).await.unwrap();
    end(store, id, StateName::Completed).await;
    assert_not_redone(&before, &engine.job_detail(id).await.unwrap());
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mpirun_a_job_waits_and_says_what_to_install() {
    let bench = Bench::new();
    let mpirun = bench.folder.path().join("no-mpirun");
    let engine = Engine::start(Settings { mpirun, ..bench.settings() }).await.unwrap();
    let store = engine.store();
    let id = bench.submit(store, "none.mkv", LOSSLESS).await;
    let why = until(store, id, "a reason to wait", |job| match &job.state {
        State::Waiting { why, .. } => Some(why.clone()),
        _ => None,
    });
    let why = why.await;
    assert_eq!(why.kind, Kind::Machine);
    assert!(why.text.contains("openmpi-bin"), "{why}");
    command::cancel(store, id).await.unwrap();
    end(store, id, StateName::Cancelled).await;
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_appears_meanwhile_is_not_overwritten() {
    let bench = Bench::new();
    let engine = bench.engine().await;
    let store = engine.store();
    let id = bench.submit(store, "mine.mkv", LOSSLESS).await;
    accepted(store, id, 1).await;
    let mine = bench.output("mine.mkv");
    std::fs::write(&mine, "precious").unwrap();
    let job = end(store, id, StateName::Failed).await;
    let State::Failed { reason } = job.state else { unreachable!() };
    assert_eq!(reason.kind, Kind::Output, "{reason}");
    assert_eq!(std::fs::read(&mine).unwrap(), b"precious");
    // Out of the way, a retry only has to assemble.
    std::fs::remove_file(&mine).unwrap();
    let before = engine.job_detail(id).await.unwrap();
    command::retry(store, id).await.unwrap();
    end(store, id, StateName::Completed).await;
    assert_not_redone(&before, &engine.job_detail(id).await.unwrap());
    bench.assert_clean(id);

    // With force it is replaced, by the whole file only.
    std::fs::write(&mine, "precious").unwrap();
    let submission = Submission { force: true, ..bench.submission("mine.mkv", LOSSLESS) };
    let id = submit::submit(store, submission).await.unwrap().id;
    let job = end(store, id, StateName::Completed).await;
    assert_eq!(std::fs::metadata(&mine).unwrap().len(), job.output.unwrap().bytes);
    engine.shutdown(LIMIT).await;
}

/// A rank that stands still without dying: its launch is given up, and the job goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_rank_is_given_up() {
    let bench = Bench::slow();
    let right = bench.undisturbed("frozen.mkv", LOSSLESS).await;
    let settings = bench.settings();
    let timings = Timings { stall: Duration::from_secs(10), ..settings.timings };
    let engine = Engine::start(Settings { timings, ..settings }).await.unwrap();
    let store = engine.store();
    let id = bench.submit(store, "frozen.mkv", LOSSLESS).await;
    accepted(store, id, 1).await;
    let before = engine.job_detail(id).await.unwrap();
    let rank = faults::ranks(&id.to_string()).pop().expect("a rank");
    faults::signal(rank.pid, Signal::STOP);
    let job = end(store, id, StateName::Completed).await;
    assert_eq!(job.output.unwrap().sha256, right);
    assert!(job.epoch.0 >= 2);
    assert_not_redone(&before, &engine.job_detail(id).await.unwrap());
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}
