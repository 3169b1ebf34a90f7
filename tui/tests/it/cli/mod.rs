//! The command line as a user meets it: real programs, a data folder of its own for each test.

mod bad_input;
mod engines;
mod jobs;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testbed::wait::wait_for;

/// Far more than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Folders of one test; engines that serve them end with it.
struct Place {
    dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// The one object on standard output.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// That it ended so, with everything it said if not.
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder for the test") }
    }

    /// Where videos lie.
    fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The data folder.
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// dvp-console on this data folder.
    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dvp-console"));
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("DVP_DATA_DIR", self.data())
            .env("DVP_LINGER_S", "2")
            .env("XDG_CONFIG_HOME", self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs dvp-console to its end.
    fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        finish(self.command(arguments).spawn().expect("dvp-console starts"))
    }

    /// Starts dvp-console.
    fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Child {
        self.command(arguments).spawn().expect("dvp-console starts")
    }

    /// Who serves the data folder, if anybody.
    fn engine(&self) -> Option<u32> {
        let status = self.run(&["engine", "status", "--json"]).expect(0).json();
        status["pid"].as_u64().map(|pid| pid as u32)
    }

    /// One job, as `job --json` prints it.
    fn job(&self, id: &str) -> Value {
        self.run(&["job", id, "--json"]).expect(0).json()
    }

    /// The ids of all jobs, newest first.
    fn ids(&self) -> Vec<String> {
        let jobs = self.run(&["jobs", "--json"]).expect(0).json();
        let jobs = jobs.as_array().expect("jobs --json is an array").clone();
        jobs.iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Waits until something about the jobs holds.
    fn wait_for_job(&self, what: &str, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, LIMIT, || {
            let job = self.job(id);
            if holds(&job) { Ok(job) } else { Err(job.to_string()) }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A failing test leaves nothing running: the lock file names the engine's process.
        let holder = std::fs::read_to_string(self.data().join("engine.lock")).unwrap_or_default();
        if let Ok(pid) = holder.trim().parse::<u32>()
            && is_of(pid, &self.data())
        {
            testbed::faults::signal(pid, rustix::process::Signal::CONT);
            testbed::faults::kill(pid);
        }
    }
}

/// Whether a process still is one of ours on that data folder.
fn is_of(pid: u32, data: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let needle = data.as_os_str().as_bytes();
    let of = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    [of("environ"), of("cmdline")]
        .iter()
        .any(|text| text.windows(needle.len().max(1)).any(|window| window == needle))
}

/// Whether a process is gone (a zombie is).
fn is_gone(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')),
        Err(_) => true,
    }
}

fn finish(child: Child) -> Ran {
    let output = child.wait_with_output().expect("dvp-console can be waited for");
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
