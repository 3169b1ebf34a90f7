//! Programs on a host: an argv with pipes, an environment that holds nothing but what was chosen, and the
//! sure end of everything that carries a tag. Knows nothing of what the programs do.

pub mod local;
pub mod ssh;
pub mod tag;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use dvp_model::error::Reason;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program's file, or a name to look for in PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Set in its environment, besides what [`kept`] lets through.
    pub env: Vec<(OsString, OsString)>,
}

/// A program that was started, here or on another machine. When this is dropped a local one is killed; one
/// elsewhere finds its streams closed.
pub struct Running {
    /// Its input.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its errors.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Its end; whoever drops it gives the program up.
    pub end: BoxFuture<'static, Ended>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// Nobody knows: the link to it is gone.
    Unknown,
}

/// What a program said until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How it ended.
    pub ended: Ended,
    /// Its output.
    pub out: String,
    /// Its errors.
    pub err: String,
}

impl Said {
    /// Whether it ended well.
    pub fn is_good(&self) -> bool {
        self.ended == Ended::Code(0)
    }

    /// The last line of its errors that holds anything.
    pub fn last_words(&self) -> String {
        let line = self.err.lines().rev().map(str::trim).find(|line| !line.is_empty());
        dvp_model::path::printable(line.unwrap_or("no word"))
    }
}

impl Running {
    /// Gives it `input` and waits for its end, at most for `patience`.
    ///
    /// # Errors
    /// When it is not done in time.
    pub async fn ask(self, input: &[u8], patience: Duration) -> Result<Said, Reason> {
        let Self { mut stdin, mut stdout, mut stderr, end } = self;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let work = async {
            let write = async move {
                // Who ends early says why on its own.
                let _ = stdin.write_all(input).await;
                let _ = stdin.shutdown().await;
            };
            let _ = tokio::join!(write, stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
            end.await
        };
        let ended = tokio::time::timeout(patience, work)
            .await
            .map_err(|_| Reason::machine(format!("no answer in {} s", patience.as_secs())))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { ended, out: text(&out), err: text(&err) })
    }
}

/// Whether a variable of the engine's own environment reaches programs: secrets don't.
pub fn kept(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    matches!(name, b"PATH" | b"HOME" | b"LANG" | b"TMPDIR" | b"LD_LIBRARY_PATH")
        || name.starts_with(b"OMPI_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_here() {
        for name in ["AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "PGPASSWORD", "DVP_RUN", "OMPI", ""] {
            assert!(!kept(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "HOME", "OMPI_MCA_btl"] {
            assert!(kept(OsStr::new(name)), "{name}");
        }
    }
}
