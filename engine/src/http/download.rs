//! A job's output and its manifest: `GET /jobs/{id}/output`, `/jobs/{id}/manifest`. Streamed, and from the
//! middle on when asked so, so that a download that broke off goes on.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::job::{Job, State as JobState};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::answer::Refusal;
use super::openapi::{Answer, Description, Plain};
use super::routes::App;
use crate::run::Target;

/// What is read at once, bytes.
const AT_ONCE: usize = 256 << 10;

/// Adds this to a description.
pub(super) fn describe(description: &mut Description) {
    let manifest = description.schema::<dvp_model::manifest::Manifest>();
    let plain = |path, name, about, answer| Plain {
        method: "get",
        path,
        name,
        about,
        answer,
        query: Vec::new(),
        body: None,
        guarded: true,
    };
    let bytes = Answer::Bytes("application/octet-stream");
    let about = "The output of a completed job; takes Range";
    description.plain(plain("/jobs/{id}/output", "Output", about, bytes));
    let about = "The manifest of a completed job";
    description.plain(plain("/jobs/{id}/manifest", "Manifest", about, Answer::Json(manifest)));
}

/// The output.
pub(super) async fn output(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let sent = async {
        let job = completed(&app, &id).await?;
        let Some(output) = job.output else {
            return Err(Reason::bug("a completed job without an output").into());
        };
        let tag = HeaderValue::from_str(&format!("\"{}\"", output.sha256)).ok();
        let mut answer =
            file(&app, output.path, Some(output.bytes), &headers, tag.as_ref()).await?;
        let media = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(header::CONTENT_TYPE, media);
        tag.map(|tag| answer.headers_mut().insert(header::ETAG, tag));
        Ok(answer)
    };
    sent.await.unwrap_or_else(Refusal::into_response)
}

/// The manifest.
pub(super) async fn manifest(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let sent = async {
        let job = completed(&app, &id).await?;
        let path = Target::of(&job).manifest.into();
        let mut answer = file(&app, path, None, &HeaderMap::new(), None).await?;
        let media = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, media);
        Ok(answer)
    };
    sent.await.unwrap_or_else(Refusal::into_response)
}

async fn completed(app: &App, id: &str) -> Result<Job, Refusal> {
    let job = app.engine.store().job_get(super::job_id(id)?).await.map_err(Reason::from)?;
    match job.state {
        JobState::Completed => Ok(job),
        _ => Err(Reason::conflict(format!(
            "job {} is {}: its output is there once it is completed",
            job.id.short(),
            job.state.name().as_str()
        ))
        .into()),
    }
}

/// A file as a stream; `bytes` is what it must have, where that is known.
async fn file(
    app: &App,
    path: FilePath,
    bytes: Option<u64>,
    headers: &HeaderMap,
    tag: Option<&HeaderValue>,
) -> Result<Response, Refusal> {
    let gone = |why: &str| Refusal::from(Reason::not_found(format!("{path} {why}")));
    let mut file = tokio::fs::File::open(&path).await.map_err(|error| {
        gone(&format!("can't be read any more ({error}): submit the job again"))
    })?;
    let length = file.metadata().await.map_err(|error| gone(&error.to_string()))?.len();
    if bytes.is_some_and(|bytes| bytes != length) {
        return Err(gone("is another file by now than the job made: submit the job again"));
    }
    // Only a range of the very same file is any use.
    let same = headers.get(header::IF_RANGE).is_none_or(|wanted| Some(wanted) == tag);
    let range = headers.get(header::RANGE).filter(|_| same).and_then(|range| range.to_str().ok());
    let (status, first, count) = match range.and_then(|range| part(range, length)) {
        None => (StatusCode::OK, 0, length),
        Some(Ok((first, last))) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Some(Err(())) => {
            let text = format!("the range lies outside of the {length} bytes that there are");
            return Err(Refusal::with(StatusCode::RANGE_NOT_SATISFIABLE, Reason::spec(text)));
        }
    };
    let place = std::io::SeekFrom::Start(first);
    file.seek(place).await.map_err(|error| gone(&format!("can't be read: {error}")))?;
    let in_hand = app.activity.begin();
    let stream = ReaderStream::with_capacity(file.take(count), AT_ONCE);
    let stream = futures::StreamExt::inspect(stream, move |_| {
        let _ = &in_hand;
    });
    let mut answer = (status, Body::from_stream(stream)).into_response();
    let answer_headers = answer.headers_mut();
    answer_headers.insert(header::CONTENT_LENGTH, count.into());
    answer_headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{length}", first + count - 1);
        answer_headers.extend(HeaderValue::try_from(range).map(|it| (header::CONTENT_RANGE, it)));
    }
    let name = PathBuf::from(path.file_name());
    let name: String = name.to_string_lossy().bytes().map(escaped).collect();
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    answer_headers
        .extend(HeaderValue::try_from(disposition).map(|it| (header::CONTENT_DISPOSITION, it)));
    Ok(answer)
}

fn escaped(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    }
}

/// First and last byte of `bytes=a-b`, `bytes=a-` or `bytes=-n`. None: not a single range, all is sent.
fn part(range: &str, length: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.trim(), last.trim()) {
        ("", tail) => (length.saturating_sub(tail.parse().ok()?), length.checked_sub(1)),
        (first, "") => (first.parse().ok()?, length.checked_sub(1)),
        (first, last) => {
            let last: u64 = last.parse().ok()?;
            (first.parse().ok()?, length.checked_sub(1).map(|end| end.min(last)))
        }
    };
    match last {
        Some(last) if first <= last => Some(Ok((first, last))),
        _ => Some(Err(())),
    }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn ranges() {
        assert_eq!(part("bytes=0-", 10), Some(Ok((0, 9))));
        assert_eq!(part("bytes=2-3", 10), Some(Ok((2, 3))));
        assert_eq!(part("bytes=7-99", 10), Some(Ok((7, 9))));
        assert_eq!(part("bytes=-3", 10), Some(Ok((7, 9))));
        assert_eq!(part("bytes=-30", 10), Some(Ok((0, 9))));
        assert_eq!((part("bytes=10-", 10), part("bytes=0-", 0)), (Some(Err(())), Some(Err(()))));
        for all in ["bytes=1-2,4-5", "lines=1-2", "bytes=a-b", "bytes"] {
            assert_eq!(part(all, 10), None, "{all}");
        }
    }
}
