//! Programs on this machine. Holds the only `Command::new` of the engine.

use std::io;
use std::process::Stdio;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use dvp_model::error::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

/// What a program said until its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its output.
    pub out: String,
    /// Its errors.
    pub err: String,
}

impl Said {
    /// The last line of its errors that holds anything.
    pub fn last_words(&self) -> &str {
        self.err.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no word")
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
    let Process { mut child, mut stdin, mut stdout, mut stderr } = spawn(invocation)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let work = async {
        let write = async move {
            // Who ends early says why on its own.
            let _ = stdin.write_all(input).await;
        };
        let read = async { stdout.read_to_end(&mut out).await };
        let _ = tokio::join!(write, read, stderr.read_to_end(&mut err));
        child.wait().await
    };
    let name = invocation.program.display();
    let status = tokio::time::timeout(patience, work)
        .await
        .map_err(|_| Reason::machine(format!("no answer in {} s", patience.as_secs())))?
        .map_err(|error| Reason::machine(format!("{name} can't be waited for: {error}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { code: status.code(), out: text(&out), err: text(&err) })
}
