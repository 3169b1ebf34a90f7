//! The machines that work: this one, and those of the cluster. Keeps their newest figures and their age, so
//! that whoever asks never waits. Knows nothing of jobs.

mod agent;
pub mod cluster;
mod figures;
pub mod hello;
pub mod inventory;
pub mod ladder;
pub mod line;
pub mod mesh;
pub mod network;
pub mod prepare;
mod probe;
pub mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::{Duty, Health, Link, Node};

use crate::engine::Engine;
use crate::launch::tool;
use crate::tasks::Tasks;

pub use probe::{cores, memory_total};

/// How often figures are taken.
const PACE: Duration = Duration::from_secs(2);
/// How often programs that were missing are asked again.
const PROGRAMS_PACE: Duration = Duration::from_secs(30);

/// What is known of this machine.
#[derive(Debug, Default)]
pub struct Local {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    health: Option<Health>,
    ticks: probe::Ticks,
    mpi: Option<Result<String, Reason>>,
    fingerprint: Option<Result<String, Reason>>,
    asked: Option<Instant>,
}

impl Local {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node as it is known now.
    pub fn node(&self, engine: &Engine) -> Node {
        let settings = engine.settings();
        Node {
            name: NodeName(settings.node.0.clone()),
            local: true,
            // With a cluster this machine plans and assembles, and gives no ranks.
            slots: if engine.cluster.is_empty() { settings.slots } else { 0 },
            slots_used: engine.slots_used_here(),
            duty: Duty::Active,
            health: self.known().health.clone(),
            link: Link::Local,
        }
    }

    /// Open MPI's version, or why there is none; none before it was asked.
    pub fn mpi(&self) -> Option<Result<String, Reason>> {
        self.known().mpi.clone()
    }

    /// Takes figures once, and asks the programs when they are due.
    pub async fn look(&self, engine: &Engine) {
        let due = {
            let known = self.known();
            let works = |word: &Option<Result<String, Reason>>| matches!(word, Some(Ok(_)));
            let all_well = works(&known.mpi) && works(&known.fingerprint);
            !all_well && known.asked.is_none_or(|asked| asked.elapsed() >= PROGRAMS_PACE)
        };
        self.figures(engine).await;
        if due {
            let settings = engine.settings();
            let mpi = probe::mpi_version(&settings.mpirun).await;
            let fingerprint = tool::versions(&settings.worker).await.map(|it| it.fingerprint);
            {
                let mut known = self.known();
                known.mpi = Some(mpi);
                known.fingerprint = Some(fingerprint);
                known.asked = Some(Instant::now());
            }
            self.figures(engine).await;
        }
    }

    async fn figures(&self, engine: &Engine) {
        let folder = engine.settings().data_dir.clone();
        let at = engine.store().now().await;
        let taken = tokio::task::spawn_blocking(move || probe::figures(&folder)).await;
        let (Ok(at), Ok(taken)) = (at, taken) else { return };
        let mut known = self.known();
        let cpu = taken.ticks.busy_since(&known.ticks);
        known.ticks = taken.ticks;
        let word = |word: &Option<Result<String, Reason>>| match word {
            Some(Ok(text)) => text.clone(),
            _ => String::new(),
        };
        known.health = Some(Health {
            at,
            cores: cores(),
            cpu,
            load1: taken.load1,
            memory_total: taken.memory_total,
            memory_available: taken.memory_available,
            disk_free: taken.disk_free,
            disk_total: taken.disk_total,
            mpi: word(&known.mpi),
            fingerprint: word(&known.fingerprint),
            clock_ahead_ms: None,
            gpu: String::new(),
        });
    }
}

/// Takes figures for as long as the engine runs.
pub fn watch(local: &Arc<Local>, engine: &Engine, tasks: &Tasks) {
    let (local, engine) = (local.clone(), engine.clone());
    tasks.spawn_until_stop(async move {
        loop {
            local.look(&engine).await;
            tokio::time::sleep(PACE).await;
        }
    });
}
