//! `testbed`: drives real ranks without an engine, to try the worker alone.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use testbed::drive::Drive;

/// Real servers, clips and faults for DVP's tests.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Plays the engine: one input, whole, over mpirun's ranks. Prints one JSON object.
    Drive {
        /// The video to read.
        input: PathBuf,
        /// The file to write; overwritten.
        output: PathBuf,
        /// Ranks.
        #[arg(long, default_value_t = 2)]
        ranks: u32,
        /// A task of the chain; may be repeated.
        #[arg(long = "task")]
        tasks: Vec<String>,
        /// A parameter, `task.key=value`; may be repeated.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// SIGKILL a rank once so many items are accepted.
        #[arg(long, value_name = "ITEMS")]
        kill_rank_after: Option<usize>,
    },
}

fn main() -> Result<()> {
    let Command::Drive { input, output, ranks, tasks, set, kill_rank_after } = Cli::parse().command;
    let mut drive = Drive::new(&input, &output, ranks, &[]);
    drive.kill_after = kill_rank_after;
    drive.spec.tasks = tasks;
    for pair in set {
        let (key, value) =
            pair.split_once('=').with_context(|| format!("'{pair}' is not KEY=VALUE"))?;
        drive.spec.set.insert(key.to_owned(), value.to_owned());
    }
    println!("{}", serde_json::to_string(&drive.run()?)?);
    Ok(())
}
