//! The folder of a launch: holds all that Open MPI makes (sessions, shared memory), so that one removal
//! leaves nothing. In shared memory where there is room for it, else under the data folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dvp_model::RunTag;
use dvp_model::error::Reason;

/// Where shared memory lies on Linux.
const SHARED: &str = "/dev/shm";

/// Shared memory that a rank may take, bytes: 4 MiB were measured. A full one hangs mpirun for ever.
const PER_RANK: u64 = 16 << 20;

/// Makes the folder of `run` for so many ranks.
///
/// # Errors
/// When there is no room for it.
pub fn make(data_dir: &Path, run: &RunTag, ranks: u32) -> Result<PathBuf, Reason> {
    let wanted = u64::from(ranks + 1) * PER_RANK;
    let roomy = rustix::fs::statvfs(SHARED)
        .is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) >= wanted);
    let [shared, own] = places(data_dir, run);
    let folder = if roomy { shared } else { own };
    let made = fs::create_dir_all(&folder).and_then(|()| private(&folder));
    match made {
        Ok(()) => Ok(folder),
        Err(error) => Err(Reason::machine(format!(
            "the launch's folder {} can't be made: {error}",
            folder.display()
        ))),
    }
}

/// Removes the folder of `run`, wherever it lies. What can't be removed is left for the next sweep.
pub fn remove(data_dir: &Path, run: &RunTag) {
    for folder in places(data_dir, run) {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{} can't be removed: {error}", folder.display());
            }
            _ => {}
        }
    }
}

/// Both places where the folder may lie. The names are short: sockets in it have a limit of 107 bytes.
fn places(data_dir: &Path, run: &RunTag) -> [PathBuf; 2] {
    let name = format!("dvp.{}.{}", run.job.0.simple(), run.epoch);
    [Path::new(SHARED).join(&name), data_dir.join("run").join(name)]
}

fn private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_model::{Epoch, JobId};

    #[test]
    fn made_and_gone() {
        let data = tempfile::tempdir().unwrap();
        let run = RunTag { job: JobId(uuid::Uuid::new_v4()), epoch: Epoch(7) };
        let folder = make(data.path(), &run, 2).unwrap();
        assert!(folder.is_dir());
        // No shared memory is so big: the data folder serves.
        let other = make(data.path(), &run, u32::MAX - 1).unwrap();
        assert!(other.starts_with(data.path()));
        fs::write(folder.join("x"), "x").unwrap();
        remove(data.path(), &run);
        assert!(!folder.exists() && !other.exists());
        remove(data.path(), &run);
    }
}
