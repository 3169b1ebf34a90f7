//! `dvp-validate`: checks a whole setup through its engine and says what mends what is wrong. A client of the
//! engine's API; the checks themselves are the engine's.

mod containers;
mod job;
mod show;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use dvp_engine::config::{Config, Flags};
use dvp_engine::host::{self, Attached, Role};
use dvp_model::error::{Kind, Reason};
use dvp_model::validate::{self, Check, Setup};
use dvp_model::wire::api::{Errors, Validate, Validation};
use show::Report;

/// Checks a whole setup: machines and services, SSH keys, SSH connectivity, the API, MPI.
///
/// Exit codes: 0 all passed, 1 a check failed, 2 usage, 6 no engine answers.
#[derive(Debug, Parser)]
#[command(name = "dvp-validate", version)]
struct Arguments {
    /// The API of an engine elsewhere; its token comes from DVP_TOKEN or DVP_TOKEN_FILE
    #[arg(long, value_name = "URL")]
    connect: Option<OsString>,
    /// Data folder of an engine here [default: XDG data home, /dvp]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<OsString>,
    /// Also run a job, through the queue where there is one, and verify its output
    #[arg(long)]
    job: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Read from stdin what docker says of the containers of docker-compose.yml
    #[arg(long, hide = true)]
    containers: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments)),
        Err(error) => Err(Reason::machine(format!("cannot start a thread: {error}")).into()),
    };
    match ended {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(errors) => {
            for reason in &errors.errors {
                eprintln!("dvp-validate: {reason}");
            }
            let kind = errors.errors.first().map_or(Kind::Bug, |reason| reason.kind);
            ExitCode::from(kind.exit_code())
        }
    }
}

/// Makes the checks and shows them. How many failed.
async fn run(arguments: &Arguments) -> Result<usize, Errors> {
    let flags = Flags {
        data_dir: arguments.data_dir.clone(),
        connect: arguments.connect.clone(),
        file: None,
    };
    let config = Config::load(&flags)?;
    let facts = match arguments.containers {
        true => Some(containers::read(std::io::stdin().lock())?),
        false => None,
    };
    let mut report = Report::new(arguments.json);
    report.begin();
    let attached = host::attach(&config, Role::Background).await;
    match (attached, facts) {
        (Ok(attached), facts) => all(arguments, &config, &attached, facts, &mut report).await?,
        (Err(reason), None) => return Err(reason.into()),
        (Err(reason), Some(facts)) => without_engine(&reason, facts, &mut report),
    }
    Ok(report.end())
}

async fn all(
    arguments: &Arguments,
    config: &Config,
    attached: &Attached,
    facts: Option<Vec<Check>>,
    report: &mut Report,
) -> Result<(), Errors> {
    let client = &attached.client;
    let mut facts = facts;
    for step in 1..=validate::STEPS.len() as u32 {
        // What docker says of its containers comes first; what is short is the engine's word.
        let Validation { setup, checks, warnings } =
            client.call(&Validate { step: Some(step) }).await?;
        let checks = if step == 1 { facts.take().unwrap_or(checks) } else { checks };
        report.step(step, validate::title(setup, step), &checks);
        report.warn(warnings);
    }
    if arguments.job {
        let check = job::run(config, client).await;
        report.step(job::STEP, "Running a Job", &[check]);
    }
    Ok(())
}

/// The containers as docker says, and all else as failed.
fn without_engine(reason: &Reason, facts: Vec<Check>, report: &mut Report) {
    report.step(1, validate::title(Setup::Compose, 1), &facts);
    let rest = validate::compose_rest();
    for step in 2..=validate::STEPS.len() as u32 {
        let failed = |name: &String| {
            let mend = "docker-compose logs api; docker-compose up -d api";
            Check::failed(step, name, "an engine that answers", &reason.text, mend)
        };
        let of_step = rest.iter().filter(|(of, _)| *of == step);
        let checks: Vec<Check> = of_step.map(|(_, name)| failed(name)).collect();
        report.step(step, validate::title(Setup::Compose, step), &checks);
    }
}
