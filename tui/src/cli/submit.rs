//! `submit`: from arguments to submissions, checked whole here before an engine is started for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use dvp_engine::host::{self, Role};
use dvp_engine::jobs::submit::check;
use dvp_model::error::Reason;
use dvp_model::job::{Job, Submission};
use dvp_model::spec::{self, SpecText, naming};
use dvp_model::wire::api::{Errors, Submit, SubmitAll};
use dvp_model::{FilePath, JobId};

use super::{Context, Outcome, leave, print, watch};

/// What to do with which videos.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) what: What,
    /// Exactly so many ranks [default: as many as fit]
    #[arg(long, value_name = "N")]
    ranks: Option<u32>,
    /// Higher goes first
    #[arg(long, value_name = "P", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Wait for the end, with progress; host the engine if nobody does
    #[arg(long)]
    wait: bool,
    /// Replace an existing output, by a verified file only
    #[arg(long)]
    force: bool,
}

/// Inputs, tasks and output: the same for `submit` and `plan`.
#[derive(Debug, Args)]
pub(super) struct What {
    /// Videos (mp4, mov, mkv, webm, ts, mpg, avi); a name that begins with a dash goes after `--`
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// A task; several make a chain in one pass (see `tasks`)
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<String>,
    /// A parameter of a task in the chain, or a plan key
    #[arg(long = "set", value_name = "TASK.KEY=VALUE")]
    set: Vec<String>,
    /// Output file, or a folder for the outputs [default: {stem}.{task}.{ext} beside the input]
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

impl What {
    /// One submission an input.
    ///
    /// # Errors
    /// What is wrong with the arguments themselves.
    pub(super) fn submissions(self) -> Result<Vec<Submission>, Errors> {
        let mut errors = Vec::new();
        let mut set = BTreeMap::new();
        for pair in &self.set {
            match pair.split_once('=') {
                Some((key, value)) => {
                    if set.insert(key.trim().to_owned(), value.to_owned()).is_some() {
                        errors.push(Reason::spec(format!("--set {key} is given twice")));
                    }
                }
                None => errors.push(Reason::spec(format!(
                    "--set {pair} is not TASK.KEY=VALUE, as in --set resize.height=360"
                ))),
            }
        }
        let text = SpecText { tasks: self.tasks, set };
        let several = self.inputs.len() > 1;
        let output = self.output.as_deref().map(absolute).transpose()?;
        if let Some(folder) = output.as_deref().filter(|folder| several && !folder.is_dir()) {
            errors.push(Reason::output(format!(
                "with several inputs --output is a folder, and {} is none: make it first",
                FilePath::from(folder)
            )));
        }
        if !errors.is_empty() {
            return Err(Errors { errors });
        }
        let submissions = self.inputs.iter().map(|input| {
            let input = FilePath::from(absolute(input)?);
            let output = match &output {
                Some(folder) if folder.is_dir() => {
                    // A spec that is wrong is refused with all else that is wrong, not here.
                    let spec = spec::resolve(&text, None).ok();
                    spec.map(|spec| naming::output_in(folder, &input, &text, spec.container))
                }
                Some(file) => Some(FilePath::from(file.clone())),
                None => None,
            };
            Ok(Submission {
                input,
                spec: text.clone(),
                output,
                ranks: None,
                priority: 0,
                force: false,
                batch: None,
                id: None,
            })
        });
        submissions.collect()
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Reason> {
    std::path::absolute(path)
        .map_err(|error| Reason::spec(format!("'{}' is no path: {error}", path.display())))
}

/// Submits, prints the jobs, waits for them if asked to.
pub(super) async fn submit(context: &Context, arguments: Arguments) -> Outcome {
    let Arguments { what, ranks, priority, wait, force } = arguments;
    let mut submissions = what.submissions()?;
    for submission in &mut submissions {
        submission.ranks = ranks;
        submission.priority = priority;
        submission.force = force;
        submission.id = Some(JobId(uuid::Uuid::new_v4()));
    }
    // No engine is started for what it would refuse anyway.
    let mut errors = Vec::<Reason>::new();
    for submission in &submissions {
        let wrong = check(submission).err();
        for reason in wrong.into_iter().flat_map(|wrong| wrong.errors) {
            if !errors.contains(&reason) {
                errors.push(reason);
            }
        }
    }
    if !errors.is_empty() {
        return Err(Errors { errors });
    }
    if host::running(&context.config).await?.is_none() {
        context.config.check_programs()?;
    }
    if wait {
        let signals = watch::Signals::listen()?;
        let attached = context.attach(Role::Host).await?;
        let jobs = match send(&attached.client, submissions).await {
            Ok(jobs) => jobs,
            Err(errors) => {
                leave::leave(context, &attached, false).await;
                return Err(errors);
            }
        };
        return watch::wait(context, &attached, &jobs, signals).await;
    }
    let attached = context.attach(Role::Background).await?;
    let jobs = send(&attached.client, submissions).await?;
    context.stay(&attached).await?;
    for job in jobs {
        match context.json {
            true => {
                let mut value = print::job_json(&job);
                value["chunks"] = serde_json::json!([]);
                print::out_json(&value)?
            }
            false => {
                print::out(&format!("{}  {} -> {}", job.id.short(), job.input, job.output_path))?
            }
        };
    }
    Ok(0)
}

async fn send(
    client: &dvp_engine::client::Client,
    submissions: Vec<Submission>,
) -> Result<Vec<Job>, Errors> {
    match <[Submission; 1]>::try_from(submissions) {
        Ok([one]) => Ok(vec![client.call(&Submit(one)).await?]),
        Err(several) => client.call(&SubmitAll(several)).await,
    }
}
