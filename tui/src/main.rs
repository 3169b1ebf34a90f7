//! `dvp-console`: the console and the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    dvp_engine::bug::guarded("dvp-console", dvp_console::cli::main)
}
