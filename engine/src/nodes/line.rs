//! Connections to the machines: one to each that all questions share, and one of its own for each launch.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::Member;
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::exec::ssh::{self, Connection};
use crate::exec::{Ended, Invocation, Said};

/// Connections that are being opened at once.
const OPENING: usize = 16;

/// The connection to a machine, while there is one.
type Line = tokio::sync::Mutex<Option<Arc<Connection>>>;

/// The shared connections.
#[derive(Debug)]
pub struct Lines {
    all: Mutex<BTreeMap<NodeName, Arc<Line>>>,
    opening: Semaphore,
    pub(super) agent: tokio::sync::Mutex<Option<super::agent::Agent>>,
}

impl Default for Lines {
    fn default() -> Self {
        let opening = Semaphore::new(OPENING);
        Self { all: Mutex::default(), opening, agent: tokio::sync::Mutex::default() }
    }
}

impl Lines {
    fn of(&self, name: &NodeName) -> Arc<Line> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.clone()).or_default().clone()
    }

    /// Ends the connection to a machine: the next question opens a new one.
    pub fn drop(&self, name: &NodeName) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.agent.lock().await = None;
    }
}

/// The line of a known hosts file for a machine; none where a certificate vouches for it.
pub fn known_host(member: &Member) -> String {
    match (member.host_key.as_str(), member.port) {
        ("", _) => String::new(),
        (key, 22) => format!("{} {key}\n", member.name),
        (key, port) => format!("[{}]:{port} {key}\n", member.name),
    }
}

/// Our own file of known hosts.
pub fn own_known_hosts(engine: &Engine) -> PathBuf {
    engine.settings().data_dir.join("known_hosts")
}

/// Where the sockets of connections lie.
pub(super) fn sockets(engine: &Engine) -> PathBuf {
    let settings = engine.settings();
    settings.access.sockets.clone().unwrap_or_else(|| settings.data_dir.join("ssh"))
}

/// Removes the sockets that a dead engine left: nobody listens there any more.
///
/// # Errors
/// When the folder for them can't be made.
pub fn begin(engine: &Engine) -> Result<(), Reason> {
    let folder = sockets(engine);
    let _ = std::fs::remove_dir_all(&folder);
    ssh::private_folder(&folder)
}

/// Removes the folder of the sockets; the connections are closed.
pub fn end(engine: &Engine) {
    let _ = std::fs::remove_dir_all(sockets(engine));
}

async fn host(engine: &Engine, member: &Member, forward: bool) -> Result<ssh::Host, Reason> {
    let access = &engine.settings().access;
    Ok(ssh::Host {
        address: member.name.0.clone(),
        port: member.port,
        user: member.user.clone(),
        known_hosts: std::iter::once(own_known_hosts(engine))
            .chain(access.known_hosts.clone())
            .collect(),
        host_key: member.host_key.clone(),
        key: access.key.clone(),
        agent: super::agent::socket(engine).await?,
        forward,
    })
}

/// A connection of the caller's own to a machine, with the agent forwarded.
///
/// # Errors
/// When the machine can't be reached.
pub async fn connect(
    engine: &Engine,
    member: &Member,
    env: Vec<(OsString, OsString)>,
) -> Result<Arc<Connection>, Reason> {
    let host = host(engine, member, true).await?;
    open(engine, member, &host, env).await
}

async fn open(
    engine: &Engine,
    member: &Member,
    host: &ssh::Host,
    env: Vec<(OsString, OsString)>,
) -> Result<Arc<Connection>, Reason> {
    let _turn = engine.cluster.lines.opening.acquire().await;
    let opened = Connection::open(host, &sockets(engine), env).await;
    opened.map(Arc::new).map_err(|reason| unreachable(&member.name, &reason))
}

fn unreachable(name: &NodeName, reason: &Reason) -> Reason {
    Reason::machine(format!("{name} can't be reached: {}", reason.text))
}

/// Runs `invocation` on a machine to its end, over the connection that all such calls share.
///
/// # Errors
/// When the machine can't be reached or does not answer in time.
pub async fn ask(
    engine: &Engine,
    member: &Member,
    invocation: &Invocation,
    input: &[u8],
    patience: Duration,
) -> Result<Said, Reason> {
    let line = engine.cluster.lines.of(&member.name);
    let host = host(engine, member, false).await?;
    let connection = {
        let mut line = line.lock().await;
        match line.as_ref() {
            Some(open) if *open.host() == host && open.is_alive().await => open.clone(),
            _ => {
                *line = None;
                line.insert(open(engine, member, &host, Vec::new()).await?).clone()
            }
        }
    };
    let said = match connection.ask(invocation, input, patience).await {
        Ok(said) if said.ended == Ended::Unknown => {
            Err(Reason::machine("the connection broke, or the program there was killed"))
        }
        said => said,
    };
    if said.is_err() {
        // Whatever it was, the next one gets a new connection.
        let mut line = line.lock().await;
        if line.as_ref().is_some_and(|now| Arc::ptr_eq(now, &connection)) {
            *line = None;
        }
    }
    said.map_err(|reason| unreachable(&member.name, &reason))
}
