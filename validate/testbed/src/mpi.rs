//! Starting `dvp-worker` as the engine does: alone, or as ranks under `mpirun`.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use dvp_model::wire::worker::{AssembleRequest, Assembled, PlanRequest, ToolLine, Versions};
use dvp_model::{Item, plan::Plan};
use serde::Serialize;

/// Where the programs under test lie: `DVP_BIN`, or the folder above this test program's.
///
/// # Panics
/// When the running program has no path.
pub fn bin_dir() -> PathBuf {
    if let Some(folder) = std::env::var_os("DVP_BIN") {
        return folder.into();
    }
    let own = std::env::current_exe().expect("a running program has a path");
    let folder = own.parent().expect("a program lies in a folder");
    match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().unwrap_or(folder).to_owned(),
        _ => folder.to_owned(),
    }
}

/// The worker under test.
pub fn worker() -> PathBuf {
    bin_dir().join("dvp-worker")
}

/// The argv that starts `ranks` ranks whose files all lie in `run_dir`.
pub fn mpirun(ranks: u32, run_dir: &Path) -> Command {
    let mut command = Command::new("mpirun");
    if rustix::process::getuid().is_root() {
        command.arg("--allow-run-as-root");
    }
    command.args(["-np", &ranks.to_string(), "--oversubscribe", "--bind-to", "none"]);
    command.args(["--mca", "btl", "self,vader"]);
    command.args(["--mca", "orte_tmpdir_base"]).arg(run_dir);
    command.args(["--mca", "btl_vader_backing_directory"]).arg(run_dir);
    command.args(["-x", "DVP_RUN"]).arg(worker()).arg("work");
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Runs one of the worker's tools with a request on stdin, and returns its last line.
fn tool(command: &str, request: &impl Serialize) -> Result<ToolLine> {
    let output = ask(command, request)?;
    let text = String::from_utf8_lossy(&output);
    let last = text.lines().last().context("the tool printed nothing")?;
    serde_json::from_str(last).with_context(|| format!("the tool printed: {last}"))
}

fn ask(command: &str, request: &impl Serialize) -> Result<Vec<u8>> {
    let mut child = Command::new(worker())
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} did not start", worker().display()))?;
    let request = serde_json::to_vec(request)?;
    let mut stdin = child.stdin.take().context("stdin is a pipe")?;
    stdin.write_all(&request)?;
    drop(stdin);
    Ok(child.wait_with_output()?.stdout)
}

/// `dvp-worker versions`.
///
/// # Errors
/// When it can't be started or prints something else.
pub fn versions() -> Result<Versions> {
    let output = Command::new(worker()).arg("versions").output()?;
    ensure!(output.status.success(), "versions ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// `dvp-worker plan`.
///
/// # Errors
/// The worker's [`dvp_model::error::Reason`] when it refuses.
pub fn plan(request: &PlanRequest) -> Result<Plan> {
    match tool("plan", request)? {
        ToolLine::Planned { plan } => Ok(*plan),
        ToolLine::Failed { reason, .. } => Err(reason.into()),
        other => bail!("plan ended with {other:?}"),
    }
}

/// How an assembly ended.
#[derive(Debug)]
pub enum Assembly {
    /// Well.
    Whole(Assembled),
    /// These items must be computed again.
    Damaged(Vec<Item>),
}

/// `dvp-worker assemble`.
///
/// # Errors
/// The worker's reason, when no item is to blame.
pub fn assemble(request: &AssembleRequest) -> Result<Assembly> {
    match tool("assemble", request)? {
        ToolLine::Assembled { output } => Ok(Assembly::Whole(output)),
        ToolLine::Failed { reason, damaged } if damaged.is_empty() => Err(reason.into()),
        ToolLine::Failed { reason, damaged } => {
            eprintln!("assemble: {reason}");
            Ok(Assembly::Damaged(damaged))
        }
        other => bail!("assemble ended with {other:?}"),
    }
}

/// Kills a launch's whole process group and waits for its first process.
pub fn end(child: &mut Child) {
    if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}
