//! A machine made ready: the worker pushed by its content hash, the folder of a launch made, its versions
//! asked. A machine that can't start the worker says so here, by name, before any rank is started.

use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::node::Member;
use dvp_model::wire::worker::{PROTOCOL, Versions};
use sha2::{Digest, Sha256};

use super::line::ask;
use crate::engine::Engine;
use crate::exec::{Ended, ssh};
use crate::launch::spread::{Spread, worker_path};

const PATIENCE: Duration = Duration::from_secs(30);
/// Shared memory that a rank may take, KiB.
const PER_RANK_KIB: u32 = 16 << 10;
/// Exit codes of our scripts.
const NO_WORKER: i32 = 93;
const NO_ROOM: i32 = 94;

/// The worker's bytes and their hash.
///
/// # Errors
/// When it can't be read.
pub async fn worker(engine: &Engine) -> Result<(Vec<u8>, String), Reason> {
    let path = engine.settings().worker.clone();
    let read = tokio::task::spawn_blocking(move || {
        let bytes = std::fs::read(&path).map_err(|error| {
            Reason::machine(format!("{} can't be read: {error}", path.display()))
        })?;
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((bytes, hash))
    });
    read.await.map_err(|error| Reason::bug(error.to_string()))?
}

/// Pushes the worker, if it is not there, and asks its versions.
///
/// # Errors
/// Why it does not work there.
pub async fn push(
    engine: &Engine,
    member: &Member,
    bytes: &[u8],
    hash: &str,
) -> Result<Versions, Reason> {
    let path = worker_path(hash);
    let start = format!("[ -x {path} ] || exit {NO_WORKER}; exec {path} versions");
    let mut said = ask(engine, member, &ssh::script(&start), &[], PATIENCE).await?;
    if said.ended == Ended::Code(NO_WORKER) {
        let push = format!(
            "umask 077; f={path}; mkdir -p \"${{f%/*}}\" && cat > \"$f.$$\" && \
             [ \"$(sha256sum < \"$f.$$\" | cut -d' ' -f1)\" = {hash} ] && chmod 700 \"$f.$$\" && mv \"$f.$$\" \"$f\""
        );
        let pushed = ask(engine, member, &ssh::script(&push), bytes, 4 * PATIENCE).await?;
        if !pushed.is_good() {
            return Err(Reason::machine(format!(
                "{}: the worker can't be put into ~/.cache/dvp: {}; make room there",
                member.name,
                pushed.last_words()
            )));
        }
        said = ask(engine, member, &ssh::script(&start), &[], PATIENCE).await?;
    }
    let broken = |why: &str| {
        Reason::machine(format!(
            "{} can't start the worker: {why}; 'nodes add {}@{} --install' installs what is missing",
            member.name, member.user, member.name
        ))
    };
    if !said.is_good() {
        return Err(broken(&said.last_words()));
    }
    let versions: Versions =
        serde_json::from_str(said.out.trim()).map_err(|error| broken(&error.to_string()))?;
    match versions.protocol {
        PROTOCOL => Ok(versions),
        other => Err(broken(&format!("it speaks protocol {other}, this engine {PROTOCOL}"))),
    }
}

/// Makes the folder of a launch on a machine, with the three files on the head.
///
/// # Errors
/// Why it can't be.
pub async fn folder(
    engine: &Engine,
    member: &Member,
    launch: &Spread,
    known_hosts: Option<&str>,
) -> Result<(), Reason> {
    let folder = launch.folder();
    let folder = folder.display();
    let place = launch.places.iter().find(|(of, _)| of.name == member.name);
    let wanted = place.map_or(1, |(_, ranks)| ranks + 1) * PER_RANK_KIB;
    let mut script = format!(
        "umask 077; [ \"$(df -Pk /dev/shm | awk 'NR==2{{print $4}}')\" -ge {wanted} ] || exit {NO_ROOM}; \
         mkdir -p {folder} || exit 1"
    );
    if let Some(known_hosts) = known_hosts {
        let config = launch.ssh_config();
        let files = [
            ("hostfile", &*launch.hostfile()),
            ("ssh_config", &*config),
            ("known_hosts", known_hosts),
        ];
        for (name, text) in files {
            let text = ssh::quoted(text.as_ref());
            script +=
                &format!("; printf %s {} > {folder}/{name} || exit 1", text.to_string_lossy());
        }
    }
    let said = ask(engine, member, &ssh::script(&script), &[], PATIENCE).await?;
    let name = &member.name;
    match said.ended {
        Ended::Code(0) => Ok(()),
        Ended::Code(NO_ROOM) => Err(Reason::machine(format!(
            "{name} has less than {} MiB of shared memory free: enlarge /dev/shm (docker: --shm-size)",
            wanted >> 10
        ))),
        _ => Err(Reason::machine(format!(
            "{name}: the launch's folder {folder} can't be made: {}",
            said.last_words()
        ))),
    }
}

/// The content of a file of known hosts that knows these machines.
///
/// # Errors
/// When a file that was named can't be read.
pub fn known_hosts<'a>(
    engine: &Engine,
    members: impl Iterator<Item = &'a Member>,
) -> Result<String, Reason> {
    let own: String = members.map(super::line::known_host).collect();
    let Some(more) = &engine.settings().access.known_hosts else { return Ok(own) };
    match std::fs::read_to_string(more) {
        Ok(text) => Ok(own + &text),
        Err(error) => Err(Reason::machine(format!("{} can't be read: {error}", more.display()))),
    }
}
