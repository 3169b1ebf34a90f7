//! Python programs that tests use: a plain producer's pika, schemathesis for the API. `./dvp test --all` puts
//! them into a folder of their own.

use std::path::PathBuf;

/// The program of this name beside the Python that `DVP_PYTHON` names.
///
/// # Panics
/// When it is not there.
pub fn program(name: &str) -> PathBuf {
    let python = std::env::var_os("DVP_PYTHON").map(PathBuf::from);
    let python = python.expect("a Python in DVP_PYTHON (./dvp test --all makes one)");
    let program = python.with_file_name(name);
    assert!(program.exists(), "there is no {}", program.display());
    program
}
