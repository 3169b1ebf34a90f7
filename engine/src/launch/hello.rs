//! The least that MPI must be able to do: start processes where jobs would run, and hear from each.

use std::collections::BTreeSet;
use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::path::printable;

use crate::engine::Engine;
use crate::exec::{Invocation, local};

/// Processes that are started on this machine.
const PROCESSES: usize = 2;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Processes that said their host's name.
    pub processes: usize,
    /// The hosts, each once.
    pub hosts: BTreeSet<String>,
}

/// Starts `hostname` under mpirun and counts who answers.
///
/// # Errors
/// What mpirun says, or that fewer answered than were started.
pub async fn hello(engine: &Engine) -> Result<Hello, Reason> {
    let mpirun = &engine.settings().mpirun;
    let number = PROCESSES.to_string();
    let mut args = vec!["-np", &number, "--oversubscribe", "--bind-to", "none"];
    args.extend(["--mca", "btl", "self,vader", "hostname"]);
    if rustix::process::getuid().is_root() {
        args.insert(0, "--allow-run-as-root");
    }
    let args = args.into_iter().map(Into::into).collect();
    let invocation = Invocation { program: mpirun.clone(), args, env: Vec::new() };
    let said = local::ask(&invocation, &[], PATIENCE).await?;
    let hosts: Vec<&str> =
        said.out.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if !said.is_good() || hosts.len() != PROCESSES {
        return Err(Reason::machine(format!(
            "mpirun started {PROCESSES} processes and {} answered: {}; try \
             'mpirun -np {PROCESSES} hostname'",
            hosts.len(),
            said.last_words()
        )));
    }
    let hosts = hosts.iter().map(|host| printable(host)).collect();
    Ok(Hello { processes: PROCESSES, hosts })
}
