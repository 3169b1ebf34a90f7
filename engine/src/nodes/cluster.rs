//! The machines of the cluster as the engine knows them: who there is, who answers, who may be given work.
//! Probes each by one ssh command on a timer; a machine that does not answer gets no slots until it does
//! and until nothing of an old launch is left there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dvp_model::error::Reason;
use dvp_model::node::{Duty, Health, Link, Member, Node};
use dvp_model::schedule::Free;
use dvp_model::{Millis, NodeName, RunTag};
use futures::future::join_all;

use crate::engine::Engine;
use crate::exec::local::{self, Said};
use crate::exec::{Invocation, ssh};
use crate::launch::spread;

/// How often each machine is asked.
const PACE: Duration = Duration::from_secs(4);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(9);
/// Answers that may be missing in a row.
const MISSES: u32 = 2;

/// How the machines are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The private key; none: those that ssh finds by itself.
    pub key: Option<PathBuf>,
    /// A file of known hosts besides our own; it may name a host certificate authority.
    pub known_hosts: Option<PathBuf>,
    /// A hostfile whose machines are added at the start.
    pub inventory: Option<PathBuf>,
    /// The machine that mpirun runs on where it is healthy.
    pub head: Option<NodeName>,
    /// The network that ranks speak over.
    pub network: Option<String>,
    /// The folder that all machines mount; objects lie in it.
    pub shared_dir: Option<PathBuf>,
}

/// What is known of the machines.
#[derive(Debug, Default)]
pub struct Cluster {
    known: Mutex<BTreeMap<NodeName, Known>>,
    pub(super) agent: tokio::sync::Mutex<Option<super::agent::Agent>>,
}

#[derive(Clone, Debug)]
struct Known {
    member: Member,
    health: Option<Health>,
    link: Link,
    misses: u32,
    ticks: (u64, u64),
}

impl Known {
    fn new(member: Member) -> Self {
        let reason = Reason::machine("not asked yet");
        let link = Link::Down { at: Millis::default(), reason };
        Self { member, health: None, link, misses: 0, ticks: (0, 0) }
    }

    /// Whether it may be given work.
    fn duty(&self) -> Duty {
        match (&self.member.duty, &self.link) {
            (Duty::Active, Link::Down { reason, .. }) => Duty::SetAside(reason.clone()),
            (Duty::Active, _) if !self.member.unreaped.is_empty() => {
                Duty::SetAside(Reason::machine("what an old launch left there is not ended yet"))
            }
            (duty, _) => duty.clone(),
        }
    }
}

impl Cluster {
    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is any machine but the engine's own.
    pub fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    /// A machine, if there is one of that name.
    pub fn member(&self, name: &NodeName) -> Option<Member> {
        Some(self.known().get(name)?.member.clone())
    }

    /// Whether a machine may be given work now.
    pub fn is_fit(&self, name: &NodeName) -> bool {
        self.known().get(name).is_some_and(|known| known.duty() == Duty::Active)
    }

    /// Why a machine that has work can't go on with it, if so. Draining is no reason.
    pub fn lost(&self, name: &NodeName) -> Option<Reason> {
        match self.known().get(name)?.link.clone() {
            Link::Down { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// What the machines have left beside what is `used`: slots and bytes by name.
    pub fn free(&self, used: &BTreeMap<NodeName, (u32, u64)>) -> Vec<Free> {
        let known = self.known();
        let fit = known.values().filter(|known| known.duty() == Duty::Active);
        fit.map(|known| {
            let (slots, bytes) = used.get(&known.member.name).copied().unwrap_or_default();
            let memory = if known.member.memory == 0 { u64::MAX } else { known.member.memory };
            Free {
                node: known.member.name.clone(),
                slots: known.member.slots,
                slots_free: known.member.slots.saturating_sub(slots),
                memory_free: memory.saturating_sub(bytes),
            }
        })
        .collect()
    }

    /// As the operator sees them.
    pub fn nodes(&self, used: &BTreeMap<NodeName, (u32, u64)>) -> Vec<Node> {
        let known = self.known();
        known
            .values()
            .map(|known| Node {
                name: known.member.name.clone(),
                local: false,
                slots: known.member.slots,
                slots_used: used.get(&known.member.name).map_or(0, |(slots, _)| *slots),
                duty: known.duty(),
                health: known.health.clone(),
                link: known.link.clone(),
            })
            .collect()
    }

    /// Takes over what the store has, and writes our file of known hosts.
    ///
    /// # Errors
    /// When the store is away, or the file can't be written.
    pub async fn refresh(&self, engine: &Engine) -> Result<(), Reason> {
        let members = engine.store().nodes().await?;
        let text: String = members.iter().map(known_host).collect();
        {
            let mut known = self.known();
            known.retain(|name, _| members.iter().any(|member| member.name == *name));
            for member in members {
                match known.get_mut(&member.name) {
                    Some(known) => known.member = member,
                    None => drop(known.insert(member.name.clone(), Known::new(member))),
                }
            }
        }
        let file = own_known_hosts(engine);
        if std::fs::read_to_string(&file).ok().as_deref() == Some(&*text) {
            return Ok(());
        }
        let new = file.with_extension("new");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &file));
        written.map_err(|error| {
            Reason::machine(format!("{} can't be written: {error}", file.display()))
        })
    }

    /// Notes that a machine can't be reached.
    pub fn note_down(&self, name: &NodeName, at: Millis, reason: Reason) {
        if let Some(known) = self.known().get_mut(name) {
            known.link = Link::Down { at, reason };
        }
    }

    fn note_missed(&self, name: &NodeName, at: Millis, reason: Reason) {
        let mut known = self.known();
        let Some(known) = known.get_mut(name) else { return };
        known.misses += 1;
        if known.misses >= MISSES {
            known.link = Link::Down { at, reason };
        }
    }

    fn note_up(&self, name: &NodeName, at: Millis, rtt: Duration, text: &str) {
        let mut known = self.known();
        let Some(known) = known.get_mut(name) else { return };
        known.misses = 0;
        known.link = Link::Up { at, rtt_ms: rtt.as_millis() as u32 };
        let (health, ticks) = super::figures::read(text, at, known.ticks);
        (known.health, known.ticks) = (Some(health), ticks);
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

/// How `member` is reached.
pub fn host(engine: &Engine, member: &Member, agent: Option<&Path>) -> ssh::Host {
    let access = &engine.settings().access;
    ssh::Host {
        address: member.name.0.clone(),
        port: member.port,
        user: member.user.clone(),
        known_hosts: std::iter::once(own_known_hosts(engine))
            .chain(access.known_hosts.clone())
            .collect(),
        key: access.key.clone(),
        agent: agent.map(Path::to_owned),
    }
}

/// Runs `invocation` on a machine to its end.
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
    let name = &member.name;
    let outer = ssh::over(&host(engine, member, None), invocation);
    let said = local::ask(&outer, input, patience).await;
    let said = said.map_err(|reason| Reason::machine(format!("{name}: {reason}")))?;
    match said.code {
        Some(255) => {
            Err(Reason::machine(format!("{name} can't be reached: {}", said.last_words())))
        }
        _ => Ok(said),
    }
}

/// Ends what a launch left on these machines. Those where that can't be done are set aside until it is.
/// Which they are.
pub async fn reap(engine: &Engine, run: &RunTag, members: &[Member]) -> Vec<NodeName> {
    let each = members.iter().map(|member| async move {
        let reason = reap_one(engine, run, member).await.err()?;
        tracing::warn!("launch {run}: {reason}");
        if let Ok(at) = engine.store().now().await {
            engine.cluster.note_down(&member.name, at, reason);
        }
        let note = |member: &mut Member| {
            if !member.unreaped.contains(run) {
                member.unreaped.push(run.clone());
            }
        };
        // A machine that was removed meanwhile is nobody's any more.
        let _ = engine.store().node_change(&member.name, note).await;
        Some(member.name.clone())
    });
    let lost: Vec<NodeName> = join_all(each).await.into_iter().flatten().collect();
    if !lost.is_empty() {
        let _ = engine.cluster.refresh(engine).await;
    }
    lost
}

async fn reap_one(engine: &Engine, run: &RunTag, member: &Member) -> Result<(), Reason> {
    let script = ssh::script(&spread::reap_script(run));
    let said = ask(engine, member, &script, &[], Duration::from_secs(15)).await?;
    match said.code {
        Some(0) => Ok(()),
        _ => Err(Reason::machine(format!(
            "{}: processes of launch {run} can't be killed: {}",
            member.name,
            said.last_words()
        ))),
    }
}

/// Asks every machine again and again for as long as the engine runs.
pub async fn watch(engine: Engine) {
    if let Err(reason) = super::inventory::read_at_start(&engine).await {
        tracing::error!("{reason}");
    }
    loop {
        round(&engine).await;
        tokio::time::sleep(PACE).await;
    }
}

async fn round(engine: &Engine) {
    if let Err(reason) = engine.cluster.refresh(engine).await {
        tracing::warn!("nodes were not looked at: {reason}");
        return;
    }
    let members: Vec<Member> =
        engine.cluster.known().values().map(|known| known.member.clone()).collect();
    let fit = |members: &[Member]| -> Vec<bool> {
        members.iter().map(|member| engine.cluster.is_fit(&member.name)).collect()
    };
    let before = fit(&members);
    join_all(members.iter().map(|member| look(engine, member))).await;
    if fit(&members) != before {
        engine.nudge();
    }
}

/// Asks one machine for its figures; ends there what old launches left.
pub(super) async fn look(engine: &Engine, member: &Member) {
    let since = Instant::now();
    let script = ssh::script(super::figures::SCRIPT);
    let said = ask(engine, member, &script, &[], PATIENCE).await;
    let Ok(at) = engine.store().now().await else { return };
    match said {
        Ok(said) => engine.cluster.note_up(&member.name, at, since.elapsed(), &said.out),
        Err(reason) => return engine.cluster.note_missed(&member.name, at, reason),
    }
    for run in &member.unreaped {
        if let Err(reason) = reap_one(engine, run, member).await {
            tracing::warn!("{reason}");
            return;
        }
        let done = |member: &mut Member| member.unreaped.retain(|of| of != run);
        if engine.store().node_change(&member.name, done).await.is_ok() {
            let _ = engine.cluster.refresh(engine).await;
        }
    }
}
