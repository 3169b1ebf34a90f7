//! `engine start|stop|status`.

use clap::{Args, Subcommand};
use dvp_engine::host;
use dvp_model::error::Reason;
use dvp_model::wire::api::StatusReply;
use serde_json::json;

use super::{Context, Outcome, print};

/// What about the engine.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a background engine, unless one serves already
    Start,
    /// Stop the background engine; open jobs wait for the next one
    Stop,
    /// Print who serves, since when, and what with
    Status,
}

/// `engine`.
pub(super) async fn engine(context: &Context, arguments: Arguments) -> Outcome {
    match arguments.command {
        Command::Start => {
            let status = host::start_background(&context.config).await?;
            show(context, Some(&status))?;
        }
        Command::Stop => {
            let stopped = host::stop_background(&context.config).await?;
            let text = match &stopped {
                Some(status) => format!("the engine (process {}) has ended", status.pid),
                None => "no engine runs".to_owned(),
            };
            match context.json {
                true => print::out_json(&json!({
                    "running": false,
                    "stopped": stopped.map(|status| status.pid),
                }))?,
                false => print::out(&text)?,
            };
        }
        Command::Status => {
            let running = host::running(&context.config).await?;
            show(context, running.as_ref().map(|(_, status)| status))?;
        }
    }
    Ok(0)
}

fn show(context: &Context, status: Option<&StatusReply>) -> Result<(), Reason> {
    if context.json {
        let mut value = json!(status);
        match status {
            Some(_) => value["running"] = json!(true),
            None => value = json!({ "running": false }),
        }
        print::out_json(&value)?;
        return Ok(());
    }
    let Some(status) = status else {
        print::out("no engine runs")?;
        return Ok(());
    };
    let by = if status.background { "in the background" } else { "in a console or a command" };
    print::out(&format!("engine {} runs {by}, process {}", status.version, status.pid))?;
    print::out(&format!("since    {}", print::timestamp(status.started_at)))?;
    print::out(&format!("data     {}", status.data_dir))?;
    let counts: Vec<_> =
        status.counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    print::out(&format!(
        "jobs     {}",
        if counts.is_empty() { "none".into() } else { counts.join(", ") }
    ))?;
    for service in &status.services {
        let word = match &service.fault {
            Some(reason) => format!("FAULT: {reason}"),
            None => service.what.clone(),
        };
        print::out(&format!("{:<8} {word}", service.name))?;
    }
    if let Some(queue) = &status.queue {
        print::out(&format!(
            "broker   {}: {} ready, {} unacked, {} consumers, {} dead letters",
            queue.name, queue.ready, queue.unacked, queue.consumers, queue.dead
        ))?;
    }
    Ok(())
}
