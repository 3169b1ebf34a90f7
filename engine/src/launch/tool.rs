//! `dvp-worker plan`, `assemble` and `versions`: one request on stdin, one JSON object a line on stdout,
//! the result last. Knows nothing of jobs or the store.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use dvp_model::Item;
use dvp_model::RunTag;
use dvp_model::error::{Kind, Reason};
use dvp_model::plan::Plan;
use dvp_model::wire::worker::{
    AssembleRequest, Assembled, PROTOCOL, PlanRequest, ToolLine, Versions,
};
use rustix::process::Signal;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::exec::{Invocation, local, tag};

const KILL: i32 = Signal::KILL.as_raw();
const TERM: i32 = Signal::TERM.as_raw();

/// How much of a tool's stderr is kept for a reason.
const STDERR_KEPT: u64 = 64 * 1024;

/// Why a tool gave no result.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// Objects that it found damaged or missing, if that is why.
    pub damaged: Vec<Item>,
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, damaged: Vec::new() }
    }
}

/// Plans. `progress` hears (done, total); total is 0 while unknown.
///
/// # Errors
/// The worker's own reason, or why it could not be asked.
pub async fn plan(
    worker: &Path,
    run: Option<&RunTag>,
    request: &PlanRequest,
    progress: impl FnMut(u64, u64),
) -> Result<Plan, Reason> {
    let last = run_tool(worker, "plan", run, request, progress).await;
    match last.map_err(|failure| failure.reason)? {
        ToolLine::Planned { plan } => Ok(*plan),
        other => Err(Reason::bug(format!("'dvp-worker plan' ended with {other:?}"))),
    }
}

/// Assembles.
///
/// # Errors
/// The worker's own reason with the damaged items, or why it could not be asked.
pub async fn assemble(
    worker: &Path,
    run: &RunTag,
    request: &AssembleRequest,
    progress: impl FnMut(u64, u64),
) -> Result<Assembled, Failure> {
    match run_tool(worker, "assemble", Some(run), request, progress).await? {
        ToolLine::Assembled { output } => Ok(output),
        other => Err(Reason::bug(format!("'dvp-worker assemble' ended with {other:?}")).into()),
    }
}

/// The worker's versions.
///
/// # Errors
/// When it can't be started, or speaks another protocol.
pub async fn versions(worker: &Path) -> Result<Versions, Reason> {
    let mut process = local::spawn(&invocation(worker, "versions", None))?;
    drop(process.stdin);
    let mut text = String::new();
    let mut errors = String::new();
    let read = process.stdout.read_to_string(&mut text).await;
    let _ = process.stderr.take(STDERR_KEPT).read_to_string(&mut errors).await;
    let status = process.child.wait().await;
    let broken = |why: String| {
        Reason::machine(format!(
            "{} does not work here: {why}; build it again or name another in DVP_WORKER",
            worker.display()
        ))
    };
    read.map_err(|error| broken(error.to_string()))?;
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(broken(format!("{status}{}", last_words(&errors)))),
        Err(error) => return Err(broken(error.to_string())),
    }
    let versions: Versions =
        serde_json::from_str(text.trim()).map_err(|error| broken(error.to_string()))?;
    if versions.protocol != PROTOCOL {
        return Err(broken(format!(
            "it speaks protocol {}, this engine speaks {PROTOCOL}",
            versions.protocol
        )));
    }
    Ok(versions)
}

fn invocation(worker: &Path, command: &str, run: Option<&RunTag>) -> Invocation {
    let env = run.map(|run| (tag::VARIABLE.into(), run.to_string().into()));
    Invocation {
        program: worker.to_owned(),
        args: vec![command.into()],
        env: env.into_iter().collect(),
    }
}

/// Runs one command to its last line.
async fn run_tool(
    worker: &Path,
    command: &str,
    run: Option<&RunTag>,
    request: &impl Serialize,
    mut progress: impl FnMut(u64, u64),
) -> Result<ToolLine, Failure> {
    let local::Process { mut child, mut stdin, stdout, stderr } =
        local::spawn(&invocation(worker, command, run))?;
    let mut body = serde_json::to_vec(request)
        .map_err(|error| Reason::bug(format!("a request for '{command}': {error}")))?;
    body.push(b'\n');
    let write = async move {
        // A tool that ends early closes its end; its own last line says why.
        let _ = stdin.write_all(&body).await;
    };
    let words = async move {
        let mut text = Vec::new();
        let mut stderr = stderr.take(STDERR_KEPT);
        let _ = stderr.read_to_end(&mut text).await;
        // What is more is read and dropped: a full pipe would stop the tool.
        let _ = tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await;
        String::from_utf8_lossy(&text).into_owned()
    };
    let read = async {
        let mut last = None;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.transpose() {
            let parsed = line.map_err(|error| error.to_string()).and_then(|line| {
                serde_json::from_str(&line).map_err(|error| format!("{error} in '{line}'"))
            });
            match parsed {
                Ok(ToolLine::Progress { done, total }) => progress(done, total),
                Ok(line) => last = Some(line),
                Err(error) => {
                    return Err(Reason::bug(format!("'dvp-worker {command}' wrote: {error}")));
                }
            }
        }
        Ok(last)
    };
    let ((), errors, last) = tokio::join!(write, words, read);
    let status = child.wait().await;
    match (last?, status) {
        (Some(ToolLine::Failed { reason, damaged }), _) => Err(Failure { reason, damaged }),
        (Some(line), Ok(status)) if status.success() => Ok(line),
        (_, Ok(status)) => {
            let words = last_words(&errors);
            let text = format!("'dvp-worker {command}' ended without a result: {status}{words}");
            // Killed from outside, or for want of memory: that may be otherwise the next time.
            let killed = matches!(status.signal(), Some(KILL | TERM));
            Err(Reason::new(if killed { Kind::Machine } else { Kind::Job }, text).into())
        }
        (_, Err(error)) => {
            Err(Reason::machine(format!("'dvp-worker {command}' can't be waited for: {error}"))
                .into())
        }
    }
}

/// The last line that a program wrote, as the tail of a sentence.
fn last_words(errors: &str) -> String {
    match errors.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!(": {}", line.trim()),
        None => String::new(),
    }
}
