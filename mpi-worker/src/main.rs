//! `dvp-worker`: reads which command it is and hands over. Requests come on stdin, never in an argv.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dvp_worker::{exit, media, rank, tool};

/// Plans, encodes and assembles video for the DVP engine. All requests are JSON on stdin.
#[derive(Parser)]
#[command(name = "dvp-worker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads a PlanRequest, prints progress and the plan.
    Plan,
    /// The ranks' program, under mpirun: speaks with the engine on rank 0's stdin and stdout.
    Work,
    /// The ranks' program again, under mpirun: each says who it is, and that is all.
    Hello,
    /// Reads an AssembleRequest, prints progress and what was written.
    Assemble,
    /// Reads a ChunkRequest, repeats that item here and prints its report.
    Chunk,
    /// Prints what works here, and the fingerprint.
    Versions,
}

fn main() -> ExitCode {
    exit::on_panic();
    media::silence();
    let code = match Cli::parse().command {
        Command::Plan => tool::plan(),
        Command::Work => rank::work(),
        Command::Hello => rank::hello(),
        Command::Assemble => tool::assemble(),
        Command::Chunk => tool::chunk(),
        Command::Versions => tool::versions(),
    };
    ExitCode::from(code)
}
