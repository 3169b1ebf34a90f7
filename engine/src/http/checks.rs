//! Is it alive, is it ready, does each service answer: what probes and people ask without a token. Each is
//! asked for real, by one asker at a time, and its answer serves everybody for a few seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dvp_model::error::Reason;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::answer::{self, Refusal};
use super::openapi::{Answer, Description, Plain};
use super::routes::App;
use crate::launch::hello;

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(5);
/// How long a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Database,
    Storage,
    Queue,
    Mpi,
}

type Known = Option<(Instant, Result<Value, Reason>)>;

/// The last answer of each service.
#[derive(Debug, Default)]
pub struct Checks {
    known: [Arc<Mutex<Known>>; 4],
    /// MPI worked once since the start.
    mpi_worked: AtomicBool,
}

/// What each is for: path, name, one line.
const ABOUT: &[(&str, &str, &str)] = &[
    ("/", "Root", "Name, version, and where to look further"),
    ("/healthz", "Alive", "Whether the process answers at all"),
    (
        "/readyz",
        "Ready",
        "Whether the database answers and MPI has started processes since the start",
    ),
    ("/test-db", "TestDatabase", "Whether the database answers"),
    ("/test-storage", "TestStorage", "Whether an object can be written, read and removed"),
    ("/test-queue", "TestQueue", "Whether RabbitMQ answers"),
    ("/test-mpi", "TestMpi", "Whether mpirun starts processes; asked at most every 5 s"),
];

/// Whether a path is one of these: they name no job and no file, and need no token.
pub(super) fn is_check(path: &str) -> bool {
    ABOUT.iter().any(|(own, ..)| *own == path)
}

/// Adds the checks to a description.
pub(super) fn describe(description: &mut Description) {
    for (path, name, about) in ABOUT {
        description.plain(Plain {
            method: "get",
            path,
            name,
            about,
            answer: Answer::Json(json!({ "type": "object" })),
            query: Vec::new(),
            body: None,
            guarded: false,
        });
    }
}

/// Adds the checks to a router.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let asked = |service| {
        get(move |State(app): State<Arc<App>>| async move { written(ask(&app, service).await) })
    };
    router
        .route("/", get(root))
        .route("/healthz", get(async || answer::json(&json!({ "status": "success" }))))
        .route("/readyz", get(ready))
        .route("/test-db", asked(Service::Database))
        .route("/test-storage", asked(Service::Storage))
        .route("/test-queue", asked(Service::Queue))
        .route("/test-mpi", asked(Service::Mpi))
}

async fn root() -> Response {
    answer::json(&json!({
        "name": "DVP", "version": crate::VERSION, "docs": "/docs", "api": "/openapi.json"
    }))
}

/// Ready is who can take a job and start it. MPI counts as working once it has, so that a probe every few
/// seconds starts no processes every few seconds.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let mut asked = ask(&app, Service::Database).await;
    if asked.is_ok() && !app.checks.mpi_worked.load(Ordering::Relaxed) {
        asked = ask(&app, Service::Mpi).await;
    }
    written(asked.map(|_| json!({ "status": "success" })))
}

fn written(asked: Result<Value, Reason>) -> Response {
    match asked {
        Ok(value) => answer::json(&value),
        Err(reason) => {
            // Whatever it is that does not work, the service is what is unavailable.
            let unavailable = axum::http::StatusCode::SERVICE_UNAVAILABLE;
            Refusal::with(unavailable, reason).into_response()
        }
    }
}

/// The service's answer: the last one while it is fresh, else a new one. Whoever comes meanwhile waits for it.
pub(super) async fn ask(app: &Arc<App>, service: Service) -> Result<Value, Reason> {
    let known = app.checks.known[service as usize].clone().lock_owned().await;
    if let Some((at, answer)) = known.as_ref()
        && at.elapsed() < FRESH
    {
        return answer.clone();
    }
    let (tell, told) = oneshot::channel();
    // In a task: an asker who goes away neither breaks it off nor lets another one begin.
    app.tasks.spawn_until_stop(ask_now(app.clone(), service, known, tell));
    told.await.unwrap_or_else(|_| Err(Reason::machine("the engine is stopping")))
}

async fn ask_now(
    app: Arc<App>,
    service: Service,
    mut known: OwnedMutexGuard<Known>,
    tell: oneshot::Sender<Result<Value, Reason>>,
) {
    let answer = match tokio::time::timeout(PATIENCE, look(&app, service)).await {
        Ok(answer) => answer,
        Err(_) => Err(Reason::machine(format!("no answer in {} s", PATIENCE.as_secs()))),
    };
    if service == Service::Mpi && answer.is_ok() {
        app.checks.mpi_worked.store(true, Ordering::Relaxed);
    }
    *known = Some((Instant::now(), answer.clone()));
    let _ = tell.send(answer);
}

async fn look(app: &App, service: Service) -> Result<Value, Reason> {
    let engine = &app.engine;
    let mut found = match service {
        Service::Database => json!({ "database": engine.store().version().await? }),
        Service::Storage => json!({ "storage": engine.objects.test().await? }),
        Service::Queue => match engine.queue() {
            Some(queue) => json!({ "queue": queue.test().await? }),
            None => {
                return Err(Reason::machine(
                    "no RabbitMQ is set up: jobs come by console and API only; name its host in \
                     RMQ_HOST to have them from a queue too",
                ));
            }
        },
        Service::Mpi => {
            let hello = hello::hello(engine).await?;
            json!({ "processes": hello.processes, "hosts": hello.hosts })
        }
    };
    found["status"] = "success".into();
    Ok(found)
}
