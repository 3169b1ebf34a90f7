//! What each call does: thin routes onto the store, the door, the commands and the engine.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use dvp_model::error::Reason;
use dvp_model::node::{Duty, Member, Node};
use dvp_model::schedule::parallelism;
use dvp_model::time::Millis;
use dvp_model::validate::Setup;
use dvp_model::wire::api::{
    Cancel, Climbs, DryRun, DryRunReply, Errors, Feed, Find, Hold, JobGet, Jobs, KillRank, Mesh,
    NodeAdd, NodeCheck, NodeDrain, NodeRemove, NodeUndrain, Nodes, Release, Retry, Service,
    SetPriority, Status, StatusReply, Stop, Stopping, Submit, SubmitAll, UploadBegin, UploadEnd,
    Validate,
};
use dvp_model::wire::feed::Entry;
use dvp_model::wire::worker::PlanRequest;
use dvp_model::{FilePath, NodeName};
use tokio_util::sync::CancellationToken;

use super::checks::Checks;
use super::{Activity, Routes, upload, validate};
use crate::engine::Engine;
use crate::jobs::{command, submit};
use crate::nodes::{self, ladder};
use crate::store::FeedQuery;
use crate::tasks::Tasks;

/// The longest that a call waits for news.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often a waiting call looks for news that another process wrote.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Jobs or entries in one answer, unless fewer are asked for.
const MOST_JOBS: u32 = 100_000;
const MOST_ENTRIES: u32 = 1000;

/// What routes work with.
pub struct App {
    /// The engine.
    pub engine: Engine,
    /// This machine.
    pub node: Arc<nodes::Local>,
    /// How it is hosted.
    pub standing: Standing,
    /// Who uses it.
    pub activity: Activity,
    /// What its services last said.
    pub(super) checks: Checks,
    /// Somebody asked this engine to stop.
    pub stop_asked: CancellationToken,
    /// The tasks of this engine; their stop ends waiting calls.
    pub tasks: Tasks,
    started_at: Millis,
}

/// How an engine is hosted.
#[derive(Clone, Debug)]
pub struct Standing {
    /// By a background engine, not by a console.
    pub background: bool,
    /// The data folder.
    pub data_dir: FilePath,
    /// The largest film that may be uploaded, bytes.
    pub upload_limit: u64,
    /// Whose commands hints name.
    pub setup: Setup,
}

impl App {
    /// Of a running engine.
    ///
    /// # Errors
    /// When its store is away.
    pub async fn new(
        engine: Engine,
        standing: Standing,
        tasks: Tasks,
    ) -> Result<Arc<Self>, Reason> {
        let started_at = engine.store().now().await?;
        Ok(Arc::new(Self {
            engine,
            node: Arc::default(),
            standing,
            activity: Activity::default(),
            checks: Checks::default(),
            stop_asked: CancellationToken::new(),
            tasks,
            started_at,
        }))
    }
}

/// Every call.
pub fn router(app: Arc<App>) -> Router {
    Routes::new()
        .call::<Submit, _, _>(|app, call| async move {
            submit::submit(app.engine.store(), call.0).await
        })
        .call::<SubmitAll, _, _>(|app, call| async move {
            submit::submit_all(app.engine.store(), call.0).await
        })
        .call::<DryRun, _, _>(dry_run)
        .call::<Find, _, _>(|app, call| async move {
            Ok(app.engine.store().job_by_prefix(&call.prefix).await.map_err(Reason::from)?)
        })
        .call::<Jobs, _, _>(|app, call| async move {
            let limit = call.limit.unwrap_or(MOST_JOBS).min(MOST_JOBS);
            Ok(app.engine.store().jobs_list(limit).await.map_err(Reason::from)?)
        })
        .call::<JobGet, _, _>(|app, call| async move { Ok(app.engine.job_detail(call.id).await?) })
        .call::<Cancel, _, _>(|app, call| async move {
            Ok(command::cancel(app.engine.store(), call.id).await?)
        })
        .call::<Retry, _, _>(|app, call| async move {
            Ok(command::retry(app.engine.store(), call.id).await?)
        })
        .call::<Hold, _, _>(|app, call| async move {
            Ok(command::hold(app.engine.store(), call.id).await?)
        })
        .call::<Release, _, _>(|app, call| async move {
            Ok(command::release(app.engine.store(), call.id).await?)
        })
        .call::<SetPriority, _, _>(|app, call| async move {
            Ok(command::set_priority(app.engine.store(), call.id, call.priority).await?)
        })
        .call::<Feed, _, _>(feed)
        .call::<UploadBegin, _, _>(upload::begin)
        .call::<UploadEnd, _, _>(upload::end)
        .call::<Nodes, _, _>(|app, _| async move { Ok(nodes(&app).await) })
        .call::<Climbs, _, _>(|app, _| async move { Ok(app.engine.cluster.climbs()) })
        .call::<Mesh, _, _>(|app, _| async move { Ok(app.engine.cluster.mesh.pairs()) })
        .call::<NodeAdd, _, _>(|app, call| async move { Ok(ladder::add(&app.engine, call).await?) })
        .call::<NodeCheck, _, _>(|app, call| async move {
            Ok(ladder::check(&app.engine, &call.name).await?)
        })
        .call::<NodeDrain, _, _>(|app, call| async move {
            node_change(&app, &call.name, |member| member.duty = Duty::Draining).await
        })
        .call::<NodeUndrain, _, _>(|app, call| async move {
            let undrain = |member: &mut Member| {
                if member.duty == Duty::Draining {
                    member.duty = Duty::Active;
                }
            };
            node_change(&app, &call.name, undrain).await
        })
        .call::<NodeRemove, _, _>(|app, call| async move {
            let removed = app.engine.store().node_remove(&call.name).await.map_err(Reason::from)?;
            app.engine.cluster.forget(&call.name);
            app.engine.cluster.refresh(&app.engine).await?;
            Ok(removed)
        })
        .call::<Validate, _, _>(
            |app, call| async move { Ok(validate::validate(&app, call).await?) },
        )
        .call::<Status, _, _>(|app, _| async move { Ok(status(&app).await?) })
        .call::<KillRank, _, _>(|app, call| async move { Ok(app.engine.kill_rank(call.id).await?) })
        .call::<Stop, _, _>(|app, _| async move {
            let pid = std::process::id();
            if !app.standing.background {
                return Err(Reason::conflict(format!(
                    "this engine is hosted by the program with process id {pid}: quit that one"
                ))
                .into());
            }
            app.stop_asked.cancel();
            Ok(Stopping { pid })
        })
        .finish(app)
}

async fn node_change(
    app: &App,
    name: &NodeName,
    edit: impl FnOnce(&mut Member) + Send,
) -> Result<Member, Errors> {
    let changed = app.engine.store().node_change(name, edit).await.map_err(Reason::from)?;
    app.engine.cluster.refresh(&app.engine).await?;
    app.engine.nudge();
    Ok(changed)
}

/// The nodes as they are known now.
pub(super) async fn nodes(app: &App) -> Vec<Node> {
    if app.node.node(&app.engine).health.is_none() {
        app.node.look(&app.engine).await;
    }
    let mut all = vec![app.node.node(&app.engine)];
    let used = Engine::used_on_nodes(&app.engine.live(), None);
    all.extend(app.engine.cluster.nodes(&used));
    all
}

async fn dry_run(app: Arc<App>, call: DryRun) -> Result<DryRunReply, Errors> {
    let (submission, checked) = submit::check_apart(call.0).await?;
    let request = PlanRequest { input: submission.input, spec: checked.spec };
    let plan = app.engine.plan_dry_run(&request).await?.summary();
    let (chunks, sound) = (plan.chunks.len() as u32, u32::from(plan.sound));
    let could = || parallelism(chunks + sound, plan.memory_per_rank, &app.engine.idle());
    let parallelism = submission.ranks.unwrap_or_else(could).max(1);
    let wall_ms = dvp_model::estimate::wall_ms(plan.cost_ms, chunks, parallelism);
    Ok(DryRunReply { output: checked.output, parallelism, wall_ms, plan })
}

/// Entries after a cursor; waits for the first one as long as was asked, or until the engine stops.
async fn feed(app: Arc<App>, call: Feed) -> Result<Vec<Entry>, Errors> {
    let query = FeedQuery {
        after: call.after,
        job: call.job,
        limit: call.limit.unwrap_or(MOST_ENTRIES).min(MOST_ENTRIES),
        tail: call.tail,
    };
    news(&app, query, Duration::from_millis(call.wait_ms).min(LONGEST_WAIT)).await
}

/// The same by a query.
pub(super) async fn news(
    app: &App,
    query: FeedQuery,
    wait: Duration,
) -> Result<Vec<Entry>, Errors> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut commits = app.engine.store().commits();
    loop {
        commits.mark_unchanged();
        let entries = app.engine.store().feed_read(query).await.map_err(Reason::from)?;
        if !entries.is_empty() || tokio::time::Instant::now() >= deadline {
            return Ok(entries);
        }
        let again = deadline.min(tokio::time::Instant::now() + LOOK_AGAIN);
        tokio::select! {
            _ = commits.changed() => {}
            () = tokio::time::sleep_until(again) => {}
            () = app.tasks.token().cancelled() => return Ok(entries),
        }
    }
}

/// Engine, services and counts.
pub(super) async fn status(app: &App) -> Result<StatusReply, Reason> {
    let store = app.engine.store();
    let at = store.now().await?;
    let service = |name: &str, word: Result<String, Reason>| {
        let (what, fault) = match word {
            Ok(what) => (what, None),
            Err(reason) => (String::new(), Some(reason)),
        };
        Service { name: name.to_owned(), what, fault, since: None, at }
    };
    let launch = match app.node.mpi() {
        Some(word) => word.map(|version| format!("Open MPI {version}")),
        None => Ok("Open MPI".to_owned()),
    };
    let objects = match app.engine.objects().s3() {
        Some(s3) => s3.health().service(at),
        None => service("objects", Ok("folder".to_owned())),
    };
    let mut services = vec![
        service("store", store.version().await.map_err(Reason::from)),
        objects,
        service("launch", launch),
    ];
    let queue = app.engine.queue();
    services.extend(queue.iter().flat_map(|queue| queue.services(at)));
    Ok(StatusReply {
        pid: std::process::id(),
        version: crate::VERSION.to_owned(),
        started_at: app.started_at,
        background: app.standing.background,
        data_dir: app.standing.data_dir.clone(),
        counts: store.counts().await?,
        services,
        queue: queue.and_then(|queue| queue.figures(at)),
        last_seq: store.feed_last().await?,
        at,
    })
}
