//! What whole-job tests stand on: a bench with a clip, an engine in or out of process, and waiting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dvp_engine::jobs::submit;
use dvp_engine::{Engine, FeedQuery, Settings, Store, StoreUrl, Timings};
use dvp_model::job::{ChunkState, Job, StateName, Submission};
use dvp_model::spec::SpecText;
use dvp_model::wire::api::JobDetail;
use dvp_model::wire::feed::What;
use dvp_model::{ChunkIndex, Item, JobId, NodeName};
use tempfile::TempDir;
use testbed::clip::Clip;
use testbed::faults;
use tokio::sync::OnceCell;

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(180);

/// A data folder, a clip, and a folder for outputs.
pub struct Bench {
    pub folder: TempDir,
    pub input: PathBuf,
    /// How the clip was made.
    recipe: String,
}

/// What undisturbed runs gave, by recipe of the clip and settings: the same for all tests.
type Right = Mutex<BTreeMap<String, Arc<OnceCell<String>>>>;
static RIGHT: Right = Mutex::new(BTreeMap::new());

/// Folder of the programs that were built with these tests.
pub fn programs() -> PathBuf {
    match std::env::var_os("DVP_BIN") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_BIN_EXE_dvp-engine")).parent().unwrap().to_owned(),
    }
}

pub fn worker() -> PathBuf {
    let worker = programs().join("dvp-worker");
    assert!(worker.exists(), "{} is missing: cargo build -p dvp-worker", worker.display());
    worker
}

impl Bench {
    /// Ninety-six small pictures with sound.
    pub fn new() -> Self {
        Self::with(Clip::new("in put's.mp4").audio("aac"))
    }

    /// Big enough that a chunk takes a moment.
    pub fn slow() -> Self {
        Self::with(Clip::new("slow.mp4").size(854, 480).frames(120).audio("aac"))
    }

    pub fn with(clip: Clip) -> Self {
        Self::within(&std::env::temp_dir(), clip)
    }

    /// As [`Bench::with`], in a folder of its own in `parent`.
    pub fn within(parent: &Path, clip: Clip) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let input = clip.make(folder.path());
        std::fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder, input, recipe: format!("{clip:?}") }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            data_dir: self.folder.path().join("data"),
            store: StoreUrl::Sqlite(self.database()),
            worker: worker(),
            mpirun: "mpirun".into(),
            slots: 2,
            memory: 64 << 30,
            node: NodeName("here".into()),
            broker: None,
            s3: None,
            timings: Timings { poll: Duration::from_millis(200), ..Timings::default() },
            demo: true,
            access: Default::default(),
        }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/dvp.db")
    }

    pub async fn engine(&self) -> Engine {
        Engine::start(self.settings()).await.unwrap()
    }

    pub fn output(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    pub fn submission(&self, output: &str, set: &[(&str, &str)]) -> Submission {
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

    pub async fn submit(&self, store: &Store, output: &str, set: &[(&str, &str)]) -> JobId {
        submit::submit(store, self.submission(output, set)).await.unwrap().id
    }

    /// SHA-256 of an undisturbed run with the same settings, by an engine on one slot. One run serves
    /// all tests that ask for the same.
    pub async fn undisturbed(&self, name: &str, set: &[(&str, &str)]) -> String {
        let extension = Path::new(name).extension();
        let key = format!("{} {extension:?} {set:?}", self.recipe);
        let known =
            RIGHT.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        known.get_or_init(|| self.run_undisturbed(name, set)).await.clone()
    }

    /// The run itself, in a data folder of its own.
    async fn run_undisturbed(&self, name: &str, set: &[(&str, &str)]) -> String {
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
    pub fn assert_clean(&self, id: JobId) {
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
pub async fn until<T>(
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

pub async fn end(store: &Store, id: JobId, name: StateName) -> Job {
    until(store, id, name.as_str(), |job| (job.state.name() == name).then(|| job.clone())).await
}

pub async fn accepted(store: &Store, id: JobId, count: u32) -> Job {
    until(store, id, "accepted chunks", |job| (job.chunks_done >= count).then(|| job.clone())).await
}

pub async fn feed(store: &Store, id: JobId) -> Vec<What> {
    let query = FeedQuery { job: Some(id), limit: 10_000, ..FeedQuery::default() };
    store.feed_read(query).await.unwrap().into_iter().map(|entry| entry.what).collect()
}

/// Every item was accepted exactly once, whatever happened.
pub async fn assert_accepted_once(store: &Store, detail: &JobDetail) {
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
pub fn done(detail: &JobDetail) -> BTreeMap<ChunkIndex, u32> {
    let done = detail.chunks.iter().filter(|chunk| chunk.state == ChunkState::Done);
    done.map(|chunk| (chunk.index, chunk.attempts)).collect()
}

/// What was accepted before stayed accepted: it was not handed out again.
pub fn assert_not_redone(before: &JobDetail, after: &JobDetail) {
    let after = done(after);
    for (index, attempts) in done(before) {
        assert_eq!(after[&index], attempts, "chunk {index} was computed again");
    }
}

pub const LOSSLESS: &[(&str, &str)] = &[("convert.codec", "ffv1"), ("convert.audio", "flac")];

/// An engine in a process of its own.
pub struct EngineProcess(pub Child);

impl EngineProcess {
    pub fn start(bench: &Bench) -> Self {
        Self::start_with(bench, &[])
    }

    /// As [`EngineProcess::start`], with more in its environment.
    pub fn start_with(bench: &Bench, environment: &[(&str, String)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_dvp-engine"))
            .arg("--data-dir")
            .arg(bench.folder.path().join("data"))
            .env("DVP_WORKER", worker())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn kill(mut self) {
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
