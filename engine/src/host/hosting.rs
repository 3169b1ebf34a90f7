//! An engine hosted by this process: its own runtime, its socket, its orderly end. Also the engine that
//! only looks. Knows nothing of what is served.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::path::printable;
use rustix::fs::Mode;
use tokio::net::{TcpListener, UnixListener};

use super::lock::Lock;
use crate::client::Way;
use crate::config::Config;
use crate::engine::{Engine, Settings, Timings};
use crate::http::{self, App, Standing};
use crate::nodes;
use crate::store::StoreUrl;
use crate::tasks::Tasks;

/// How long launches and reconcilers may take to end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The engine that this process hosts.
pub struct Host {
    runtime: Option<tokio::runtime::Runtime>,
    app: Arc<App>,
    router: axum::Router,
    socket: PathBuf,
    inode: u64,
    lock: Option<Lock>,
}

/// Why a hosted engine should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody asked it to through the API.
    Asked,
    /// It is a background engine, and nobody has needed it for its while.
    Idle,
}

impl Host {
    /// Starts an engine under `lock` and serves its API. The engine has a runtime of its own.
    pub(super) async fn start(
        config: &Config,
        lock: Lock,
        background: bool,
    ) -> Result<Self, Reason> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dvp-engine")
            .enable_all()
            .build()
            .map_err(|error| {
                Reason::machine(format!("cannot start the engine's threads: {error}"))
            })?;
        let starting = runtime.spawn(serve(config.clone(), background));
        let started = starting.await.unwrap_or_else(|error| {
            Err(Reason::bug(format!("the engine could not start: {error}")))
        });
        match started {
            Ok((app, router, inode)) => Ok(Self {
                runtime: Some(runtime),
                app,
                router,
                socket: config.socket.clone(),
                inode,
                lock: Some(lock),
            }),
            Err(reason) => {
                runtime.shutdown_background();
                Err(reason)
            }
        }
    }

    /// The way to it within this process.
    pub(crate) fn way(&self) -> Way {
        match &self.runtime {
            Some(runtime) => Way::InProcess(self.router.clone(), runtime.handle().clone()),
            None => Way::InProcess(self.router.clone(), tokio::runtime::Handle::current()),
        }
    }

    /// Waits until it should end.
    pub async fn ended(&self, linger: Duration) -> Ended {
        let idle = async {
            loop {
                tokio::time::sleep(Duration::from_millis(250).min(linger)).await;
                // An engine that takes jobs from a queue is needed for as long as it runs.
                if self.app.engine.queue().is_some() {
                    continue;
                }
                if !self.app.standing.background || self.app.activity.idle() < linger {
                    continue;
                }
                // Held jobs need nobody: whoever releases one starts an engine.
                let quiet = self.app.engine.store().counts().await.is_ok_and(|counts| {
                    let busy = ["queued", "running", "waiting", "holding", "cancelling"];
                    busy.iter().all(|state| counts.get(*state).is_none_or(|count| *count == 0))
                });
                if quiet {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.app.stop_asked.cancelled() => Ended::Asked,
            () = idle => Ended::Idle,
        }
    }

    /// Ends it in order: no more calls, launches ended, socket gone, lock free.
    pub async fn stop(mut self) {
        self.unlink();
        if let Some(runtime) = self.runtime.take() {
            let app = self.app.clone();
            let ending = runtime.spawn(async move {
                app.tasks.ask_to_stop();
                app.engine.shutdown(LAST_WORDS).await;
                app.tasks.stop(Duration::from_secs(2)).await;
            });
            let _ = ending.await;
            runtime.shutdown_background();
        }
        drop(self.lock.take());
    }

    /// Removes the socket, if it still is this engine's.
    fn unlink(&self) {
        if std::fs::symlink_metadata(&self.socket).is_ok_and(|meta| meta.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.socket);
        }
    }
}

/// A host that is dropped without [`Host::stop`] (a panic) frees socket and lock; its launches see their
/// link end.
impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            self.unlink();
            self.app.tasks.ask_to_stop();
            runtime.shutdown_background();
        }
    }
}

/// Hosts a data folder until `ended` or until the engine should end by itself; the body of `dvp-engine`.
/// None: another process hosts it and answers, there is nothing to do.
///
/// # Errors
/// Why it can't be hosted.
pub async fn run_until_ended(
    config: &Config,
    background: bool,
    ended: impl Future<Output = ()>,
) -> Result<Option<Ended>, Reason> {
    super::folder::prepare(&config.data_dir)?;
    let deadline = std::time::Instant::now() + super::PATIENCE;
    let lock = loop {
        match Lock::take(config)? {
            Some(lock) => break lock,
            None if super::answering(config).await?.is_some() => return Ok(None),
            None => super::pause_until(deadline, config).await?,
        }
    };
    let host = Host::start(config, lock, background).await?;
    let why = tokio::select! {
        () = ended => Ended::Asked,
        why = host.ended(Duration::from_secs(config.linger_s)) => why,
    };
    host.stop().await;
    Ok(Some(why))
}

/// An engine's store without an engine: for whoever only looks while nobody hosts.
pub(super) async fn look(config: &Config) -> Result<Way, Reason> {
    let engine = Engine::look(settings(config)).await?;
    let app = App::new(engine, standing(config, false), Tasks::new()).await?;
    Ok(Way::InProcess(http::router(app), tokio::runtime::Handle::current()))
}

async fn serve(config: Config, background: bool) -> Result<(Arc<App>, axum::Router, u64), Reason> {
    let engine = Engine::start(settings(&config)).await?;
    let tasks = Tasks::new();
    let app = App::new(engine, standing(&config, background), tasks.clone()).await?;
    nodes::watch(&app.node, &app.engine, &tasks);
    let router = http::router(app.clone());
    let (listener, inode) = match bind(&config.socket, &config.data_dir) {
        Ok(bound) => bound,
        Err(error) => {
            app.engine.shutdown(LAST_WORDS).await;
            return Err(Reason::machine(format!(
                "cannot open the engine's socket {}: {error}",
                printable(&config.socket.to_string_lossy())
            )));
        }
    };
    if let Some(address) = config.listen {
        let served = match listen(address, &config.data_dir, &router, &app, &tasks).await {
            Ok(served) => served,
            Err(reason) => {
                let _ = std::fs::remove_file(&config.socket);
                app.engine.shutdown(LAST_WORDS).await;
                return Err(reason);
            }
        };
        tasks.spawn(served);
    }
    let served = http::serve(listener, router.clone(), app.activity.clone(), tasks.token().clone());
    tasks.spawn(served);
    tracing::info!(socket = %config.socket.display(), "serves");
    Ok((app, router, inode))
}

/// Opens the API's TCP address; what is returned serves it until the tasks stop.
async fn listen(
    address: SocketAddr,
    data_dir: &Path,
    router: &axum::Router,
    app: &App,
    tasks: &Tasks,
) -> Result<impl Future<Output = ()> + Send + 'static, Reason> {
    let cannot = |error: std::io::Error| {
        Reason::machine(format!(
            "cannot listen on {address} ({error}): give another address in the setting listen"
        ))
    };
    let token = http::token(data_dir)?;
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    tracing::info!(address = %bound, "serves");
    let router = http::guarded(router.clone(), bound, &token);
    Ok(http::serve(listener, router, app.activity.clone(), tasks.token().clone()))
}

fn standing(config: &Config, background: bool) -> Standing {
    let data_dir = config.data_dir.clone().into();
    Standing { background, data_dir, upload_limit: config.upload_bytes, setup: config.setup }
}

fn settings(config: &Config) -> Settings {
    let cores = nodes::cores();
    Settings {
        data_dir: config.data_dir.clone(),
        store: match &config.database {
            Some(url) => StoreUrl::Postgres(url.clone()),
            None => StoreUrl::Sqlite(config.sqlite_file()),
        },
        worker: config.worker.clone(),
        mpirun: config.mpirun.clone(),
        slots: config.slots.unwrap_or(cores),
        memory: nodes::memory_total(),
        node: NodeName(rustix::system::uname().nodename().to_string_lossy().into_owned()),
        broker: config.broker.clone(),
        s3: None,
        timings: Timings::default(),
        demo: config.demo,
        access: config.access.clone(),
    }
}

/// Binds the socket for its owner alone. What lies there is stale: this process holds the lock.
fn bind(path: &Path, data_dir: &Path) -> std::io::Result<(UnixListener, u64)> {
    if let Some(folder) = path.parent().filter(|folder| *folder != data_dir) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let meta = std::fs::metadata(folder)?;
        if meta.uid() != rustix::process::getuid().as_raw() {
            let text = format!("{} belongs to another user", folder.display());
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, text));
        }
    }
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path)?,
        _ => {}
    }
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    Ok((bound?, std::fs::symlink_metadata(path)?.ino()))
}
