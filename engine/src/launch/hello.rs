//! The least that MPI must be able to do: start processes where jobs would run, and hear from each.

use std::collections::BTreeSet;
use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::node::Member;
use dvp_model::path::printable;

use crate::engine::Engine;
use crate::exec::{Invocation, Said, local};
use crate::nodes;

/// Processes that are started on each machine, at most.
const EACH: u32 = 2;
/// Machines that are tried at once, at most.
const MACHINES: usize = 64;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Processes that said their host's name.
    pub processes: u32,
    /// The hosts, each once.
    pub hosts: BTreeSet<String>,
}

/// Starts ranks that say who they are on the nodes of the cluster or, without any, `hostname` under mpirun here,
/// and counts who answers.
///
/// # Errors
/// What mpirun says, or that fewer answered than were started.
pub async fn hello(engine: &Engine) -> Result<Hello, Reason> {
    if engine.cluster.is_empty() { here(engine).await } else { over_nodes(engine).await }
}

async fn here(engine: &Engine) -> Result<Hello, Reason> {
    let mpirun = &engine.settings().mpirun;
    let number = EACH.to_string();
    let mut args = vec!["-np", &number, "--oversubscribe", "--bind-to", "none"];
    args.extend(["--mca", "btl", "self,vader", "hostname"]);
    if rustix::process::getuid().is_root() {
        args.insert(0, "--allow-run-as-root");
    }
    let args = args.into_iter().map(Into::into).collect();
    let invocation = Invocation { program: mpirun.clone(), args, env: Vec::new() };
    heard(EACH, &local::ask(&invocation, &[], PATIENCE).await?)
}

/// The head first, as jobs have it.
fn members(engine: &Engine) -> Vec<Member> {
    let cluster = &engine.cluster;
    let mut members = cluster.up();
    members.retain(|member| member.slots > 0 && cluster.is_fit(&member.name));
    let head = engine.settings().access.head.as_ref();
    members.sort_by_key(|member| Some(&member.name) != head);
    members.truncate(MACHINES);
    members
}

async fn over_nodes(engine: &Engine) -> Result<Hello, Reason> {
    let members = members(engine);
    if members.is_empty() {
        return Err(Reason::machine(
            "no node can be given work: `dvp-console nodes` says why, `nodes check` tries again",
        ));
    }
    let places = members.into_iter().map(|member| (member.clone(), member.slots.min(EACH)));
    let ranks = nodes::hello::hello(engine, places.collect()).await?;
    let hosts = ranks.iter().map(|rank| printable(&rank.host)).collect();
    Ok(Hello { processes: ranks.len() as u32, hosts })
}

fn heard(processes: u32, said: &Said) -> Result<Hello, Reason> {
    let hosts = || said.out.lines().map(str::trim).filter(|line| !line.is_empty());
    if !said.is_good() || hosts().count() != processes as usize {
        return Err(Reason::machine(format!(
            "mpirun started {processes} processes and {} answered: {}; try \
             'mpirun -np {processes} hostname' there",
            hosts().count(),
            said.last_words()
        )));
    }
    Ok(Hello { processes, hosts: hosts().map(printable).collect() })
}
