//! `jobs`, `job` and the commands on a job.

use clap::Args;
use dvp_engine::host::Role;
use dvp_model::job::{ChunkState, Job};
use dvp_model::path::printable;
use dvp_model::time::Millis;
use dvp_model::wire::api::{
    Call, Cancel, Hold, JobDetail, JobGet, Jobs, Release, Retry, SetPriority, Status,
};
use serde_json::Value;

use super::print::{self, Table};
use super::{Context, Outcome, find, leave, watch};
use crate::widget::words;

/// Which jobs to list.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// Which job to show.
#[derive(Debug, Args)]
pub(super) struct JobArguments {
    /// Its id, or the beginning of it
    id: String,
    /// Wait for its end, with progress; host the engine if nobody does
    #[arg(long)]
    wait: bool,
}

/// Which job.
#[derive(Debug, Args)]
pub(super) struct IdArguments {
    /// Its id, or the beginning of it
    id: String,
}

/// Which job, and where in the queue.
#[derive(Debug, Args)]
pub(super) struct PriorityArguments {
    /// Its id, or the beginning of it
    id: String,
    /// Its priority, -1000 to 1000
    #[arg(allow_negative_numbers = true)]
    priority: i32,
}

/// `jobs`.
pub(super) async fn list(context: &Context, arguments: ListArguments) -> Outcome {
    let client = context.attach(Role::Look).await?.client;
    let jobs = client.call(&Jobs { limit: arguments.limit }).await?;
    if context.json {
        print::out_json(&Value::Array(jobs.iter().map(print::job_json).collect()))?;
        return Ok(0);
    }
    let now = client.call(&Status {}).await?.at;
    let mut table =
        Table::new(&["ID", "STATE", "PHASE", ">CHUNKS", ">DONE", ">PRIO", ">AGE", "INPUT"]);
    for job in &jobs {
        table.row([
            job.id.short(),
            job.state.name().as_str().to_owned(),
            job.phase().map_or("", |phase| phase.as_str()).to_owned(),
            format!("{}/{}", job.chunks_done, job.chunks_total()),
            share(job),
            job.priority.to_string(),
            print::span(now.since(job.created_at)),
            job.input.file_name().to_string_lossy().into_owned(),
        ]);
    }
    if jobs.is_empty() {
        print::out("no jobs")?;
    } else {
        table.print()?;
    }
    Ok(0)
}

fn share(job: &Job) -> String {
    match &job.plan {
        Some(plan) if plan.frames > 0 => format!("{} %", job.frames_done * 100 / plan.frames),
        _ => String::new(),
    }
}

/// `job`.
pub(super) async fn show(context: &Context, arguments: JobArguments) -> Outcome {
    if arguments.wait {
        let signals = watch::Signals::listen()?;
        let attached = context.attach(Role::Host).await?;
        return match find(&attached.client, &arguments.id).await {
            Ok(job) => watch::wait(context, &attached, &[job], signals).await,
            Err(errors) => {
                leave::leave(context, &attached, false).await;
                Err(errors)
            }
        };
    }
    let client = context.attach(Role::Look).await?.client;
    let id = find(&client, &arguments.id).await?.id;
    let detail = client.call(&JobGet { id }).await?;
    match context.json {
        true => drop(print::out_json(&print::detail_json(&detail))?),
        false => {
            for line in lines(&detail) {
                if !print::out(&line)? {
                    break;
                }
            }
        }
    }
    Ok(0)
}

/// A job for a person.
fn lines(detail: &JobDetail) -> Vec<String> {
    let job = &detail.job;
    let mut lines = Vec::new();
    let mut say = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name:<10} {}", printable(&value)));
        }
    };
    say("job", job.id.to_string());
    let phase = job.phase().map_or(String::new(), |phase| format!(", {}", phase.as_str()));
    say("state", format!("{}{phase}", job.state.name().as_str()));
    say("reason", job.state.reason().map_or(String::new(), |reason| reason.text.clone()));
    say("input", job.input.to_string());
    say("output", job.output_path.to_string());
    if let Some(output) = &job.output {
        say("", format!("{} frames, {}", output.frames, words::bytes(output.bytes)));
        say("sha256", output.sha256.clone());
    }
    say("tasks", job.asked.tasks.join(", "));
    let set = job.asked.set.iter().map(|(key, value)| format!("{key}={value}"));
    say("set", set.collect::<Vec<_>>().join(" "));
    if let Some(plan) = &job.plan {
        let picture = format!("{} frames of {}x{}", plan.frames, plan.width, plan.height);
        say("plan", format!("{picture}, {} in {}", plan.codec, plan.container));
    }
    say("chunks", chunks(detail));
    say("ranks", if job.ranks > 0 { job.ranks.to_string() } else { String::new() });
    say("left", detail.eta_ms.map_or(String::new(), |ms| print::span(ms as i64)));
    say("submitted", moment(Some(job.created_at)));
    say("started", moment(job.started_at));
    say("ended", moment(job.finished_at));
    for carried in job.plan.iter().flat_map(|plan| &plan.carried) {
        say("carried", carried.clone());
    }
    for note in job.plan.iter().flat_map(|plan| &plan.notes) {
        say("note", note.clone());
    }
    for lane in &detail.lanes {
        let item = lane.item.map_or("out of work".to_owned(), |item| item.to_string());
        say(&format!("rank {}", lane.rank), format!("{} on {}, {item}", lane.pid, lane.node));
    }
    lines
}

fn moment(at: Option<Millis>) -> String {
    at.map(print::timestamp).unwrap_or_default()
}

fn chunks(detail: &JobDetail) -> String {
    let running = detail.chunks.iter().filter(|chunk| chunk.state == ChunkState::Running).count();
    let again = detail.chunks.iter().filter(|chunk| chunk.attempts > 1).count();
    match detail.job.chunks_total() {
        0 => String::new(),
        all => {
            let mut text = format!("{} of {all} done", detail.job.chunks_done);
            if running > 0 {
                text.push_str(&format!(", {running} in work"));
            }
            if again > 0 {
                text.push_str(&format!(", {again} done again"));
            }
            text
        }
    }
}

/// `cancel`.
pub(super) async fn cancel(context: &Context, arguments: IdArguments) -> Outcome {
    command(context, &arguments.id, |id| Cancel { id }).await
}

/// `retry`.
pub(super) async fn retry(context: &Context, arguments: IdArguments) -> Outcome {
    command(context, &arguments.id, |id| Retry { id }).await
}

/// `hold`.
pub(super) async fn hold(context: &Context, arguments: IdArguments) -> Outcome {
    command(context, &arguments.id, |id| Hold { id }).await
}

/// `release`.
pub(super) async fn release(context: &Context, arguments: IdArguments) -> Outcome {
    command(context, &arguments.id, |id| Release { id }).await
}

/// `priority`.
pub(super) async fn priority(context: &Context, arguments: PriorityArguments) -> Outcome {
    let priority = arguments.priority;
    command(context, &arguments.id, |id| SetPriority { id, priority }).await
}

/// Finds a job, sends it a command, prints what came of it. A background engine is started for what it
/// must do.
async fn command<C: Call<Reply = Job>>(
    context: &Context,
    id: &str,
    call: impl Fn(dvp_model::JobId) -> C,
) -> Outcome {
    let looking = context.attach(Role::Look).await?.client;
    let id = find(&looking, id).await?.id;
    let attached = context.attach(Role::Background).await?;
    let job = attached.client.call(&call(id)).await?;
    context.stay(&attached).await?;
    match context.json {
        true => print::out_json(&print::job_json(&job))?,
        false => print::out(&format!("{}  {}", job.id.short(), job.state.name().as_str()))?,
    };
    Ok(0)
}
