//! `events` and `log`: the feed, as lines.

use clap::Args;
use dvp_engine::client::Client;
use dvp_engine::host::Role;
use dvp_model::path::printable;
use dvp_model::wire::api::Feed;
use dvp_model::wire::feed::{Entry, What};
use serde_json::json;

use super::{Context, Outcome, find, print};
use crate::widget::words;

/// How much of the feed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Go on printing as things happen
    #[arg(long)]
    follow: bool,
    /// The newest so many, at most 1000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    last: u32,
}

/// Whose log.
#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// Its id, or the beginning of it
    id: String,
}

/// `events`.
pub(super) async fn events(context: &Context, arguments: Arguments) -> Outcome {
    let client = context.attach(Role::Look).await?.client;
    let newest = Feed { after: 0, job: None, limit: Some(arguments.last), tail: true, wait_ms: 0 };
    let entries = client.call(&newest).await?;
    let mut after = entries.last().map_or(0, |entry| entry.seq);
    let mut read = show(context, &entries)?;
    while arguments.follow && read {
        let news = Feed { after, job: None, limit: None, tail: false, wait_ms: 10_000 };
        let entries = client.call(&news).await?;
        after = entries.last().map_or(after, |entry| entry.seq);
        read = show(context, &entries)?;
    }
    Ok(0)
}

/// `log`.
pub(super) async fn log(context: &Context, arguments: LogArguments) -> Outcome {
    let client: Client = context.attach(Role::Look).await?.client;
    let job = find(&client, &arguments.id).await?.id;
    let mut after = 0;
    loop {
        let page = Feed { after, job: Some(job), limit: None, tail: false, wait_ms: 0 };
        let entries = client.call(&page).await?;
        let Some(last) = entries.last() else { return Ok(0) };
        after = last.seq;
        if !show(context, &entries)? {
            return Ok(0);
        }
    }
}

/// Prints entries; false when nobody reads any more.
fn show(context: &Context, entries: &[Entry]) -> Result<bool, dvp_model::error::Reason> {
    for entry in entries {
        let read = match context.json {
            true => print::out_json(&json!(entry))?,
            false => {
                let job = entry.job.map_or("-       ".to_owned(), |job| job.short());
                let at = print::timestamp(entry.at);
                print::out(&format!("{at}  {job}  {}", printable(&sentence(&entry.what))))?
            }
        };
        if !read {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What happened, as a person says it.
fn sentence(what: &What) -> String {
    match what {
        What::Submitted => "submitted".to_owned(),
        What::Planned { frames, chunks } => {
            format!("planned: {frames} frames in {}", words::count(*chunks as usize, "chunk"))
        }
        What::Launched { epoch, ranks, nodes, reused } => {
            let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
            let again = match reused {
                0 => String::new(),
                1 => ", 1 item was done before".to_owned(),
                items => format!(", {items} items were done before"),
            };
            let ranks = words::count(*ranks as usize, "rank");
            format!("launch {epoch}: {ranks} on {}{again}", nodes.join(", "))
        }
        What::Entered { phase } => format!("goes on to {}", phase.as_str()),
        What::Accepted { item, rank, wall_ms } => {
            format!("accepted {item} of rank {rank}, {:.1} s", *wall_ms as f64 / 1000.0)
        }
        What::Lost { epoch, reason, items } => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            let again = match items.is_empty() {
                true => "nothing was in work".to_owned(),
                false => format!("{} will be done again", items.join(", ")),
            };
            format!("launch {epoch} lost: {reason}; {again}")
        }
        What::WillRetry { at, reason } => {
            format!("will be tried again at {}: {reason}", print::timestamp(*at))
        }
        What::Held { reason: Some(reason) } => format!("held by the engine: {reason}"),
        What::Held { reason: None } => "held".to_owned(),
        What::Released => "released".to_owned(),
        What::Priority { priority } => format!("priority {priority}"),
        What::Retried => "to be tried again".to_owned(),
        What::CancelAsked => "to be cancelled".to_owned(),
        What::Cancelled => "cancelled".to_owned(),
        What::Failed { reason } => format!("failed: {reason}"),
        What::Completed { sha256, bytes } => {
            format!("completed: {}, sha256 {sha256}", words::bytes(*bytes))
        }
        What::EngineStarted { pid } => format!("engine started, process {pid}"),
        What::EngineStopped { pid } => format!("engine stopped, process {pid}"),
        What::Alarm { reason } => format!("ALARM: {reason}"),
        What::Log { epoch, line } => format!("launch {epoch}: {line}"),
    }
}
