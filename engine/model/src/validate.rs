//! The checks of a whole setup: their steps, their wording, what one found. The engine makes them, the
//! console, `dvp-validate` and `validate-setup.sh` show them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::NodeName;

/// Whose commands a hint names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Setup {
    /// Machines that run the programs themselves.
    #[default]
    Plain,
    /// The containers of docker-compose.yml.
    Compose,
}

/// The steps, in order; the first is number 1.
pub const STEPS: &[&str] = &[
    "Checking Docker Containers",
    "Checking SSH Keys",
    "Testing SSH Connectivity",
    "Testing API Endpoints",
    "Testing MPI Execution",
];

/// A step's title.
pub fn title(setup: Setup, step: u32) -> &'static str {
    match (setup, step) {
        (Setup::Plain, 1) => "Checking Machines and Services",
        (_, step) => STEPS.get(step.saturating_sub(1) as usize).copied().unwrap_or(""),
    }
}

/// One check, done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its step, from 1.
    pub step: u32,
    /// What is checked: `Checking MPI Master Node`.
    pub name: String,
    /// What was found.
    pub found: Found,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Found {
    /// As it should be.
    Passed {
        /// In a word: `RUNNING`.
        word: String,
        /// More, where there is more: `6 processes`.
        #[serde(default)]
        more: Option<String>,
    },
    /// Not as it should be.
    Failed {
        /// In a word or two: `NOT RUNNING`.
        word: String,
        /// What was expected.
        expected: String,
        /// What was seen.
        seen: String,
        /// The command that mends it, or what else to do.
        mend: String,
    },
    /// Not made here, and why.
    Skipped {
        /// Why.
        why: String,
    },
}

/// A node as the checks call it, and how it stands in longer names: `Master` and `Master Node`.
pub fn called(node: &NodeName) -> String {
    let name = node.0.as_str();
    match name.strip_prefix("worker") {
        _ if name == "master" => "Master".to_owned(),
        Some(number) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("Worker {number}")
        }
        _ => name.to_owned(),
    }
}

/// `Checking MPI Master Node`, `Checking MPI Worker 1`.
pub fn node_runs(node: &NodeName) -> String {
    match node.0.as_str() {
        "master" => "Checking MPI Master Node".to_owned(),
        _ => format!("Checking MPI {}", called(node)),
    }
}

/// `Checking SSH keys in MPI Master`.
pub fn keys_in(node: &NodeName) -> String {
    format!("Checking SSH keys in MPI {}", called(node))
}

/// `Testing Master to Worker 1`.
pub fn reaches(from: &NodeName, to: &NodeName) -> String {
    let itself = if from == to { " (localhost)" } else { "" };
    format!("Testing {} to {}{itself}", called(from), called(to))
}

/// A node's container in docker-compose.yml: `mpi-worker1`.
pub fn container(node: &NodeName) -> String {
    format!("mpi-{node}")
}

/// The nodes of docker-compose.yml.
pub fn compose_nodes() -> Vec<NodeName> {
    ["master", "worker1", "worker2"].map(|name| NodeName(name.to_owned())).into()
}

/// The services of docker-compose.yml that are no nodes: container and name of the check.
pub const SERVICES: &[(&str, &str)] = &[
    ("api", "Checking API Server"),
    ("postgres", "Checking PostgreSQL Database"),
    ("minio", "Checking MinIO Storage"),
    ("rabbitmq", "Checking RabbitMQ Queue"),
];

/// The name of the check that looks for the engine's own key.
pub fn engines_keys(setup: Setup) -> &'static str {
    match setup {
        Setup::Compose => "Checking SSH keys in API Container",
        Setup::Plain => "Checking SSH keys in the engine's machine",
    }
}

/// The name of the check that goes from the engine to the head.
pub fn engine_reaches(setup: Setup, head: &NodeName) -> String {
    match setup {
        Setup::Compose => format!("Testing API to {}", called(head)),
        Setup::Plain => format!("Testing the engine's machine to {}", called(head)),
    }
}

/// The checks of step 4: name and path of the API's own.
pub const ENDPOINTS: &[(&str, &str)] = &[
    ("Testing Database Connection", "/test-db"),
    ("Testing Storage Connection", "/test-storage"),
    ("Testing Queue Connection", "/test-queue"),
    ("Testing MPI Connection", "/test-mpi"),
];

/// The check of step 5.
pub const HOSTNAME: &str = "Testing MPI hostname command";

/// What a check that passed says, by its step.
pub fn good_word(step: u32) -> &'static str {
    match step {
        1 => "RUNNING",
        2 => "FOUND",
        3 => "CONNECTED",
        _ => "PASSED",
    }
}

/// What a check that failed says, by its step.
pub fn bad_word(step: u32) -> &'static str {
    match step {
        1 => "NOT RUNNING",
        2 => "NOT FOUND",
        _ => "FAILED",
    }
}

impl Check {
    /// A check that passed.
    pub fn passed(step: u32, name: impl Into<String>) -> Self {
        let found = Found::Passed { word: good_word(step).to_owned(), more: None };
        Self { step, name: name.into(), found }
    }

    /// A check that failed.
    pub fn failed(
        step: u32,
        name: impl Into<String>,
        expected: impl Into<String>,
        seen: impl AsRef<str>,
        mend: impl Into<String>,
    ) -> Self {
        let found = Found::Failed {
            word: bad_word(step).to_owned(),
            expected: expected.into(),
            seen: crate::path::printable(seen.as_ref()),
            mend: mend.into(),
        };
        Self { step, name: name.into(), found }
    }

    /// A check that is not made here.
    pub fn skipped(step: u32, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { step, name: name.into(), found: Found::Skipped { why: why.into() } }
    }
}

/// The names of all checks of docker-compose.yml after the first step, with their steps: for when nobody is
/// there to make them.
pub fn compose_rest() -> Vec<(u32, String)> {
    let nodes = compose_nodes();
    let mut all: Vec<(u32, String)> = nodes.iter().map(|node| (2, keys_in(node))).collect();
    all.push((2, engines_keys(Setup::Compose).to_owned()));
    for from in &nodes {
        all.extend(nodes.iter().map(|to| (3, reaches(from, to))));
    }
    all.extend(nodes.first().map(|head| (3, engine_reaches(Setup::Compose, head))));
    all.extend(ENDPOINTS.iter().map(|(name, _)| (4, (*name).to_owned())));
    all.push((5, HOSTNAME.to_owned()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compose_cluster_has_twenty_six() {
        let rest = compose_rest();
        let of = |step| rest.iter().filter(|(of, _)| *of == step).count();
        let first = compose_nodes().len() + SERVICES.len();
        assert_eq!([first, of(2), of(3), of(4), of(5)], [7, 4, 10, 4, 1]);
        assert_eq!(first + rest.len(), 26);
    }

    #[test]
    fn names_are_the_originals() {
        let [master, worker, plain] =
            ["master", "worker2", "workers"].map(|it| NodeName(it.into()));
        assert_eq!(node_runs(&master), "Checking MPI Master Node");
        assert_eq!(node_runs(&worker), "Checking MPI Worker 2");
        assert_eq!(keys_in(&master), "Checking SSH keys in MPI Master");
        assert_eq!(reaches(&master, &master), "Testing Master to Master (localhost)");
        assert_eq!(reaches(&worker, &plain), "Testing Worker 2 to workers");
    }
}
