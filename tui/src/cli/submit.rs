//! `submit`: from arguments to submissions, checked whole here before an engine is started for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use dvp_engine::client::Client;
use dvp_engine::host::{self, Role};
use dvp_engine::jobs::submit::check;
use dvp_model::error::Reason;
use dvp_model::job::{Job, StateName, Submission};
use dvp_model::spec::{self, SpecText, naming};
use dvp_model::wire::api::{Errors, JobGet, Submit, SubmitAll};
use dvp_model::{FilePath, JobId};

use super::{Context, Outcome, download, leave, print, watch};
use crate::remote;

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

/// From the root on; what is not of this machine stays as it is.
fn absolute(path: &Path) -> Result<PathBuf, Reason> {
    if !remote::is_here(path) {
        return Ok(path.to_owned());
    }
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
    if context.config.connect.is_some() {
        return elsewhere(context, submissions, wait).await;
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
    for job in &jobs {
        show(context, job)?;
    }
    Ok(0)
}

fn show(context: &Context, job: &Job) -> Result<(), Reason> {
    match context.json {
        true => {
            let mut value = print::job_json(job);
            value["chunks"] = serde_json::json!([]);
            print::out_json(&value)?
        }
        false => print::out(&format!("{}  {} -> {}", job.id.short(), job.input, job.output_path))?,
    };
    Ok(())
}

/// As [`submit`], on an engine elsewhere: films of this machine are sent there, and with `--wait` their
/// outputs come back.
async fn elsewhere(context: &Context, submissions: Vec<Submission>, wait: bool) -> Outcome {
    let mut targets = Vec::new();
    let mut errors = Vec::<Reason>::new();
    for submission in &submissions {
        let target = target(submission, wait);
        errors.extend(target.as_ref().err().into_iter().flat_map(|wrong| wrong.errors.clone()));
        targets.push(target.ok().flatten());
    }
    errors.dedup();
    if !errors.is_empty() {
        return Err(Errors { errors });
    }
    let signals = watch::Signals::listen()?;
    let attached = context.attach(Role::Host).await?;
    let mut sent = Vec::new();
    for (submission, target) in submissions.into_iter().zip(&targets) {
        sent.push(bring(&attached.client, submission, target.as_deref()).await?);
    }
    let force: Vec<bool> = sent.iter().map(|submission| submission.force).collect();
    let jobs = send(&attached.client, sent).await?;
    if !wait {
        for job in &jobs {
            show(context, job)?;
        }
        return Ok(0);
    }
    let mut code = watch::wait(context, &attached, &jobs, signals).await?;
    for ((job, target), force) in jobs.iter().zip(targets).zip(force) {
        let Some(target) = target else { continue };
        let job = attached.client.call(&JobGet { id: job.id }).await?.job;
        if job.state.name() == StateName::Completed {
            let fetched = download::fetch(context, &attached.client, &job, &target, force).await;
            let own = fetched.err().map_or(0, |errors| super::report(&errors));
            code = if code == 0 { own } else { code };
        }
    }
    Ok(code)
}

/// Sends a submission's film, with a bar, if it lies here.
pub(super) async fn bring(
    client: &Client,
    submission: Submission,
    target: Option<&Path>,
) -> Result<Submission, Errors> {
    let bar = download::bar(&format!("sending {}", submission.input));
    let shown = bar.clone();
    let progress = move |done, all| download::show(&shown, done, all);
    let sent = remote::send(client, submission, target, progress).await;
    bar.finish_and_clear();
    sent
}

/// Where an output is to go on this machine; none: it stays where the engine puts it.
fn target(submission: &Submission, wait: bool) -> Result<Option<PathBuf>, Errors> {
    let here = remote::is_here(submission.input.as_path());
    let extension = submission.output.as_ref().and_then(naming::extension);
    let spec = spec::resolve(&submission.spec, extension).map_err(|errors| Errors { errors })?;
    let output = match &submission.output {
        Some(output) if !remote::is_here(output.as_path()) => return Ok(None),
        Some(output) if !wait || !here => {
            return Err(Reason::spec(format!(
                "the output {output} lies on this machine: that needs --wait and an input of this \
                 machine; else name engine:/path, or leave --output out and `download` it later"
            ))
            .into());
        }
        Some(output) => output.clone(),
        None if wait && here => {
            naming::default_output(&submission.input, &submission.spec, spec.container)
        }
        None => return Ok(None),
    };
    if !submission.force && output.as_path().symlink_metadata().is_ok() {
        return Err(Reason::output(format!(
            "the output {output} exists already: give another --output, or --force to replace it"
        ))
        .into());
    }
    Ok(Some(output.0))
}

async fn send(client: &Client, submissions: Vec<Submission>) -> Result<Vec<Job>, Errors> {
    match <[Submission; 1]>::try_from(submissions) {
        Ok([one]) => Ok(vec![client.call(&Submit(one)).await?]),
        Err(several) => client.call(&SubmitAll(several)).await,
    }
}
