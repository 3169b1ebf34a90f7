//! One real job: the sample film, resized, through the queue where there is one, its output fetched and its
//! hash compared.

use std::path::Path;
use std::time::{Duration, Instant};

use dvp_engine::client::Client;
use dvp_engine::config::Config;
use dvp_engine::queue;
use dvp_model::error::Reason;
use dvp_model::job::{Job, Submission};
use dvp_model::spec::SpecText;
use dvp_model::validate::{Check, Found};
use dvp_model::wire::api::{Errors, JobGet, Submit};
use dvp_model::{FilePath, JobId};
use serde_json::json;

/// The step's number.
pub const STEP: u32 = 6;
/// The film: a cut of Big Buck Bunny, see assets/sample.
const FILM: &[u8] = include_bytes!("../../assets/sample/big-buck-bunny.mp4");
/// Its upload's name: it is sent once.
const UPLOAD: JobId = JobId(uuid::Uuid::from_u128(0xd4b5_0000_0000_4000_8000_0000_0000_0001));
/// How long the job may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs it.
pub async fn run(config: &Config, client: &Client) -> Check {
    let through = if config.broker.is_some() { "the queue" } else { "the API" };
    let name = format!("Testing a job through {through}");
    match done(config, client).await {
        Ok(job) => {
            let frames = job.output.map_or(0, |output| output.frames);
            let mut check = Check::passed(STEP, name);
            if let Found::Passed { more, .. } = &mut check.found {
                *more = Some(format!("{frames} frames on {} ranks, output verified", job.ranks));
            }
            check
        }
        Err(errors) => {
            let mend = "dvp-console jobs; dvp-console log ID says more";
            Check::failed(STEP, name, "a completed job", errors.to_string(), mend)
        }
    }
}

async fn done(config: &Config, client: &Client) -> Result<Job, Errors> {
    let cannot = |error: std::io::Error| Reason::machine(format!("no temporary file: {error}"));
    let folder = tempfile::tempdir().map_err(cannot)?;
    let film = folder.path().join("sample.mp4");
    std::fs::write(&film, FILM).map_err(cannot)?;
    let input = client.upload(UPLOAD, &film, |_, _| {}).await?;
    let id = JobId(uuid::Uuid::new_v4());
    let there = input.as_path().parent().unwrap_or(Path::new("/"));
    let output = FilePath::from(there.join(format!("validate-{}.mp4", id.short())));
    match &config.broker {
        Some(broker) => {
            let message = json!({
                "job_id": id, "video_path": input, "task": "resize", "params": { "height": 90 },
                "output": output
            });
            queue::send(broker, message.to_string().as_bytes()).await?;
        }
        None => {
            let set = [("resize.height".to_owned(), "90".to_owned())].into();
            let submission = Submission {
                input,
                spec: SpecText { tasks: vec!["resize".to_owned()], set },
                output: Some(output),
                ranks: None,
                priority: 0,
                force: false,
                batch: None,
                id: Some(id),
            };
            client.call(&Submit(submission)).await?;
        }
    }
    let job = ended(client, id).await?;
    let Some(output) = &job.output else {
        let why = job.state.reason().map_or(String::new(), |reason| format!(": {reason}"));
        let state = job.state.name().as_str();
        return Err(Reason::job(format!("job {} is {state}{why}", id.short())).into());
    };
    client.download(id, output, &folder.path().join("output.mp4"), false, |_, _| {}).await?;
    Ok(job)
}

/// Waits for the job's end. One from the queue is not there at once.
async fn ended(client: &Client, id: JobId) -> Result<Job, Errors> {
    let begun = Instant::now();
    loop {
        let seen = match client.call(&JobGet { id }).await {
            Ok(detail) if detail.job.state.name().is_final() => return Ok(detail.job),
            Ok(detail) => detail.job.state.name().as_str().to_owned(),
            Err(errors) => errors.to_string(),
        };
        if begun.elapsed() > PATIENCE {
            let text = format!("job {} after {} s: {seen}", id.short(), PATIENCE.as_secs());
            return Err(Reason::machine(text).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
