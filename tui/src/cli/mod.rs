//! The command line: what may be typed, and which function does it. Every command is a client of the
//! engine's API. Knows nothing of the screen.

mod climb;
mod config;
mod download;
mod engine;
mod events;
mod jobs;
mod leave;
mod nodes;
mod plan;
mod print;
mod submit;
mod tasks;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use dvp_engine::client::Client;
use dvp_engine::config::{Config, Flags};
use dvp_engine::host::{self, Attached, Role};
use dvp_model::error::{Kind, Reason};
use dvp_model::job::Job;
use dvp_model::wire::api::{Errors, Find, Status};

use crate::again;

/// Ctrl-C while waiting.
pub const INTERRUPTED: u8 = 130;
/// A job ended because a person cancelled it.
pub const CANCELLED: u8 = 5;

const EXIT_CODES: &str = "Exit codes:
  0    done
  2    the command or a value in it is wrong
  3    what was named is at fault: no such file or job, an input that is unfit or damaged, an output's place
  4    the job failed otherwise, or is in a state that does not allow this
  5    the job was cancelled
  6    the machine or a service: disk full, no mpirun, an engine that does not answer
  70   a bug of DVP
  130  Ctrl-C while waiting";

/// Turns machines into one video processor. Without a command it opens the console.
#[derive(Debug, Parser)]
#[command(name = "dvp-console", version, after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub struct Line {
    #[command(flatten)]
    general: General,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct General {
    /// Folder for everything DVP keeps [default: XDG data home, /dvp]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<OsString>,
    /// Configuration file [default: XDG config home, /dvp/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use the engine at this API instead of one here; its token comes from DVP_TOKEN or DVP_TOKEN_FILE
    #[arg(long, global = true, value_name = "URL")]
    connect: Option<OsString>,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Submit one or more videos
    #[command(after_help = EXIT_CODES)]
    Submit(submit::Arguments),
    /// List jobs, newest first
    Jobs(jobs::ListArguments),
    /// Show a job with its chunks
    #[command(after_help = EXIT_CODES)]
    Job(jobs::JobArguments),
    /// Cancel a job
    Cancel(jobs::IdArguments),
    /// Try a failed or cancelled job again; accepted chunks of a failed one are kept
    Retry(jobs::IdArguments),
    /// Hold a job until it is released
    Hold(jobs::IdArguments),
    /// Release a held job
    Release(jobs::IdArguments),
    /// Set a job's priority; higher goes first
    Priority(jobs::PriorityArguments),
    /// Print what happened to a job, and what its ranks wrote
    Log(events::LogArguments),
    /// List nodes; add, check, drain and remove them
    #[command(after_help = EXIT_CODES)]
    Nodes(nodes::Arguments),
    /// Print what happened
    Events(events::Arguments),
    /// With --connect: fetch a completed job's output to this machine
    Download(download::Arguments),
    /// Plan without submitting: chunks, memory, what is carried and refused
    Plan(plan::Arguments),
    /// List tasks and their parameters
    Tasks,
    /// Print every setting with its source
    Config,
    /// Start, stop or look at the background engine
    Engine(engine::Arguments),
    /// Open the console on a clip, ready to start
    #[command(hide = true)]
    Demo(DemoArguments),
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// A video of yours instead of the sample
    video: Option<PathBuf>,
}

/// What every command works with.
pub(crate) struct Context {
    config: Config,
    json: bool,
}

/// How a command ended: its exit code, or all that is wrong.
pub(crate) type Outcome = Result<u8, Errors>;

impl Context {
    /// Attaches; when nobody hosts, does as `role` says.
    async fn attach(&self, role: Role) -> Result<Attached, Reason> {
        host::attach(&self.config, role).await
    }

    /// The command line that reaches the same data folder again.
    fn command(&self) -> String {
        again::command(std::ffi::OsStr::new("dvp-console"), &self.config)
    }

    /// That an engine has what was asked: one that was just ending for want of work is replaced.
    async fn stay(&self, attached: &Attached) -> Result<(), Errors> {
        attached.client.call(&Status {}).await.map(drop)
    }
}

/// The job that a person named by the beginning of its id.
pub(crate) async fn find(client: &Client, id: &str) -> Result<Job, Errors> {
    client.call(&Find { prefix: id.to_owned() }).await
}

/// Parses this process's arguments, does what they say.
pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let General { data_dir, config: file, connect, json } = line.general;
    let flags = Flags { data_dir, file, connect };
    let config = match Config::load(&flags) {
        Ok(config) => config,
        Err(errors) => return ExitCode::from(report(&errors)),
    };
    let context = Context { config, json };
    match line.command {
        None => crate::run::console(crate::run::Options { config: context.config }),
        Some(Command::Demo(DemoArguments { video })) => {
            crate::demo::run(crate::demo::Options { config: context.config, video })
        }
        Some(command) => ExitCode::from(run(&context, command)),
    }
}

fn run(context: &Context, command: Command) -> u8 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let reason = Reason::machine(format!("cannot start a thread: {error}"));
            return report(&reason.into());
        }
    };
    let outcome = runtime.block_on(perform(context, command));
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(errors) => report(&errors),
    }
}

async fn perform(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Submit(arguments) => submit::submit(context, arguments).await,
        Command::Jobs(arguments) => jobs::list(context, arguments).await,
        Command::Job(arguments) => jobs::show(context, arguments).await,
        Command::Cancel(arguments) => jobs::cancel(context, arguments).await,
        Command::Retry(arguments) => jobs::retry(context, arguments).await,
        Command::Hold(arguments) => jobs::hold(context, arguments).await,
        Command::Release(arguments) => jobs::release(context, arguments).await,
        Command::Priority(arguments) => jobs::priority(context, arguments).await,
        Command::Log(arguments) => events::log(context, arguments).await,
        Command::Nodes(arguments) => nodes::nodes(context, arguments).await,
        Command::Events(arguments) => events::events(context, arguments).await,
        Command::Download(arguments) => download::download(context, arguments).await,
        Command::Plan(arguments) => plan::plan(context, arguments).await,
        Command::Tasks => tasks::list(context),
        Command::Config => config::list(context),
        Command::Engine(arguments) => engine::engine(context, arguments).await,
        Command::Demo(_) => Err(Reason::bug("the demo is no command of this kind").into()),
    }
}

/// Prints each reason on a line of its own, and picks the exit code: that of the first.
fn report(errors: &Errors) -> u8 {
    for reason in &errors.errors {
        print::complain(&reason.text);
    }
    errors.errors.first().map_or(Kind::Bug, |reason| reason.kind).exit_code()
}

/// One sentence for a line that can't be parsed; help and version as they are.
fn usage(error: &clap::Error) -> u8 {
    use clap::error::ErrorKind as E;
    if matches!(error.kind(), E::DisplayHelp | E::DisplayVersion) {
        let _ = print::out(error.render().to_string().trim_end());
        return 0;
    }
    let text = error.render().to_string();
    // The first paragraph says what is wrong; usage and hints follow after empty lines.
    let mut said = text.lines().take_while(|line| !line.trim().is_empty());
    let first = said.next().unwrap_or("the command line is wrong");
    let mut sentence = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    for line in said {
        sentence.push(' ');
        sentence.push_str(line.trim());
    }
    if let Some(tip) = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")) {
        sentence.push_str("; ");
        sentence.push_str(tip);
    }
    print::complain(&format!("{}; see --help", dvp_model::path::printable(&sentence)));
    Kind::Spec.exit_code()
}
