//! Who hosts: of all processes on a data folder, the holder of its lock runs the engine and serves the
//! API; the others attach to it. Finds the engine, or becomes it. Knows nothing of jobs.

mod background;
mod folder;
mod hosting;
mod lock;

use std::time::{Duration, Instant};

use dvp_model::error::{Kind, Reason};
use dvp_model::path::printable;
use dvp_model::wire::api::{Errors, Status, StatusReply, Stop};

use crate::client::{Client, Way};
use crate::config::{Config, Remote};

pub use background::REASON_PREFIX;
pub use folder::prepare as prepare_folder;
pub use hosting::{Ended, Host, run_until_ended};
use lock::Lock;

/// How long a process that holds the lock may take until it answers.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long one question to the socket may take.
const ONE_TRY: Duration = Duration::from_secs(3);
/// How long one to an engine elsewhere may take.
const ELSEWHERE: Duration = Duration::from_secs(15);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(40);

/// What a process does when nobody hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It hosts the engine itself: console, `submit --wait`, `job --wait`.
    Host,
    /// It starts a background engine and attaches to it.
    Background,
    /// It looks at the store itself, and starts nothing.
    Look,
}

/// A client, and whatever this process came to host with it.
#[derive(Debug)]
pub struct Attached {
    /// Speaks to the engine; clones attach anew together when the engine is gone.
    pub client: Client,
}

/// Attaches to the engine that serves the data folder, or hosts it.
///
/// # Errors
/// When the folder can't be used, or its engine doesn't answer.
pub async fn attach_or_host(config: &Config) -> Result<Attached, Reason> {
    attach(config, Role::Host).await
}

/// Attaches to the engine that serves the data folder; when there is none, does as `role` says.
///
/// # Errors
/// When the folder can't be used, or its engine doesn't answer.
pub async fn attach(config: &Config, role: Role) -> Result<Attached, Reason> {
    let (way, host) = find(config, role).await?;
    Ok(Attached { client: Client::attached(way, host, config.clone(), role) })
}

/// The engine that serves the data folder now, if any.
///
/// # Errors
/// When the folder can't be used, or the lock's holder doesn't answer.
pub async fn running(config: &Config) -> Result<Option<(Client, StatusReply)>, Reason> {
    if let Some(remote) = &config.connect {
        let (way, status) = elsewhere(remote).await?;
        return Ok(Some((Client::attached(way, None, config.clone(), Role::Look), status)));
    }
    if !config.data_dir.is_dir() {
        return Ok(None);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some((way, status)) = answering(config).await? {
            return Ok(Some((Client::fixed(way), status)));
        }
        if lock::is_free(config)? {
            return Ok(None);
        }
        pause_until(deadline, config).await?;
    }
}

/// Starts a background engine where nobody hosts, and waits until it answers.
///
/// # Errors
/// When it can't be started; its reason.
pub async fn start_background(config: &Config) -> Result<StatusReply, Reason> {
    if let Some(remote) = &config.connect {
        return Err(Reason::spec(format!(
            "the engine at {} is started on its own machine: leave --connect out there",
            remote.url
        )));
    }
    find(config, Role::Background).await?;
    match running(config).await? {
        Some((_, status)) => Ok(status),
        None => Err(Reason::machine(format!(
            "the background engine ended at once; see {}",
            config.log_file().display()
        ))),
    }
}

/// Stops the background engine of the data folder and waits until it is gone. None: there was none.
///
/// # Errors
/// When a console hosts it, or it doesn't end.
pub async fn stop_background(config: &Config) -> Result<Option<StatusReply>, Errors> {
    let Some((client, status)) = running(config).await? else { return Ok(None) };
    client.call(&Stop {}).await?;
    if config.connect.is_some() {
        return Ok(Some(status));
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while !lock::is_free(config)? {
        if Instant::now() > deadline {
            let text = format!("the engine (process {}) is still busy stopping", status.pid);
            return Err(Reason::machine(format!("{text}; look again in a minute")).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Some(status))
}

impl Attached {
    /// Whether this process hosts the engine.
    pub fn is_hosting(&self) -> bool {
        self.client.is_hosting()
    }

    /// Stops the engine that this process hosts and starts a background engine that goes on with its
    /// jobs. Where this process doesn't host, nothing happens.
    ///
    /// # Errors
    /// When the background engine can't be started; open jobs then wait for the next engine.
    pub async fn hand_over(&self) -> Result<(), Reason> {
        let Some(host) = self.client.take_host() else { return Ok(()) };
        host.stop().await;
        match self.client.config() {
            Some(config) => start_background(config).await.map(drop),
            None => Ok(()),
        }
    }

    /// Stops the engine that this process hosts; open jobs wait for the next engine. Where this process
    /// doesn't host, nothing happens.
    pub async fn stop(&self) {
        if let Some(host) = self.client.take_host() {
            host.stop().await;
        }
    }
}

/// Finds the engine or does as `role` says.
pub(crate) async fn find(config: &Config, role: Role) -> Result<(Way, Option<Host>), Reason> {
    if let Some(remote) = &config.connect {
        return Ok((elsewhere(remote).await?.0, None));
    }
    folder::prepare(&config.data_dir)?;
    let deadline = Instant::now() + PATIENCE;
    let mut started = None;
    loop {
        if role == Role::Host
            && let Some(lock) = Lock::take(config)?
        {
            let host = Host::start(config, lock, false).await?;
            return Ok((host.way(), Some(host)));
        }
        if let Some((way, _)) = answering(config).await? {
            return Ok((way, None));
        }
        match role {
            Role::Host => {}
            Role::Look if lock::is_free(config)? => {
                return Ok((hosting::look(config).await?, None));
            }
            Role::Look => {}
            Role::Background => match &mut started {
                None if lock::is_free(config)? => started = Some(background::Started::new(config)?),
                None => {}
                Some(started) => started.check()?,
            },
        }
        pause_until(deadline, config).await?;
    }
}

async fn pause_until(deadline: Instant, config: &Config) -> Result<(), Reason> {
    if Instant::now() > deadline {
        let (who, how) = match lock::holder(config) {
            Some(pid) => (format!("process {pid}"), format!(" with `kill -9 {pid}`")),
            None => ("a process".to_owned(), String::new()),
        };
        return Err(Reason::machine(format!(
            "{who} holds the data folder {} but its engine does not answer: let it go on if it is \
             stopped, or end it{how}, then try again",
            printable(&config.data_dir.to_string_lossy())
        )));
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// The way to an engine elsewhere, which must answer and be of this version.
async fn elsewhere(remote: &Remote) -> Result<(Way, StatusReply), Reason> {
    let way = Way::remote(remote)?;
    let status = way.call_within(&Status {}, ELSEWHERE).await.map_err(|errors| {
        let first = errors.errors.into_iter().next();
        let reason = first.unwrap_or_else(|| Reason::bug("an engine refused without a reason"));
        match reason.kind {
            // The gate's sentence is for whoever is on that machine.
            Kind::Spec => Reason::spec(format!(
                "the engine at {} asks for its token: put what `dvp-engine token` prints on its machine \
                 into DVP_TOKEN, or into a file and its name into DVP_TOKEN_FILE",
                remote.url
            )),
            _ => reason,
        }
    })?;
    match status.version == crate::VERSION {
        true => Ok((way, status)),
        false => Err(Reason::machine(format!(
            "the engine at {} is DVP {} and this is {}: use that version",
            remote.url,
            status.version,
            crate::VERSION
        ))),
    }
}

/// The way to whoever answers on the socket, if somebody of this version does.
async fn answering(config: &Config) -> Result<Option<(Way, StatusReply)>, Reason> {
    if !config.socket.exists() {
        return Ok(None);
    }
    let way = Way::socket(&config.socket)?;
    match way.call_within(&Status {}, ONE_TRY).await {
        Ok(status) if status.version == crate::VERSION => Ok(Some((way, status))),
        Ok(status) => Err(Reason::machine(format!(
            "an engine of DVP {} (process {}) serves this data folder and this is {}: use that \
             version, or end it first",
            status.version,
            status.pid,
            crate::VERSION
        ))),
        Err(errors) => match errors.errors.into_iter().find(|reason| reason.kind == Kind::Bug) {
            Some(reason) => Err(reason),
            None => Ok(None),
        },
    }
}
