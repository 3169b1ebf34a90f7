//! The demo without a terminal: one job on the clip itself, through the same engine, its progress a line
//! at a time; the last line is the path of the verified output.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use dvp_engine::config::Config;
use dvp_engine::host::{self, Attached};
use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::job::{Job, State, Submission};
use dvp_model::spec::SpecText;
use dvp_model::wire::api::{Errors, JobGet, Submit};

use super::{clip, refuse};
use crate::widget::words;

/// Between two looks at the job.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Chunks that the clip is cut into, at least: there are seams.
const CHUNKS: &str = "24";

/// Runs the job.
pub(super) fn run(config: Config, film: &Path) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let attached = host::attach_or_host(&config).await?;
            let result = job(&config, film, &attached).await;
            attached.stop().await;
            result
        }),
        Err(error) => Err(Reason::machine(format!("threads can't be started: {error}")).into()),
    };
    match result {
        Ok(output) => {
            say(output);
            ExitCode::SUCCESS
        }
        Err(errors) => refuse(&errors),
    }
}

async fn job(config: &Config, film: &Path, attached: &Attached) -> Result<FilePath, Errors> {
    let client = &attached.client;
    let output = clip::output(config, film, "mp4")?;
    let mut spec = SpecText::default();
    spec.set.insert("plan.chunk_frames".into(), CHUNKS.into());
    let submission = Submission {
        input: film.to_owned().into(),
        spec,
        output: Some(output.into()),
        ranks: None,
        priority: 0,
        force: false,
        batch: None,
        id: None,
    };
    let job = client.call(&Submit(submission)).await?;
    say(format!("job {} on {}", job.id, job.input));
    let mut said = String::new();
    loop {
        let job = client.call(&JobGet { id: job.id }).await?.job;
        let line = progress(&job);
        if line != said {
            say(&line);
            said = line;
        }
        match &job.state {
            State::Completed => {
                let output = job
                    .output
                    .ok_or_else(|| Reason::bug("the job is completed and has no output"))?;
                say(format!("verified: {} frames, sha256 {}", output.frames, output.sha256));
                return Ok(output.path);
            }
            State::Failed { reason } => return Err(reason.clone().into()),
            State::Cancelled => {
                return Err(Reason::job("the job was cancelled by somebody").into());
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Says a line; whoever no longer listens does not end the job.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn progress(job: &Job) -> String {
    let state = words::state(job);
    match (job.chunks_total(), &job.state) {
        (0, _) => state,
        (_, State::Waiting { why, .. }) => format!("{state}: {why}"),
        (total, _) => format!("{state}: {} of {total} chunks", job.chunks_done),
    }
}
