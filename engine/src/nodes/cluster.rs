//! The machines of the cluster as the engine knows them: who there is, who answers, who may be given work. A
//! machine that does not answer, or that the others don't reach, gets no slots until it does and until nothing
//! of an old launch is left there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dvp_model::error::Reason;
use dvp_model::node::{Climb, Duty, Health, Link, Member, Node};
use dvp_model::schedule::Free;
use dvp_model::{Millis, NodeName};
use tokio::sync::Notify;

use super::figures::{self, Before};
use super::line::{Lines, known_host, own_known_hosts};
use super::mesh::Mesh;
use super::network::{Network, Ports};
use super::prepare::Hashed;
use crate::engine::Engine;

/// How often a machine's programs are asked, besides its figures.
const PROGRAMS_PACE: Duration = Duration::from_secs(60);
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
    pub network: Option<Network>,
    /// The ports that ranks use.
    pub ports: Option<Ports>,
    /// The folder that all machines mount; objects lie in it.
    pub shared_dir: Option<PathBuf>,
    /// The user's ssh-agent.
    pub agent: Option<PathBuf>,
    /// Where the sockets of connections lie; none: in the data folder.
    pub sockets: Option<PathBuf>,
}

/// What is known of the machines.
#[derive(Debug, Default)]
pub struct Cluster {
    head: Option<NodeName>,
    known: Mutex<BTreeMap<NodeName, Known>>,
    pub(crate) lines: Lines,
    /// Who reaches whom.
    pub mesh: Mesh,
    /// The worker that is pushed.
    pub(super) worker: tokio::sync::Mutex<Option<Hashed>>,
    /// What the ladder found, by machine: also while it is climbed.
    climbs: Mutex<BTreeMap<NodeName, Climb>>,
    /// Told when another machine may be given work, or one less.
    pub(super) changed: Notify,
}

#[derive(Clone, Debug)]
struct Known {
    member: Member,
    health: Option<Health>,
    link: Link,
    misses: u32,
    before: Before,
    /// When its programs were asked.
    programs: Option<Instant>,
    is_asked: bool,
}

impl Known {
    fn new(member: Member) -> Self {
        let reason = Reason::machine("not asked yet");
        let link = Link::Down { at: Millis::default(), reason };
        let before = Before::default();
        Self { member, health: None, link, misses: 0, before, programs: None, is_asked: false }
    }

    fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Whether it may be given work, if the others reach it.
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
    /// A cluster without machines, whose preferred head will be `head`.
    pub fn new(head: Option<NodeName>) -> Self {
        Self { head, ..Self::default() }
    }

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

    /// Every machine, the preferred head first.
    pub fn members(&self) -> Vec<Member> {
        let mut all: Vec<Member> = self.known().values().map(|it| it.member.clone()).collect();
        all.sort_by_key(|member| Some(&member.name) != self.head.as_ref());
        all
    }

    /// The machines that answer.
    pub fn up(&self) -> Vec<Member> {
        let known = self.known();
        known.values().filter(|known| known.is_up()).map(|known| known.member.clone()).collect()
    }

    /// Whether each machine may be given work now.
    fn duties(&self) -> BTreeMap<NodeName, Duty> {
        let known = self.known();
        let mut duties: BTreeMap<NodeName, Duty> =
            known.iter().map(|(name, known)| (name.clone(), known.duty())).collect();
        drop(known);
        let is_active = |name: &NodeName| duties.get(name) == Some(&Duty::Active);
        for (name, reason) in self.mesh.cut_off(self.head.as_ref(), is_active) {
            duties.insert(name, Duty::SetAside(reason));
        }
        duties
    }

    /// Whether a machine may be given work now.
    pub fn is_fit(&self, name: &NodeName) -> bool {
        self.duties().get(name) == Some(&Duty::Active)
    }

    /// The machine that a launch's mpirun would run on, beside this one: the preferred one where it is fit.
    pub fn head(&self, beside: &NodeName) -> Option<Member> {
        let duties = self.duties();
        let is_fit = |name: &NodeName| name != beside && duties.get(name) == Some(&Duty::Active);
        let preferred = self.head.as_ref().filter(|name| is_fit(name));
        let name = preferred.or_else(|| duties.keys().find(|name| is_fit(name)))?;
        self.member(name)
    }

    /// Whether a person drains a machine, or took it away.
    pub fn is_drained(&self, name: &NodeName) -> bool {
        self.known().get(name).is_none_or(|known| known.member.duty == Duty::Draining)
    }

    /// Why a machine is set aside, if it is.
    pub fn unfit(&self, name: &NodeName) -> Option<Reason> {
        match self.duties().remove(name)? {
            Duty::SetAside(reason) => Some(reason),
            _ => None,
        }
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
        let duties = self.duties();
        let known = self.known();
        let fit = known.values().filter(|of| duties.get(&of.member.name) == Some(&Duty::Active));
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
        let mut duties = self.duties();
        let known = self.known();
        known
            .values()
            .map(|known| Node {
                name: known.member.name.clone(),
                local: false,
                slots: known.member.slots,
                slots_used: used.get(&known.member.name).map_or(0, |(slots, _)| *slots),
                duty: duties.remove(&known.member.name).unwrap_or_else(|| known.duty()),
                health: known.health.clone(),
                link: known.link.clone(),
            })
            .collect()
    }

    /// The machines that are to be asked now: those that are not being asked already.
    pub(super) fn due(&self) -> Vec<Member> {
        let mut known = self.known();
        let due = known.values_mut().filter_map(|known| {
            let was_asked = std::mem::replace(&mut known.is_asked, true);
            (!was_asked).then(|| known.member.clone())
        });
        due.collect()
    }

    /// Notes that a machine was asked.
    pub(super) fn asked(&self, name: &NodeName) {
        if let Some(known) = self.known().get_mut(name) {
            known.is_asked = false;
        }
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
            self.mesh.keep(&members.iter().map(|member| &member.name).collect());
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
        let new = file.with_extension(uuid::Uuid::new_v4().simple().to_string());
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

    pub(super) fn note_missed(&self, name: &NodeName, at: Millis, reason: Reason) {
        let mut known = self.known();
        let Some(known) = known.get_mut(name) else { return };
        known.misses += 1;
        if known.misses >= MISSES {
            known.link = Link::Down { at, reason };
        }
    }

    /// Notes what a machine said of itself, `clock_ns` by our clock.
    pub(super) fn note_up(
        &self,
        name: &NodeName,
        at: Millis,
        rtt: Duration,
        clock_ns: i128,
        text: &str,
    ) {
        let mut known = self.known();
        let Some(known) = known.get_mut(name) else { return };
        known.misses = 0;
        known.link = Link::Up { at, rtt_ms: rtt.as_millis() as u32 };
        let (health, before) = figures::read(text, at, clock_ns, &known.before);
        (known.health, known.before) = (Some(health), before);
    }

    /// Notes what the worker said of itself on a machine.
    pub(super) fn note_fingerprint(&self, name: &NodeName, fingerprint: &str) {
        if let Some(known) = self.known().get_mut(name) {
            fingerprint.clone_into(&mut known.before.fingerprint);
        }
    }

    /// Whether a machine's programs are to be asked too; then it counts as done.
    pub(super) fn programs_due(&self, name: &NodeName) -> bool {
        let mut known = self.known();
        let Some(known) = known.get_mut(name) else { return false };
        let due = known.programs.is_none_or(|asked| asked.elapsed() > PROGRAMS_PACE);
        if due {
            known.programs = Some(Instant::now());
        }
        due
    }

    fn climbs_mut(&self) -> MutexGuard<'_, BTreeMap<NodeName, Climb>> {
        self.climbs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the ladder found the last time, by machine: also while it is climbed.
    pub fn climbs(&self) -> Vec<Climb> {
        self.climbs_mut().values().cloned().collect()
    }

    /// The next probe of a machine asks its programs too.
    pub(super) fn ask_programs(&self, name: &NodeName) {
        if let Some(known) = self.known().get_mut(name) {
            known.programs = None;
        }
    }

    /// Forgets how a machine was reached.
    pub fn forget(&self, name: &NodeName) {
        self.climbs_mut().remove(name);
        self.lines.drop(name);
    }

    /// Notes how far a machine came.
    pub(super) fn note_climb(&self, climb: &Climb) {
        self.climbs_mut().insert(climb.name.clone(), climb.clone());
    }
}
