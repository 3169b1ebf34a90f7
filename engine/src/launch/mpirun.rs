//! mpirun: its argv, and what its words mean, as pure functions; its version.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dvp_model::error::Reason;
use dvp_model::{Rank, RunTag};
use tokio::io::AsyncReadExt;

use crate::exec::{Invocation, local, tag};

/// One launch on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The mpirun program.
    pub mpirun: PathBuf,
    /// The worker program.
    pub worker: PathBuf,
    /// Tag of every process.
    pub run: RunTag,
    /// Folder of the launch: sessions, shared memory; exists.
    pub folder: PathBuf,
    /// Number of ranks.
    pub ranks: u32,
    /// The engine runs as root.
    pub root: bool,
}

/// What to start.
pub fn invocation(launch: &Launch) -> Invocation {
    let mut args: Vec<OsString> = vec!["-np".into(), launch.ranks.to_string().into()];
    // mpirun's own idea of slots is the number of whole cores; the engine counts, not mpirun.
    args.push("--oversubscribe".into());
    if launch.root {
        args.push("--allow-run-as-root".into());
    }
    args.extend(["--bind-to", "none"].map(OsString::from));
    let folder = launch.folder.as_os_str();
    let mut mca = |name: &str, value: OsString| {
        args.extend([OsString::from("--mca"), name.into(), value]);
    };
    mca("btl", "self,vader".into());
    mca("orte_tmpdir_base", folder.into());
    mca("btl_vader_backing_directory", folder.into());
    // Containers forbid single-copy, and then each message costs a line on stderr.
    mca("btl_vader_single_copy_mechanism", "none".into());
    args.extend(["-x".into(), tag::VARIABLE.into()]);
    args.push(launch.worker.as_os_str().into());
    args.push("work".into());
    let env = vec![(tag::VARIABLE.into(), launch.run.to_string().into())];
    Invocation { program: launch.mpirun.clone(), args, env }
}

/// Open MPI's version here: `4.1.4`.
///
/// # Errors
/// When there is no mpirun, or not Open MPI's.
pub async fn version(mpirun: &Path) -> Result<String, Reason> {
    let missing = |why: String| {
        Reason::machine(format!(
            "{} can't be used: {why}; install Open MPI (Debian package openmpi-bin)",
            mpirun.display()
        ))
    };
    let invocation =
        Invocation { program: mpirun.to_owned(), args: vec!["--version".into()], env: Vec::new() };
    let mut process = local::spawn(&invocation).map_err(|reason| missing(reason.text))?;
    drop(process.stdin);
    let mut text = String::new();
    process.stdout.read_to_string(&mut text).await.map_err(|error| missing(error.to_string()))?;
    let _ = process.child.wait().await;
    match text.lines().next().and_then(|line| line.strip_prefix("mpirun (Open MPI) ")) {
        Some(version) => Ok(version.trim().to_owned()),
        None => Err(missing("it is not Open MPI's".to_owned())),
    }
}

/// The rank that died first, and how, in the words of mpirun, if this line of its stderr says so.
pub fn death(line: &str) -> Option<(Rank, String)> {
    let line = line.trim();
    let rest = line.split_once("noticed that process rank ")?.1;
    let (rank, rest) = rest.split_once(' ')?;
    let how = rest.split_once("exited on ")?.1.trim_end_matches('.');
    Some((rank.parse().ok()?, format!("ended on {how}")))
}

/// Whether this line of mpirun's stderr says that a machine, not a rank, was lost.
pub fn lost_machine(line: &str) -> bool {
    line.contains("ORTE has lost communication with a remote daemon")
}

/// The rank that ended by itself before all others, if this line of mpirun's stderr names it.
pub fn early_end(line: &str) -> Option<Rank> {
    let line = line.trim();
    if let Some((_, rest)) = line.split_once("MPI_ABORT was invoked on rank ") {
        return rest.split(' ').next()?.parse().ok();
    }
    let rest = line.strip_prefix("Process name: [[")?;
    let rank = rest.strip_suffix(']')?.rsplit_once(',')?.1;
    rank.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_model::{Epoch, JobId};

    fn launch() -> Launch {
        Launch {
            mpirun: "/usr/bin/mpirun".into(),
            worker: "/opt/dvp worker".into(),
            run: RunTag { job: JobId(uuid::Uuid::nil()), epoch: Epoch(3) },
            folder: "/dev/shm/dvp.x".into(),
            ranks: 4,
            root: false,
        }
    }

    #[test]
    fn argv() {
        let plain = invocation(&launch());
        assert_eq!(
            plain.args.join(" ".as_ref()).to_str().unwrap(),
            "-np 4 --oversubscribe --bind-to none --mca btl self,vader --mca orte_tmpdir_base /dev/shm/dvp.x \
             --mca btl_vader_backing_directory /dev/shm/dvp.x \
             --mca btl_vader_single_copy_mechanism none -x DVP_RUN /opt/dvp worker work"
        );
        assert_eq!(plain.env.len(), 1);
        assert_eq!(plain.env[0].1, "00000000-0000-0000-0000-000000000000.3");
        let root = invocation(&Launch { root: true, ..launch() });
        assert_eq!(root.args[3], "--allow-run-as-root");
        assert_eq!(root.args.len(), plain.args.len() + 1);
    }

    #[test]
    fn words_of_mpirun() {
        let line = "mpirun noticed that process rank 2 with PID 4711 on node n1 exited on signal 9 (Killed).";
        assert_eq!(death(line), Some((2, "ended on signal 9 (Killed)".to_owned())));
        assert_eq!(early_end("  Process name: [[44823,1],2]"), Some(2));
        let line = "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD";
        assert_eq!(early_end(line), Some(1));
        assert!(lost_machine("ORTE has lost communication with a remote daemon."));
        for line in ["", "rank 2", "Process name: [[x", "  Exit code:    70"] {
            assert_eq!((death(line), early_end(line)), (None, None), "{line}");
        }
    }
}
