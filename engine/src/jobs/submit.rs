//! The door: a submission is checked whole, every error at once, and becomes a row or nothing. What is in
//! the file is for the planner to say. Knows nothing of HTTP.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use dvp_model::error::Reason;
use dvp_model::job::{Job, State, Submission};
use dvp_model::spec::{Spec, naming};
use dvp_model::time::Millis;
use dvp_model::wire::api::Errors;
use dvp_model::wire::feed::What;
use dvp_model::{BatchId, Epoch, FilePath, JobId, spec};
use rustix::fs::Access;

use super::command;
use crate::store::{Store, StoreError};

/// The most ranks that a job may ask for.
pub const MOST_RANKS: u32 = 1024;
/// Priorities lie from minus this to this.
pub const MOST_PRIORITY: i32 = 1000;

/// A submission that passed the door.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What the spec means.
    pub spec: Spec,
    /// Where the output goes; absolute.
    pub output: FilePath,
}

/// Stores a job, or says all that is wrong and stores nothing. With an id that is known already, gives
/// back that job.
///
/// # Errors
/// Everything that is wrong.
pub async fn submit(store: &Store, submission: Submission) -> Result<Job, Errors> {
    if let Some(id) = submission.id {
        match store.job_get(id).await {
            Ok(job) => return Ok(job),
            Err(StoreError::NotFound(_)) => {}
            // Not known is not the same as not there: its own output may lie in its way by now.
            Err(error) => return Err(Reason::from(error).into()),
        }
    }
    let (submission, checked) = check_apart(submission).await?;
    let job = job_of(submission, checked);
    Ok(store.job_insert(job, vec![What::Submitted]).await.map_err(Reason::from)?)
}

/// Stores several jobs as one batch: all of them, or none and all that is wrong.
///
/// # Errors
/// Everything that is wrong with any of them.
pub async fn submit_all(store: &Store, submissions: Vec<Submission>) -> Result<Vec<Job>, Errors> {
    let batch = BatchId(uuid::Uuid::new_v4());
    let (mut jobs, mut errors) = (Vec::<Job>::new(), Vec::new());
    for submission in submissions {
        let submission = Submission { batch: submission.batch.or(Some(batch)), ..submission };
        match check_apart(submission).await {
            Ok((submission, checked)) => {
                let job = job_of(submission, checked);
                if let Some(other) = jobs.iter().find(|it| it.output_path == job.output_path) {
                    errors.push(Reason::output(format!(
                        "{} and {} would both write to {}: submit them one by one with an --output",
                        other.input, job.input, job.output_path
                    )));
                }
                jobs.push(job);
            }
            Err(more) => errors.extend(more.errors),
        }
    }
    // The same spec may be wrong in all of them; it is said once.
    let mut said = Vec::<Reason>::new();
    errors.retain(|reason| {
        !said.contains(reason) && {
            said.push(reason.clone());
            true
        }
    });
    if !errors.is_empty() {
        return Err(Errors { errors });
    }
    let mut stored = Vec::new();
    for job in jobs {
        match store.job_insert(job, vec![What::Submitted]).await {
            Ok(job) => stored.push(job),
            Err(error) => {
                for job in &stored {
                    // What is not wanted without the others goes away again; a failure here is told.
                    command::cancel(store, job.id).await?;
                }
                return Err(Reason::from(error).into());
            }
        }
    }
    Ok(stored)
}

/// As [`check`], on a thread where a slow disk delays nobody.
///
/// # Errors
/// Everything that is wrong.
pub async fn check_apart(submission: Submission) -> Result<(Submission, Checked), Errors> {
    let checking = tokio::task::spawn_blocking(move || {
        let checked = check(&submission)?;
        Ok((submission, checked))
    });
    checking.await.unwrap_or_else(|error| {
        Err(Reason::bug(format!("the checks of a submission failed: {error}")).into())
    })
}

/// Checks a submission against the spec's tables and the file system.
///
/// # Errors
/// Everything that is wrong.
pub fn check(submission: &Submission) -> Result<Checked, Errors> {
    let mut errors = Vec::new();
    let input = submission.input.as_path();
    if input.is_absolute() {
        errors.extend(check_input(&submission.input));
    } else {
        errors
            .push(Reason::spec(format!("the input {} is not an absolute path", submission.input)));
    }
    let input_fits = errors.is_empty();
    let extension = submission.output.as_ref().and_then(naming::extension);
    let spec = match spec::resolve(&submission.spec, extension) {
        Ok(spec) => Some(spec),
        Err(reasons) => {
            errors.extend(reasons);
            None
        }
    };
    if let Some(ranks) = submission.ranks
        && !(1..=MOST_RANKS).contains(&ranks)
    {
        errors.push(Reason::spec(format!("ranks is {ranks}: give 1 to {MOST_RANKS}")));
    }
    errors.extend(check_priority(submission.priority).err());
    let output = match (&submission.output, &spec) {
        (Some(output), _) => Some(output.clone()),
        (None, Some(spec)) => {
            Some(naming::default_output(&submission.input, &submission.spec, spec.container))
        }
        (None, None) => None,
    };
    match &output {
        Some(output) if !output.as_path().is_absolute() && submission.output.is_none() => {}
        Some(output) if !output.as_path().is_absolute() => {
            errors.push(Reason::spec(format!("the output {output} is not an absolute path")));
        }
        // Where nobody named the output, its place is the input's and as wrong as that.
        Some(output) if input_fits || submission.output.is_some() => {
            errors.extend(check_output(output, &submission.input, submission.force));
        }
        _ => {}
    }
    match (spec, output) {
        (Some(spec), Some(output)) if errors.is_empty() => Ok(Checked { spec, output }),
        _ if errors.is_empty() => {
            Err(Reason::bug("a submission was refused without reason").into())
        }
        _ => Err(Errors { errors }),
    }
}

/// Whether a priority is in range.
pub(super) fn check_priority(priority: i32) -> Result<(), Reason> {
    match (-MOST_PRIORITY..=MOST_PRIORITY).contains(&priority) {
        true => Ok(()),
        false => Err(Reason::spec(format!(
            "priority is {priority}: give -{MOST_PRIORITY} to {MOST_PRIORITY}"
        ))),
    }
}

fn check_input(input: &FilePath) -> Option<Reason> {
    let meta = match std::fs::metadata(input) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Some(Reason::not_found(format!("there is no file {input}")));
        }
        Err(error) => return Some(Reason::input(unreadable(input, &error))),
    };
    if meta.is_dir() {
        return Some(Reason::input(format!("{input} is a folder: name a video file in it")));
    }
    if !meta.is_file() {
        return Some(Reason::input(format!(
            "{input} is not a regular file: name a video file on a disk"
        )));
    }
    if let Err(error) = std::fs::File::open(input) {
        return Some(Reason::input(unreadable(input, &error)));
    }
    if meta.len() == 0 {
        return Some(Reason::input(format!("{input} is empty: there is no video in it")));
    }
    None
}

fn unreadable(input: &FilePath, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("{input} can't be read (permission denied): make it readable for this user")
        }
        _ => format!("{input} can't be read: {error}"),
    }
}

fn check_output(output: &FilePath, input: &FilePath, force: bool) -> Option<Reason> {
    let path = output.as_path();
    let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if slash || path.file_name().is_none_or(OsStr::is_empty) || path.is_dir() {
        return Some(Reason::output(format!("the output {output} is a folder: name a file in it")));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let shown = FilePath::from(folder);
    match std::fs::metadata(folder) {
        Ok(meta) if !meta.is_dir() => {
            return Some(Reason::output(format!(
                "{shown}, where the output should go, is no folder"
            )));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Some(Reason::output(format!(
                "the output's folder {shown} does not exist: make it, or give another --output"
            )));
        }
        Err(error) => {
            return Some(Reason::output(format!("the output's folder {shown}: {error}")));
        }
    }
    if rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Some(Reason::output(format!(
            "the output's folder {shown} is not writable: give another --output"
        )));
    }
    if path == input.as_path() || same_file(path, input.as_path()) {
        return Some(Reason::output(format!(
            "the output {output} is the input itself: give another --output"
        )));
    }
    match std::fs::symlink_metadata(path) {
        Ok(_) if !force => Some(Reason::output(format!(
            "the output {output} exists already: give another --output, or --force to replace it"
        ))),
        Ok(meta) if !meta.is_file() && !meta.is_symlink() => Some(Reason::output(format!(
            "the output {output} is not a regular file and won't be replaced: give another --output"
        ))),
        Err(_) if !force => check_manifest(output),
        _ => None,
    }
}

/// Beside the output goes its proof; only a proof of ours may lie there already.
fn check_manifest(output: &FilePath) -> Option<Reason> {
    let mut path = output.as_path().as_os_str().to_owned();
    path.push(".dvp.json");
    let ours = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<dvp_model::manifest::Manifest>(&bytes).is_ok(),
        Err(error) => {
            error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::InvalidFilename
        }
    };
    let shown = FilePath::from(path);
    (!ours).then(|| {
        Reason::output(format!(
            "{shown}, where the output's manifest goes, is no manifest: move it, give another \
             --output, or --force to replace it"
        ))
    })
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

fn job_of(submission: Submission, checked: Checked) -> Job {
    Job {
        id: submission.id.unwrap_or_else(|| JobId(uuid::Uuid::new_v4())),
        version: 0,
        input: submission.input,
        output_path: checked.output,
        force: submission.force,
        asked: submission.spec,
        spec: checked.spec,
        ranks_wanted: submission.ranks,
        priority: submission.priority,
        batch: submission.batch,
        state: State::Queued,
        plan: None,
        epoch: Epoch(0),
        attempts: 0,
        barren: 0,
        chunks_done: 0,
        sound_done: false,
        frames_done: 0,
        ranks: 0,
        nodes: Vec::new(),
        output: None,
        created_at: Millis(0),
        started_at: None,
        finished_at: None,
        updated_at: Millis(0),
    }
}
