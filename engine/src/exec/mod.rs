//! Programs on a host: an argv with pipes, an environment that holds nothing but what was chosen, and the
//! sure end of everything that carries a tag. Knows nothing of what the programs do.

pub mod local;
pub mod ssh;
pub mod tag;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

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
