//! Machines made ready for a launch: the worker pushed by its content hash, its versions asked, the launch's
//! folder made, mpirun started on the head. A machine that can't do its part says so here, by name, before any
//! rank is started.

use std::time::{Duration, SystemTime};

use dvp_model::error::Reason;
use dvp_model::node::Member;
use dvp_model::wire::worker::{PROTOCOL, Versions};
use futures::future::join_all;
use sha2::{Digest, Sha256};

use super::line::{self, ask};
use super::network;
use crate::engine::Engine;
use crate::exec::{Ended, Running, ssh, tag};
use crate::launch::spread::{self, Spread, worker_path};

const PATIENCE: Duration = Duration::from_secs(30);
/// Shared memory that a rank may take, KiB.
const PER_RANK_KIB: u32 = 16 << 10;
/// Exit codes of our scripts.
const NO_WORKER: i32 = 93;
const NO_ROOM: i32 = 94;
/// Workers of older builds stay on a machine for so many days after their last use.
const KEEP_WORKERS_DAYS: u32 = 30;

/// The content hash of a file of that age and size.
#[derive(Clone, Debug)]
pub(super) struct Hashed {
    stamp: (SystemTime, u64),
    hash: String,
}

/// The content hash of the worker that is pushed.
///
/// # Errors
/// When it can't be read.
pub async fn worker(engine: &Engine) -> Result<String, Reason> {
    let path = engine.settings().worker.clone();
    let cannot = |error: std::io::Error| {
        Reason::machine(format!("{} can't be read: {error}", path.display()))
    };
    let found = std::fs::metadata(&path).map_err(cannot)?;
    let stamp = (found.modified().map_err(cannot)?, found.len());
    let mut known = engine.cluster.worker.lock().await;
    if let Some(known) = known.as_ref().filter(|known| known.stamp == stamp) {
        return Ok(known.hash.clone());
    }
    let bytes = tokio::fs::read(&path).await.map_err(cannot)?;
    let hash = tokio::task::spawn_blocking(move || {
        Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    let hash = hash.await.map_err(|error| Reason::bug(error.to_string()))?;
    *known = Some(Hashed { stamp, hash: hash.clone() });
    Ok(hash)
}

/// Pushes the worker, if it is not there, and asks its versions.
///
/// # Errors
/// Why it does not work there.
pub async fn push(engine: &Engine, member: &Member, hash: &str) -> Result<Versions, Reason> {
    let path = worker_path(hash);
    let start = format!("[ -x {path} ] || exit {NO_WORKER}; touch {path}; exec {path} versions");
    let mut said = ask(engine, member, &ssh::script(&start), &[], PATIENCE).await?;
    if said.ended == Ended::Code(NO_WORKER) {
        let worker = &engine.settings().worker;
        let bytes = tokio::fs::read(worker).await.map_err(|error| {
            Reason::machine(format!("{} can't be read: {error}", worker.display()))
        })?;
        let push = format!(
            "umask 077; f={path}; d=\"${{f%/*/*}}\"; mkdir -p \"${{f%/*}}\" && cat > \"$f.$$\" && \
             [ \"$(sha256sum < \"$f.$$\" | cut -d' ' -f1)\" = {hash} ] && chmod 700 \"$f.$$\" && mv \"$f.$$\" \"$f\" && \
             find \"$d\" -name dvp-worker -mtime +{KEEP_WORKERS_DAYS} -delete"
        );
        let pushed = ask(engine, member, &ssh::script(&push), &bytes, 4 * PATIENCE).await?;
        if !pushed.is_good() {
            return Err(Reason::machine(format!(
                "{}: the worker can't be put into ~/.cache/dvp: {}; make room there ('df ~')",
                member.name,
                pushed.last_words()
            )));
        }
        said = ask(engine, member, &ssh::script(&start), &[], PATIENCE).await?;
    }
    let broken = |why: &str| {
        Reason::machine(format!(
            "{} can't start the worker: {why}; 'dvp-console nodes add {}@{} --install' installs what is missing",
            member.name, member.user, member.name
        ))
    };
    if !said.is_good() {
        return Err(broken(&said.last_words()));
    }
    let versions: Versions =
        serde_json::from_str(said.out.trim()).map_err(|error| broken(&error.to_string()))?;
    engine.cluster.note_fingerprint(&member.name, &versions.fingerprint);
    match versions.protocol {
        PROTOCOL => Ok(versions),
        other => Err(broken(&format!("it speaks protocol {other}, this engine {PROTOCOL}"))),
    }
}

/// Makes every machine of a launch ready, all at once: worker and folder. The head comes first among `members`.
pub async fn machines(
    engine: &Engine,
    launch: &Spread,
    members: &[Member],
) -> Result<Vec<Result<Versions, Reason>>, Reason> {
    let known_hosts = known_hosts(engine, members.iter())?;
    let each = members.iter().enumerate().map(|(position, member)| {
        let known_hosts = (position == 0).then_some(&*known_hosts);
        async move {
            let versions = push(engine, member, &launch.worker).await?;
            folder(engine, member, launch, known_hosts).await?;
            Ok(versions)
        }
    });
    Ok(join_all(each).await)
}

/// Makes the folder of a launch on a machine, with the three files on the head.
async fn folder(
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
    script += &format!("; {}", network::SCRIPT);
    let said = ask(engine, member, &ssh::script(&script), &[], PATIENCE).await?;
    let name = &member.name;
    match said.ended {
        Ended::Code(0) => match &launch.network {
            Some(network) => network.of(&name.0, &said.out).map(drop),
            None => Ok(()),
        },
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

/// Starts mpirun on the head, over a connection of its own that ends with it.
///
/// # Errors
/// When the head can't be reached.
pub async fn start(engine: &Engine, launch: &Spread, head: &Member) -> Result<Running, Reason> {
    // The client here carries the tag too: it ends with all else.
    let env = vec![(tag::VARIABLE.into(), launch.run.to_string().into())];
    let connection = line::connect(engine, head, env).await?;
    connection.start(&spread::invocation(launch, connection.agent_there())).await
}

/// The content of a file of known hosts that knows these machines.
///
/// # Errors
/// When a file that was named can't be read.
pub fn known_hosts<'a>(
    engine: &Engine,
    members: impl Iterator<Item = &'a Member>,
) -> Result<String, Reason> {
    let own: String = members.map(line::known_host).collect();
    let Some(more) = &engine.settings().access.known_hosts else { return Ok(own) };
    match std::fs::read_to_string(more) {
        Ok(text) => Ok(own + &text),
        Err(error) => Err(Reason::machine(format!("{} can't be read: {error}", more.display()))),
    }
}
