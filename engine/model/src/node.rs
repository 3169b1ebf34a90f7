//! A node: what it has, how it does, and how old that knowledge is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Reason;
use crate::id::{NodeName, RunTag};
use crate::time::Millis;

/// A node as the operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// The engine's own machine: no SSH.
    pub local: bool,
    /// Ranks that may run there.
    pub slots: u32,
    /// Ranks that run there now.
    pub slots_used: u32,
    /// Whether it is given work.
    pub duty: Duty,
    /// Newest figures; none before the first probe.
    pub health: Option<Health>,
    /// Newest word on its SSH connectivity.
    pub link: Link,
}

/// Whether a node is given work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// It is.
    Active,
    /// A person drains it: it finishes what it has.
    Draining,
    /// The engine set it aside, for this reason.
    SetAside(Reason),
}

/// A machine of the cluster as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Its host name or address, which is its name too.
    pub name: NodeName,
    /// Who logs in.
    pub user: String,
    /// Port of its sshd.
    pub port: u16,
    /// Ranks that may run there.
    pub slots: u32,
    /// Memory that ranks may use there, bytes; 0 while unknown.
    pub memory: u64,
    /// Whether it is given work.
    pub duty: Duty,
    /// The accepted host key, `ssh-ed25519 AAAA...`; empty where a certificate vouches for it.
    pub host_key: String,
    /// Launches whose remains are still to be ended there.
    #[serde(default)]
    pub unreaped: Vec<RunTag>,
}

/// One step from a name to a node that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rung {
    /// Its name: `resolve`, `tcp`, `host key`, ...
    pub name: String,
    /// What was found; or why it failed and the command that mends it.
    pub found: Result<String, Reason>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// How far a machine came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Climb {
    /// The machine.
    pub name: NodeName,
    /// The rungs in order; the last one may have failed.
    pub rungs: Vec<Rung>,
    /// The fingerprint of a host key that nobody has accepted yet: `SHA256:...`.
    #[serde(default)]
    pub shown_key: Option<String>,
    /// There is no rung to come.
    pub is_done: bool,
}

impl Climb {
    /// Why it did not come to the top, if it did not.
    pub fn fault(&self) -> Option<&Reason> {
        self.rungs.iter().find_map(|rung| rung.found.as_ref().err())
    }
}

/// SSH connectivity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// The engine's own machine: no SSH needed.
    Local,
    /// Connected when last tried.
    Up {
        /// When.
        at: Millis,
        /// Round trip, milliseconds.
        rtt_ms: u32,
    },
    /// Not connected when last tried.
    Down {
        /// When.
        at: Millis,
        /// Which rung failed, and what mends it.
        reason: Reason,
    },
}

/// Whether one node reaches another, as mpirun would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Who logs in.
    pub from: NodeName,
    /// Where.
    pub to: NodeName,
    /// Newest word on it.
    pub link: Link,
}

/// A node's figures at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// When they were taken.
    pub at: Millis,
    /// Cores that may be used (by affinity and cgroup).
    pub cores: u32,
    /// Share of those cores that was busy, 0 to 1.
    pub cpu: f64,
    /// Load average over one minute.
    pub load1: f64,
    /// Memory in all, bytes.
    pub memory_total: u64,
    /// Memory that can be had, bytes.
    pub memory_available: u64,
    /// Free space where chunks and scratch lie, bytes.
    pub disk_free: u64,
    /// Size of that file system, bytes.
    pub disk_total: u64,
    /// Open MPI's version; empty when there is none.
    pub mpi: String,
    /// The worker's fingerprint; empty when it could not be asked.
    pub fingerprint: String,
    /// How far its clock is ahead of the engine's, milliseconds, to about the round trip's time; none here.
    #[serde(default)]
    pub clock_ahead_ms: Option<i64>,
    /// Names of its graphics processors; empty when there are none. DVP does not use them.
    #[serde(default)]
    pub gpu: String,
}
