//! Programs on this machine. Holds the only `Command::new` of the engine.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use dvp_model::error::Reason;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::{Ended, Invocation, Running, Said, kept};

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
    let mut child = start(&mut command)
        .map_err(|error| Reason::machine(format!("could not start {name}: {error}")))?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Process { child, stdin, stdout, stderr }),
        _ => Err(Reason::bug(format!("{name} was started without pipes"))),
    }
}

/// Held for reading while a program starts: between `vfork` and `exec` child and parent are one.
static STARTING: RwLock<()> = RwLock::new(());

/// Starts `command`; the one call of `spawn`, for [`while_none_starts`].
pub(crate) fn start(command: &mut Command) -> io::Result<Child> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Does `act`, which stops this process's group, while no program is at its start. A child stopped
/// before its `exec` would hold up the thread that waits for it, and so the stop of this process: the
/// shell would wait for ever.
pub fn while_none_starts(act: impl FnOnce()) {
    let _none = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    act();
}

impl From<Process> for Running {
    fn from(process: Process) -> Self {
        let Process { mut child, stdin, stdout, stderr } = process;
        let end = async move {
            let Ok(status) = child.wait().await else { return Ended::Unknown };
            match (status.code(), status.signal()) {
                (Some(code), _) => Ended::Code(code),
                (None, Some(signal)) => Ended::Signal(signal),
                (None, None) => Ended::Unknown,
            }
        };
        Self {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            end: Box::pin(end),
        }
    }
}

/// Runs a program to its end with `input`; it is killed when that takes longer than `patience`.
///
/// # Errors
/// When it can't be started, or is not done in time.
pub async fn ask(
    invocation: &Invocation,
    input: &[u8],
    patience: Duration,
) -> Result<Said, Reason> {
    Running::from(spawn(invocation)?).ask(input, patience).await
}
