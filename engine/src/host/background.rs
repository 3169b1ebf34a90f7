//! Starts `dvp-engine --background`: a session of its own, no terminal, its words in a log file.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use dvp_model::error::{Kind, Reason};
use dvp_model::path::printable;

use crate::config::Config;
use crate::exec::local;

/// How `dvp-engine` begins the line that says why it ends.
pub const REASON_PREFIX: &str = "dvp-engine: ";

/// A background engine that was started and may not answer yet.
pub(super) struct Started {
    child: tokio::process::Child,
    log: File,
}

impl Started {
    /// Starts one. It becomes a session of its own as its first act.
    pub(super) fn new(config: &Config) -> Result<Self, Reason> {
        let at = printable(&config.log_file().to_string_lossy());
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o600).open(config.log_file())
        };
        let cannot = |error: std::io::Error| {
            Reason::machine(format!("cannot write the background engine's log {at}: {error}"))
        };
        let mut log = open().map_err(cannot)?;
        log.seek(SeekFrom::End(0)).map_err(cannot)?;
        let (out, err) = (open().map_err(cannot)?, open().map_err(cannot)?);
        let mut command = tokio::process::Command::new(&config.engine);
        command.arg("--background").arg("--data-dir").arg(&config.data_dir);
        if config.file.is_file() {
            command.arg("--config").arg(&config.file);
        }
        if config.demo {
            command.arg("--demo").env_remove("DVP_DATABASE");
        }
        command
            .current_dir("/")
            .env_remove("TERM")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(false);
        let child = local::start(&mut command).map_err(|error| {
            Reason::machine(format!(
                "cannot start the background engine {}: {error}; give its place in DVP_ENGINE",
                printable(&config.engine.to_string_lossy())
            ))
        })?;
        Ok(Self { child, log })
    }

    /// Its reason, if it ended instead of serving.
    pub(super) fn check(&mut self) -> Result<(), Reason> {
        match self.child.try_wait() {
            Ok(Some(status)) if !status.success() => {
                let kind = match status.code() {
                    Some(2) => Kind::Spec,
                    Some(70) => Kind::Bug,
                    _ => Kind::Machine,
                };
                let mut said = Vec::new();
                let _ = self.log.read_to_end(&mut said);
                let said = String::from_utf8_lossy(&said);
                let reason = said.lines().rev().find_map(|line| line.strip_prefix(REASON_PREFIX));
                Err(match reason {
                    Some(reason) => Reason::new(kind, reason),
                    None => Reason::new(
                        kind,
                        format!("the background engine ended at its start ({status})"),
                    ),
                })
            }
            _ => Ok(()),
        }
    }
}
