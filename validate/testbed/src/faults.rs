//! Faults from outside: processes found by their run tag, killed, frozen, thawed; and what they left.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// A live process that carries a run tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tagged {
    /// Its process id.
    pub pid: u32,
    /// Value of its `DVP_RUN`.
    pub tag: String,
    /// Its argv, joined by spaces.
    pub argv: String,
}

/// Every live process (zombies left out) whose `DVP_RUN` starts with `tag`.
pub fn tagged(tag: &str) -> Vec<Tagged> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut found: Vec<Tagged> = processes
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let value = environment
                .split(|byte| *byte == 0)
                .find_map(|pair| pair.strip_prefix(b"DVP_RUN="))
                .map(|value| String::from_utf8_lossy(value).into_owned())?;
            let argv = fs::read(entry.path().join("cmdline")).ok()?;
            let argv = String::from_utf8_lossy(&argv).replace('\0', " ").trim_end().to_owned();
            (value.starts_with(tag) && !argv.is_empty()).then_some(Tagged { pid, tag: value, argv })
        })
        .collect();
    found.sort();
    found
}

/// The ranks among [`tagged`]: processes that run `dvp-worker work`.
pub fn ranks(tag: &str) -> Vec<Tagged> {
    let is_rank = |process: &Tagged| {
        let mut words = process.argv.split(' ');
        words.next().is_some_and(|program| program.ends_with("dvp-worker"))
            && words.next() == Some("work")
    };
    tagged(tag).into_iter().filter(is_rank).collect()
}

/// Sends a signal. A process that is gone already is no fault.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, signal);
    }
}

/// SIGKILL.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// SIGSTOP, and waits until every thread stands still: the signal alone only asks.
///
/// # Panics
/// When the process does not stop within 10 s.
pub fn freeze(pid: u32) {
    signal(pid, Signal::STOP);
    crate::wait::wait_for("a process to stand still", std::time::Duration::from_secs(10), || {
        let threads =
            fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
        for thread in threads.flatten() {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            if state.is_some_and(|state| state != 'T') {
                return Err(format!("a thread in state {state:?}"));
            }
        }
        Ok(())
    });
}

/// What lies in the shared places where dead ranks leave things.
pub fn leftovers() -> BTreeSet<PathBuf> {
    [Path::new("/dev/shm"), &std::env::temp_dir()]
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.as_bytes();
            [&b"ompi"[..], b"openmpi", b"vader", b"dvp", b".dvp", b"pmix"]
                .iter()
                .any(|start| name.starts_with(start))
        })
        .map(|entry| entry.path())
        .collect()
}

/// Flips one byte in the middle of a file.
///
/// # Errors
/// Those of reading and writing it.
pub fn flip_byte(path: &Path) -> std::io::Result<()> {
    let mut bytes = fs::read(path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(path, bytes)
}

/// Cuts a file off at `share` of its length.
///
/// # Errors
/// Those of opening and truncating it.
pub fn truncate(path: &Path, share: f64) -> std::io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let size = file.metadata()?.len();
    file.set_len((size as f64 * share) as u64)
}
