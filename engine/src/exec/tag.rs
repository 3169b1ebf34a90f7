//! The sure end of a launch: every process whose environment carries its tag is killed, whoever its
//! parent is. Process ids can't be mixed up: a process is held by a pidfd before its tag is read.

use std::fs;
use std::time::Duration;

use dvp_model::RunTag;
use dvp_model::error::Reason;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The variable that carries the tag.
pub const VARIABLE: &str = "DVP_RUN";

/// Sends `signal` to every process that carries `tag`. How many there were.
pub fn signal_all(tag: &RunTag, signal: Signal) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| signal_one(*pid, tag, signal)).count()
}

/// Sends `signal` to process `pid` if it carries `tag`. Whether it did.
pub fn signal_one(pid: i32, tag: &RunTag, signal: Signal) -> bool {
    let Some(handle) = Pid::from_raw(pid) else { return false };
    let Ok(handle) = pidfd_open(handle, PidfdFlags::empty()) else { return false };
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let wanted = format!("{VARIABLE}={tag}");
    if !environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()) {
        return false;
    }
    pidfd_send_signal(handle, signal).is_ok()
}

/// Kills every process that carries `tag`, and those that they start meanwhile, until none is left.
///
/// # Errors
/// When some are still there after `patience` (a process in the kernel's hands, on a dead mount).
pub async fn kill_all(tag: &RunTag, patience: Duration) -> Result<(), Reason> {
    let pause = Duration::from_millis(20);
    let mut rounds = patience.as_millis() / pause.as_millis();
    loop {
        let tag_of_scan = tag.clone();
        let scan = move || signal_all(&tag_of_scan, Signal::KILL);
        let found = tokio::task::spawn_blocking(scan).await.unwrap_or(0);
        if found == 0 {
            return Ok(());
        }
        if rounds == 0 {
            return Err(Reason::machine(format!(
                "{found} processes of launch {tag} can't be killed; look for {VARIABLE}={tag} in /proc/*/environ"
            )));
        }
        rounds -= 1;
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Invocation, local};
    use dvp_model::{Epoch, JobId};
    use tokio::io::{AsyncBufReadExt, BufReader};

    fn tag(epoch: u32) -> RunTag {
        RunTag { job: JobId(uuid::Uuid::new_v4()), epoch: Epoch(epoch) }
    }

    fn shell(script: &str, tag: &RunTag) -> local::Process {
        local::spawn(&Invocation {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![(VARIABLE.into(), tag.to_string().into())],
        })
        .unwrap()
    }

    #[tokio::test]
    async fn kills_what_carries_the_tag_and_nothing_else() {
        let (mine, other) = (tag(1), tag(11));
        // A grandchild in a session of its own, which a process group would miss.
        let mut first = shell("setsid sleep 600 & sleep 600 & echo up; wait", &mine);
        let mut second = shell("echo up; exec sleep 600", &other);
        for process in [&mut first, &mut second] {
            let mut line = String::new();
            BufReader::new(&mut process.stdout).read_line(&mut line).await.unwrap();
            assert_eq!(line, "up\n");
        }
        kill_all(&mine, Duration::from_secs(10)).await.unwrap();
        assert_eq!(signal_all(&mine, Signal::CONT), 0);
        assert!(second.child.try_wait().unwrap().is_none());
        kill_all(&other, Duration::from_secs(10)).await.unwrap();
        assert!(!second.child.wait().await.unwrap().success());
    }
}
