//! `dvp-engine`: hosts a data folder without a terminal, in the foreground or as a background engine.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dvp_engine::config::{Config, Flags};
use dvp_engine::host::{self, Ended};
use dvp_model::error::{Kind, Reason};
use dvp_model::wire::api::Errors;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Keeps jobs, hands out chunks, launches workers, serves the API on a socket in the data folder.
#[derive(Debug, Parser)]
#[command(name = "dvp-engine", version)]
struct Arguments {
    /// Folder for everything DVP keeps [default: XDG data home, /dvp]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<OsString>,
    /// Configuration file [default: XDG config home, /dvp/config.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to do instead of hosting
    #[command(subcommand)]
    command: Option<Command>,
    /// Leave the terminal, and end when no job and no client needs it
    #[arg(long)]
    background: bool,
    /// A rank may be killed on request, and jobs lie in the data folder whatever is configured
    #[arg(long, hide = true)]
    demo: bool,
}

/// What it does besides hosting.
#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Print the token that the API over TCP asks for
    Token,
}

fn main() -> ExitCode {
    dvp_engine::bug::guarded("dvp-engine", engine)
}

fn engine() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.background {
        // Fails only for the leader of a process group, which has no terminal to lose then.
        let _ = rustix::process::setsid();
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errors) => {
            for reason in &errors.errors {
                let _ = writeln!(std::io::stderr(), "{}{reason}", host::REASON_PREFIX);
            }
            let kind = errors.errors.first().map_or(Kind::Bug, |reason| reason.kind);
            ExitCode::from(kind.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Errors> {
    let background = arguments.background;
    let flags = Flags { data_dir: arguments.data_dir, file: arguments.config, ..Flags::default() };
    let mut config = Config::load(&flags)?;
    if let Some(Command::Token) = arguments.command {
        host::prepare_folder(&config.data_dir)?;
        println!("{}", dvp_engine::http::token(&config.data_dir)?);
        return Ok(());
    }
    if arguments.demo {
        config.demo = true;
        config.database = None;
        config.broker = None;
    }
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Reason::spec(format!("the setting log is no filter ({error}): give info, or debug"))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Reason::machine(format!("cannot start the engine's threads: {error}")))?;
    runtime.block_on(async {
        let asked = told_to_end(background)?;
        match host::run_until_ended(&config, background, asked).await? {
            None if background => tracing::info!("another engine serves this data folder already"),
            None => {
                return Err(Reason::conflict(format!(
                    "another engine serves {} already; see `dvp-console engine status`",
                    config.data_dir.display()
                )));
            }
            Some(Ended::Idle) => tracing::info!("nobody needs this engine any more"),
            Some(Ended::Asked) => tracing::info!("ended as asked"),
        }
        Ok(())
    })?;
    Ok(())
}

/// Waits for a signal to end. A background engine does not care for a terminal that hangs up.
fn told_to_end(background: bool) -> Result<impl Future<Output = ()>, Reason> {
    let listen = |kind| {
        signal(kind).map_err(|error| Reason::machine(format!("cannot listen for signals: {error}")))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangup.recv() => if !background { return },
            }
        }
    })
}
