//! Whole jobs through the engine with real ranks: undisturbed, killed at every step, cancelled, held. The
//! right bytes are those of an undisturbed run, and its frames are those of one ffmpeg process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dvp_engine::jobs::{command, submit};
use dvp_engine::{Engine, FeedQuery, Settings, Store, StoreUrl, Timings};
use dvp_model::error::Kind;
use dvp_model::job::{ChunkState, Job, Phase, State, StateName, Submission};
use dvp_model::manifest::Manifest;
use dvp_model::spec::SpecText;
use dvp_model::wire::api::JobDetail;
use dvp_model::wire::feed::What;
use dvp_model::{ChunkIndex, Item, JobId, NodeName};
use tempfile::TempDir;
use testbed::clip::Clip;
use testbed::{faults, reference};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// A data folder, a clip, and a folder for outputs.
struct Bench {
    folder: TempDir,
    input: PathBuf,
}

/// Folder of the programs that were built with these tests.
fn programs() -> PathBuf {
    match std::env::var_os("DVP_BIN") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_BIN_EXE_dvp-engine")).parent().unwrap().to_owned(),
    }
}

fn worker() -> PathBuf {
    let worker = programs().join("dvp-worker");
    assert!(worker.exists(), "{} is missing: cargo build -p dvp-worker", worker.display());
    worker
}

impl Bench {
    /// Ninety-six small pictures with sound.
    fn new() -> Self {
        Self::with(Clip::new("in put's.mp4").audio("aac"))
    }

    /// Big enough that a chunk takes a moment.
    fn slow() -> Self {
        Self::with(Clip::new("slow.mp4").size(1280, 720).frames(120).audio("aac"))
    }

    fn with(clip: Clip) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = clip.make(folder.path());
        std::fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder, input }
    }

    fn settings(&self) -> Settings {
        Settings {
            data_dir: self.folder.path().join("data"),
            store: StoreUrl::Sqlite(self.database()),
            worker: worker(),
            mpirun: "mpirun".into(),
            slots: 2,
            memory: 64 << 30,
            node: NodeName("here".into()),
            timings: Timings { poll: Duration::from_millis(200), ..Timings::default() },
            demo: true,
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("data/dvp.db")
    }

    async fn engine(&self) -> Engine {
        Engine::start(self.settings()).await.unwrap()
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    fn submission(&self, output: &str, set: &[(&str, &str)]) -> Submission {
        let mut all = BTreeMap::from([("plan.chunk_frames".to_owned(), "12".to_owned())]);
        all.extend(set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Submission {
            input: self.input.clone().into(),
            spec: SpecText { tasks: vec![], set: all },
            output: Some(self.output(output).into()),
            ranks: None,
            priority: 0,
            force: false,
            batch: None,
            id: None,
        }
    }

    async fn submit(&self, store: &Store, output: &str, set: &[(&str, &str)]) -> JobId {
        submit::submit(store, self.submission(output, set)).await.unwrap().id
    }

    /// SHA-256 of an undisturbed run with the same settings, in a data folder of its own.
    async fn undisturbed(&self, name: &str, set: &[(&str, &str)]) -> String {
        let data_dir = self.folder.path().join("undisturbed");
        let store = StoreUrl::Sqlite(data_dir.join("dvp.db"));
        let engine =
            Engine::start(Settings { data_dir, store, slots: 1, ..self.settings() }).await.unwrap();
        let name = format!("undisturbed-{name}");
        let id = self.submit(engine.store(), &name, set).await;
        let job = end(engine.store(), id, StateName::Completed).await;
        engine.shutdown(LIMIT).await;
        job.output.unwrap().sha256
    }

    /// Nothing of `id` is left but its output and manifest.
    fn assert_clean(&self, id: JobId) {
        let tagged = faults::tagged(&id.to_string());
        assert_eq!(tagged, [], "processes are left");
        let simple = id.0.simple().to_string();
        let left = faults::leftovers().into_iter();
        let left: Vec<_> = left.filter(|path| path.to_string_lossy().contains(&simple)).collect();
        assert_eq!(left, Vec::<PathBuf>::new());
        let hidden: Vec<_> = std::fs::read_dir(self.folder.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.'))
            .collect();
        assert_eq!(hidden, Vec::<String>::new());
        let objects = self.folder.path().join("data/objects").join(id.to_string());
        assert!(!objects.exists(), "objects are left");
        let run = self.folder.path().join("data/run");
        assert!(!run.exists() || run.read_dir().unwrap().next().is_none());
    }
}

/// Waits for a condition on a job.
async fn until<T>(
    store: &Store,
    id: JobId,
    what: &str,
    mut condition: impl FnMut(&Job) -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        let job = store.job_get(id).await.unwrap();
        if let Some(found) = condition(&job) {
            return found;
        }
        if begun.elapsed() > LIMIT || job.state.name().is_final() {
            let feed = feed(store, id).await;
            panic!("waited in vain for {what}; last seen: {:?}\n{feed:#?}", job.state);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn end(store: &Store, id: JobId, name: StateName) -> Job {
    until(store, id, name.as_str(), |job| (job.state.name() == name).then(|| job.clone())).await
}

async fn accepted(store: &Store, id: JobId, count: u32) -> Job {
    until(store, id, "accepted chunks", |job| (job.chunks_done >= count).then(|| job.clone())).await
}

async fn feed(store: &Store, id: JobId) -> Vec<What> {
    let query = FeedQuery { job: Some(id), limit: 10_000, ..FeedQuery::default() };
    store.feed_read(query).await.unwrap().into_iter().map(|entry| entry.what).collect()
}

/// Every item was accepted exactly once, whatever happened.
async fn assert_accepted_once(store: &Store, detail: &JobDetail) {
    let mut counts: BTreeMap<Item, u32> = BTreeMap::new();
    for what in feed(store, detail.job.id).await {
        if let What::Accepted { item, .. } = what {
            *counts.entry(item).or_default() += 1;
        }
    }
    let chunks = (0..detail.chunks.len() as u32).map(|n| Item::Chunk(ChunkIndex(n)));
    let expected: BTreeMap<Item, u32> =
        chunks.chain(detail.sound.iter().map(|_| Item::Sound)).map(|item| (item, 1)).collect();
    assert_eq!(counts, expected);
}

/// Chunks that are accepted now, with how often each was handed out.
fn done(detail: &JobDetail) -> BTreeMap<ChunkIndex, u32> {
    let done = detail.chunks.iter().filter(|chunk| chunk.state == ChunkState::Done);
    done.map(|chunk| (chunk.index, chunk.attempts)).collect()
}

/// What was accepted before stayed accepted: it was not handed out again.
fn assert_not_redone(before: &JobDetail, after: &JobDetail) {
    let after = done(after);
    for (index, attempts) in done(before) {
        assert_eq!(after[&index], attempts, "chunk {index} was computed again");
    }
}

const LOSSLESS: &[(&str, &str)] = &[("convert.codec", "ffv1"), ("convert.audio", "flac")];

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_whole() {
    let bench = Bench::new();
    let engine = bench.engine().await;
    let store = engine.store();
    let id = bench.submit(store, "whole.mkv", LOSSLESS).await;
    let job = end(store, id, StateName::Completed).await;
    let output = job.output.clone().unwrap();
    assert_eq!((output.frames, job.chunks_done, job.attempts), (96, 8, 0));

    let ours = bench.output("whole.mkv");
    let theirs = bench.output("reference.mkv");
    reference::whole(&bench.input, &theirs, "", "flac");
    let (ours_seen, theirs_seen) =
        (reference::frames(&ours, "0:v:0"), reference::frames(&theirs, "0:v:0"));
    assert_eq!(ours_seen.hashes(), theirs_seen.hashes());
    assert_eq!(ours_seen.micros(), theirs_seen.micros());

    let manifest = std::fs::read(bench.output("whole.mkv.dvp.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    assert_eq!((manifest.output, manifest.chunks.len()), (output, 8));
    let detail = engine.job_detail(id).await.unwrap();
    assert!(detail.chunks.iter().all(|chunk| chunk.state == ChunkState::Done));
    assert_accepted_once(store, &detail).await;
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_ranks_makes_the_same_bytes() {
    let bench = Bench::new();
    let engine = bench.engine().await;
    let store = engine.store();
    let right = bench.undisturbed("ranks.mp4", &[]).await;
    for ranks in [2, 3] {
        let name = format!("ranks-{ranks}.mp4");
        let submission = Submission { ranks: Some(ranks), ..bench.submission(&name, &[]) };
        let id = submit::submit(store, submission).await.unwrap().id;
        let job = end(store, id, StateName::Completed).await;
        assert_eq!((job.ranks, job.output.unwrap().sha256), (ranks, right.clone()));
        bench.assert_clean(id);
    }
    engine.shutdown(LIMIT).await;
}

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

/// An engine in a process of its own.
struct EngineProcess(Child);

impl EngineProcess {
    fn start(bench: &Bench) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_dvp-engine"))
            .arg("--data-dir")
            .arg(bench.folder.path().join("data"))
            .env("DVP_WORKER", worker())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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

    let steps: [(&str, fn(&Job) -> bool); 4] = [
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

/// Holds a job with something accepted, lets `change` do harm meanwhile, and releases it.
async fn harmed_while_held(bench: &Bench, engine: &Engine, change: impl FnOnce(&Path)) -> JobId {
    let store = engine.store();
    let id = bench.submit(store, "harmed.mkv", LOSSLESS).await;
    accepted(store, id, 2).await;
    command::hold(store, id).await.unwrap();
    end(store, id, StateName::Held).await;
    let objects = bench.folder.path().join("data/objects").join(id.to_string());
    change(&objects);
    command::release(store, id).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_objects_are_computed_again() {
    let bench = Bench::slow();
    let right = bench.undisturbed("harmed.mkv", LOSSLESS).await;
    let engine = bench.engine().await;
    let id = harmed_while_held(&bench, &engine, |objects| {
        let mut chunks: Vec<PathBuf> = std::fs::read_dir(objects)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains("chunk"))
            .collect();
        chunks.sort();
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
        let other = Clip::new("other.mp4").size(1280, 720).frames(120).make(bench.folder.path());
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

mod servers {
    use super::*;

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
}
