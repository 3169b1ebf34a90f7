//! The engine as a handle: what is in it, how it starts and stops, what may be asked of it. What it does is
//! in `run` and `reconcile`. Knows nothing of HTTP.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dvp_model::error::Reason;
use dvp_model::job::{Lane, State};
use dvp_model::plan::Plan;
use dvp_model::wire::api::{JobDetail, Killed};
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::{PlanRequest, Versions};
use dvp_model::{Item, JobId, NodeName, RunTag};
use rustix::process::Signal;

use crate::exec::tag;
use crate::launch::{mpirun, tool};
use crate::nodes::cluster::{Access, Cluster};
use crate::nodes::{line, watch};
use crate::objects::{Objects, S3, Uploads, s3};
use crate::queue::{self, Broker, Queue};
use crate::run::{Live, dispatch, live};
use crate::store::{Place, Store, StoreUrl};
use crate::tasks::Tasks;

/// What an engine needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder; this process holds its lock.
    pub data_dir: PathBuf,
    /// Where jobs are kept.
    pub store: StoreUrl,
    /// The `dvp-worker` program.
    pub worker: PathBuf,
    /// The `mpirun` program, a file or a name in PATH.
    pub mpirun: PathBuf,
    /// Ranks that may run at once here.
    pub slots: u32,
    /// Memory that ranks may use together, bytes.
    pub memory: u64,
    /// This machine's name.
    pub node: NodeName,
    /// RabbitMQ; none: no jobs from a queue.
    pub broker: Option<Broker>,
    /// S3; none: only files.
    pub s3: Option<s3::Settings>,
    /// How long things take and last.
    pub timings: Timings,
    /// A rank may be killed on request.
    pub demo: bool,
    /// How the machines of the cluster are reached.
    pub access: Access,
}

/// How long things take and last. Tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long a claim lasts unless renewed.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How often reconcilers look without being nudged.
    pub poll: Duration,
    /// Time a launch gets to end by itself when told to, before it is killed.
    pub grace: Duration,
    /// How often each machine of the cluster is asked.
    pub probe: Duration,
    /// How long its answer may take.
    pub probe_patience: Duration,
    /// How often the machines try whether they reach each other.
    pub mesh: Duration,
    /// A rank's silence on a chunk after which the launch is given up.
    pub stall: Duration,
    /// How often S3 is swept.
    pub sweep: Duration,
    /// How long objects of failed jobs are kept for a retry.
    pub keep_failed: Duration,
    /// How long the feed of finished jobs is kept.
    pub keep_feed: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(10),
            poll: Duration::from_secs(2),
            grace: Duration::from_secs(3),
            probe: Duration::from_secs(4),
            probe_patience: Duration::from_secs(9),
            mesh: Duration::from_secs(60),
            stall: Duration::from_secs(120),
            sweep: Duration::from_secs(60),
            keep_failed: Duration::from_secs(7 * 24 * 3600),
            keep_feed: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// A running engine; clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) objects: Objects,
    pub(crate) uploads: Uploads,
    /// This start of this engine.
    pub(crate) owner: Arc<str>,
    pub(crate) place: Arc<Place>,
    pub(crate) versions: Arc<Mutex<Option<(SystemTime, Versions)>>>,
    pub(crate) live: Arc<Mutex<BTreeMap<JobId, Live>>>,
    pub(crate) tasks: Tasks,
    /// How RabbitMQ stands, where it is used.
    pub(crate) queue: Option<Arc<Queue>>,
    pub(crate) cluster: Arc<Cluster>,
    /// Whether it dispatches, or only looks.
    serves: bool,
}

impl Engine {
    /// Opens the store, ends what a dead engine left behind in this place, and begins to dispatch. The
    /// caller holds the lock of the data folder.
    ///
    /// # Errors
    /// When store or folders can't be opened.
    pub async fn start(settings: Settings) -> Result<Self, Reason> {
        let engine = Self { serves: true, ..Self::look(settings).await? };
        let pid = std::process::id();
        engine.store.feed_append(None, vec![What::EngineStarted { pid }]).await?;
        line::begin(&engine)?;
        engine.cluster.refresh(&engine).await?;
        watch::start(&engine);
        let store = engine.store.clone();
        engine.tasks.spawn_until_stop(async move { store.listen().await });
        engine.tasks.spawn(dispatch::serve(engine.clone()));
        queue::start(&engine);
        if let Some(s3) = engine.objects.s3() {
            engine.tasks.spawn_until_stop(s3.clone().watch());
        }
        Ok(engine)
    }

    /// Opens the store to look at it: nothing is recovered, dispatched or said. For whoever looks while
    /// nobody hosts.
    ///
    /// # Errors
    /// When store or folders can't be opened.
    pub async fn look(settings: Settings) -> Result<Self, Reason> {
        let unusable = |error: std::io::Error| {
            Reason::machine(format!(
                "the data folder {} can't be used: {error}",
                settings.data_dir.display()
            ))
        };
        std::fs::create_dir_all(&settings.data_dir).map_err(unusable)?;
        let folder = settings.data_dir.canonicalize().map_err(unusable)?;
        let shared = settings.access.shared_dir.as_ref().unwrap_or(&folder).clone();
        let uploads = Uploads::new(shared.join("uploads"));
        let shared = shared.join("objects");
        let s3 = settings.s3.clone().map(S3::new).transpose()?;
        let objects = Objects::open(shared.clone(), s3).map_err(|error| {
            Reason::machine(format!("the folder {} can't be used: {error}", shared.display()))
        })?;
        let store = Store::open(&settings.store).await?;
        let place = Place {
            node: settings.node.clone(),
            folder: dvp_model::FilePath::from(folder).to_string(),
        };
        let cluster = Arc::new(Cluster::new(settings.access.head.clone()));
        let queue = settings.broker.clone().map(|broker| Arc::new(Queue::new(broker)));
        Ok(Engine {
            settings: Arc::new(settings),
            store,
            objects,
            uploads,
            owner: uuid::Uuid::new_v4().to_string().into(),
            place: Arc::new(place),
            versions: Arc::default(),
            live: Arc::default(),
            tasks: Tasks::new(),
            queue,
            cluster,
            serves: false,
        })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How RabbitMQ stands, where it is used.
    pub fn queue(&self) -> Option<&Queue> {
        self.queue.as_deref()
    }

    /// Where objects lie.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// How it was started.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes the reconcilers look now. Commits through [`Engine::store`] do so by themselves.
    pub fn nudge(&self) {
        self.store.nudge();
    }

    /// What runs look like now.
    pub fn live(&self) -> BTreeMap<JobId, Live> {
        self.live_mut().clone()
    }

    /// Slots in use now.
    pub fn slots_used(&self) -> u32 {
        self.live_mut().values().map(|live| live.slots).sum()
    }

    /// Those of them on this machine.
    pub(crate) fn slots_used_here(&self) -> u32 {
        let live = self.live_mut();
        live.values().filter(|live| live.places.is_empty()).map(|live| live.slots).sum()
    }

    /// Slots and bytes that runs use on the machines of the cluster, beside those of `job`.
    pub(crate) fn used_on_nodes(
        live: &BTreeMap<JobId, Live>,
        job: Option<JobId>,
    ) -> BTreeMap<NodeName, (u32, u64)> {
        let mut used: BTreeMap<NodeName, (u32, u64)> = BTreeMap::new();
        for (_, live) in live.iter().filter(|(id, _)| Some(**id) != job) {
            for (node, slots) in &live.places {
                let entry = used.entry(node.clone()).or_default();
                entry.0 += slots;
                entry.1 += u64::from(*slots).saturating_mul(live.memory_per_slot);
            }
        }
        used
    }

    /// The worker's versions; asked again when its file changed.
    ///
    /// # Errors
    /// When it is missing, doesn't start, or speaks another protocol.
    pub async fn versions(&self) -> Result<Versions, Reason> {
        let worker = &self.settings.worker;
        let stamp = std::fs::metadata(worker).and_then(|found| found.modified()).ok();
        let known = self.versions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, versions)) = known
            && Some(at) == stamp
        {
            return Ok(versions);
        }
        let versions = tool::versions(worker).await?;
        if let Some(at) = stamp {
            let known = Some((at, versions.clone()));
            *self.versions.lock().unwrap_or_else(PoisonError::into_inner) = known;
        }
        Ok(versions)
    }

    /// Open MPI's version here.
    ///
    /// # Errors
    /// When there is no mpirun, and which package brings it.
    pub async fn mpi_version(&self) -> Result<String, Reason> {
        mpirun::version(&self.settings.mpirun).await
    }

    /// A job with its chunks and lanes.
    ///
    /// # Errors
    /// When there is no such job, or the store is away.
    pub async fn job_detail(&self, id: JobId) -> Result<JobDetail, Reason> {
        let job = self.store.job_get(id).await?;
        let rows = self.store.ledger_read(id).await?;
        let at = self.store.now().await?;
        let live = self.live_mut().get(&id).cloned();
        let frames = |row: &crate::store::LedgerRow| match (&row.item, &job.plan) {
            (Item::Chunk(index), Some(plan)) => {
                plan.chunks.get(index.0 as usize).copied().unwrap_or(0)
            }
            _ => 0,
        };
        let infos = |sound: bool| {
            rows.iter()
                .filter(move |row| (row.item == Item::Sound) == sound)
                .map(|row| live::info(row, frames(row), live.as_ref()))
        };
        Ok(JobDetail {
            chunks: infos(false).collect(),
            sound: infos(true).next(),
            lanes: live.iter().flat_map(|live| live.lanes.values().cloned()).collect(),
            eta_ms: live::eta_ms(&job, live.as_ref(), at),
            job,
            at,
        })
    }

    /// Plans without a job.
    ///
    /// # Errors
    /// The worker's reason, or why it could not be asked.
    pub async fn plan_dry_run(&self, request: &PlanRequest) -> Result<Plan, Reason> {
        tool::plan(&self.settings.worker, None, request, |_, _| {}).await
    }

    /// Kills one rank of a running job with SIGKILL, one that has a chunk in progress.
    ///
    /// # Errors
    /// Outside of the demo, and when no rank of the job works on a chunk.
    pub async fn kill_rank(&self, id: JobId) -> Result<Killed, Reason> {
        if !self.settings.demo {
            return Err(Reason::conflict("ranks can be killed in the demo only"));
        }
        let job = self.store.job_get(id).await?;
        let State::Running { epoch, .. } = job.state else {
            return Err(Reason::conflict(format!(
                "job {} is {}: there is no rank to kill",
                id.short(),
                job.state.name().as_str()
            )));
        };
        let lanes: Vec<Lane> = match self.live_mut().get(&id) {
            Some(live) => live.lanes.values().cloned().collect(),
            None => Vec::new(),
        };
        let busy = |lane: &&Lane| matches!(lane.item, Some(Item::Chunk(_)));
        // Not rank 0 if there is another: it is the dullest one to lose.
        let lane = lanes.iter().filter(busy).max_by_key(|lane| (lane.rank > 0, lane.progress));
        let Some(lane) = lane else {
            return Err(Reason::conflict("no rank has a chunk in progress just now: try again"));
        };
        let run = RunTag { job: id, epoch };
        match tag::signal_one(lane.pid as i32, &run, Signal::KILL) {
            true => {
                if let Some(live) = self.live_mut().get_mut(&id) {
                    live.killed.insert(lane.rank);
                }
                Ok(Killed { lane: lane.clone() })
            }
            false => Err(Reason::conflict(format!("rank {} is gone already", lane.rank))),
        }
    }

    /// Stops: hands nothing out any more, ends launches, gives leases back without blame. Waits for all
    /// of that up to `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        self.tasks.stop(deadline).await;
        self.cluster.lines.close().await;
        if self.serves {
            line::end(self);
        }
        if self.serves {
            let entry = What::EngineStopped { pid: std::process::id() };
            let _ = self.store.feed_append(None, vec![entry]).await;
        }
        self.store.close().await;
    }

    pub(crate) fn live_mut(&self) -> MutexGuard<'_, BTreeMap<JobId, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
