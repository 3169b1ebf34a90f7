//! `download`: a completed job's output from the engine's machine to this one.

use std::path::{Path, PathBuf};

use clap::Args;
use dvp_engine::client::Client;
use dvp_engine::host::Role;
use dvp_model::error::Reason;
use dvp_model::job::{Job, State};
use dvp_model::path::printable;
use dvp_model::wire::api::Errors;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, Outcome, print};

/// Which output, and where to.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The job's id, or how it begins
    id: String,
    /// A file, or a folder to put it into [default: its own name, here]
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
}

/// `download`.
pub(super) async fn download(context: &Context, arguments: Arguments) -> Outcome {
    let client = context.attach(Role::Look).await?.client;
    let job = super::find(&client, &arguments.id).await?;
    if context.config.connect.is_none() {
        let text = format!("the engine is on this machine, and so is {}", job.output_path);
        return Err(Reason::spec(text).into());
    }
    let own = PathBuf::from(job.output_path.file_name());
    let path = match arguments.output {
        Some(folder) if folder.is_dir() => folder.join(own),
        Some(file) => file,
        None => own,
    };
    fetch(context, &client, &job, &path, arguments.force).await?;
    Ok(0)
}

/// Fetches a job's output to `path`, with a bar, and prints the path.
///
/// # Errors
/// When it is not completed, or can't be fetched.
pub(super) async fn fetch(
    context: &Context,
    client: &Client,
    job: &Job,
    path: &Path,
    force: bool,
) -> Result<(), Errors> {
    let (State::Completed, Some(output)) = (&job.state, &job.output) else {
        return Err(Reason::conflict(format!(
            "job {} is {}: its output is there once it is completed",
            job.id.short(),
            job.state.name().as_str()
        ))
        .into());
    };
    let bar = bar(&format!("fetching {}", path.to_string_lossy()));
    let progress = |done: u64, all: u64| show(&bar, done, all);
    let fetched = client.download(job.id, output, path, force, progress).await;
    bar.finish_and_clear();
    fetched?;
    match context.json {
        true => print::out_json(
            &json!({ "id": job.id, "downloaded": dvp_model::FilePath::from(path) }),
        )?,
        false => print::out(&printable(&path.to_string_lossy()))?,
    };
    Ok(())
}

/// A bar of bytes on standard error; none where that is no terminal.
pub(super) fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template =
        "{prefix}  {bar:24}  {percent:>3} %  {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(printable(what).chars().take(40).collect::<String>());
    bar
}

/// Moves a bar.
pub(super) fn show(bar: &ProgressBar, done: u64, all: u64) {
    bar.set_length(all);
    bar.set_position(done);
}
