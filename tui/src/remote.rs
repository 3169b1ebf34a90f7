//! Paths while the engine is elsewhere (`--connect`): a plain one is a file here and is sent there,
//! `engine:/path` is one on the engine's machine, `s3://bucket/key` is nobody's own.

use std::path::Path;

use dvp_engine::client::{Client, upload_id};
use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::job::Submission;
use dvp_model::wire::api::Errors;

/// What a path on the engine's machine begins with.
pub const PREFIX: &str = "engine:";

/// Whether a path is a file of this machine.
pub fn is_here(path: &Path) -> bool {
    let text = path.to_string_lossy();
    !text.starts_with(PREFIX) && !text.starts_with("s3://")
}

/// A path as the engine knows it.
///
/// # Errors
/// When it is not absolute there.
fn there(path: &FilePath) -> Result<FilePath, Reason> {
    match path.as_path().to_str().and_then(|text| text.strip_prefix(PREFIX)) {
        Some(rest) if rest.starts_with('/') => Ok(rest.into()),
        Some(_) => Err(Reason::spec(format!("{path}: a path on the engine's machine is absolute"))),
        None => Ok(path.clone()),
    }
}

/// A submission as the engine can take it: its film sent, if it lies here. `target` is where its output is
/// to go here; it gets a name of its own there.
///
/// # Errors
/// When the film can't be read or sent.
pub async fn send(
    client: &Client,
    mut submission: Submission,
    target: Option<&Path>,
    progress: impl Fn(u64, u64) + Clone + Send + Sync + 'static,
) -> Result<Submission, Errors> {
    if let Some(output) = &submission.output {
        submission.output = Some(there(output)?);
    }
    if !is_here(submission.input.as_path()) {
        submission.input = there(&submission.input)?;
        return Ok(submission);
    }
    let film = submission.input.as_path().to_owned();
    let missing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Reason::not_found(format!(
            "there is no file {} here; one on the engine's machine is engine:/path",
            submission.input
        )),
        _ => Reason::input(format!("{} can't be read: {error}", submission.input)),
    };
    let found = std::fs::metadata(&film).map_err(missing)?;
    if !found.is_file() {
        return Err(Reason::input(format!("{} is no file: name a film", submission.input)).into());
    }
    submission.input = client.upload(upload_id(&film, &found), &film, progress).await?;
    if let (Some(target), Some(id)) = (target, submission.id) {
        let folder = submission.input.as_path().parent().unwrap_or(Path::new("/"));
        let mut name = std::ffi::OsString::from(format!("{}-", id.short()));
        name.push(target.file_name().unwrap_or_default());
        submission.output = Some(folder.join(name).into());
    }
    Ok(submission)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_where_they_are() {
        assert!(is_here(Path::new("/a/b.mp4")) && is_here(Path::new("s3.mp4")));
        assert!(!is_here(Path::new("engine:/a.mp4")) && !is_here(Path::new("s3://b/k.mp4")));
        assert_eq!(there(&"engine:/a/b.mp4".into()).unwrap(), "/a/b.mp4".into());
        assert_eq!(there(&"s3://b/k".into()).unwrap(), "s3://b/k".into());
        assert!(there(&"engine:a.mp4".into()).is_err());
    }
}
