//! The lock that decides who hosts: a flock on a file of the data folder. The kernel frees it when its
//! holder dies, whatever the way.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use dvp_model::error::Reason;
use dvp_model::path::printable;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::config::Config;

/// The lock, held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock unless somebody holds it, and writes this process's id into it.
    pub(super) fn take(config: &Config) -> Result<Option<Self>, Reason> {
        let mut file = open(config)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(refused(config, &error.to_string())),
        }
        // Only for the sentence of whoever finds this process silent: a full disk is no reason to stop.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Some(Self { _file: file }))
    }
}

/// Whether nobody holds the lock at this moment.
pub(super) fn is_free(config: &Config) -> Result<bool, Reason> {
    let file = open(config)?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(refused(config, &error.to_string())),
    }
}

/// The process that last took the lock, as it wrote itself.
pub(super) fn holder(config: &Config) -> Option<u32> {
    std::fs::read_to_string(config.lock_file()).ok()?.trim().parse().ok()
}

fn open(config: &Config) -> Result<File, Reason> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(config.lock_file()).map_err(|error| refused(config, &error.to_string()))
}

fn refused(config: &Config, error: &str) -> Reason {
    let at = printable(&config.data_dir.to_string_lossy());
    Reason::machine(format!(
        "the data folder {at} can't be used ({error}): make it writable, or give another --data-dir"
    ))
}
