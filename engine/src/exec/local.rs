//! Programs on this machine. Holds the only `Command::new` of the engine.

use std::process::Stdio;

use dvp_model::error::Reason;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::{Invocation, kept};

/// A started program with its pipes. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    /// The process itself.
    pub child: Child,
    /// Its input.
    pub stdin: ChildStdin,
    /// Its output.
    pub stdout: ChildStdout,
    /// Its errors.
    pub stderr: ChildStderr,
}

/// Starts a program in a process group of its own, so that a Ctrl-C at the terminal doesn't reach it.
///
/// # Errors
/// When there is no such program, or the machine has no room for another process.
pub fn spawn(invocation: &Invocation) -> Result<Process, Reason> {
    let name = invocation.program.display();
    #[allow(clippy::disallowed_methods, reason = "the one place that starts programs")]
    let mut command = Command::new(&invocation.program);
    #[allow(clippy::disallowed_methods, reason = "the environment is passed on in part, not read")]
    let environment = std::env::vars_os();
    command
        .args(&invocation.args)
        .env_clear()
        .envs(environment.filter(|(name, _)| kept(name)))
        .envs(invocation.env.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| Reason::machine(format!("could not start {name}: {error}")))?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Process { child, stdin, stdout, stderr }),
        _ => Err(Reason::bug(format!("{name} was started without pipes"))),
    }
}
