//! Films over the API: `POST /upload` takes one with its task as a form; `/uploads/{id}` takes one in pieces
//! that go on where they stopped, for a submission that follows. Streamed: nothing is held in memory.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post, put};

use dvp_model::JobId;
use dvp_model::error::{Kind, Reason};
use dvp_model::job::Job;
use dvp_model::wire::api::{Errors, UploadBegin, UploadEnd, Uploaded};
use dvp_model::wire::message;
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;

use super::answer::{self, Refusal};
use super::openapi::{Answer, Description, Plain};
use super::routes::App;
use crate::jobs::submit;
use crate::objects::Uploads;
use crate::objects::uploads::Part;
use crate::run::SPARE;

/// The longest field beside the file, bytes.
const FIELD: usize = message::LONGEST;
/// What is gathered before it is written, bytes.
const BUFFER: usize = 1 << 20;

/// Adds this to a description.
pub(super) fn describe(description: &mut Description) {
    let job = description.schema::<Job>();
    description.plain(Plain {
        method: "post",
        path: "/upload",
        name: "Upload",
        about: "Upload a film with its task; the reply is the job",
        answer: Answer::Json(job),
        query: Vec::new(),
        body: Some(json!({ "multipart/form-data": { "schema": {
            "type": "object", "required": ["file", "task"],
            "properties": {
                "file": { "type": "string", "format": "binary", "description": "The film." },
                "task": { "type": "string", "description": "One task." },
                "params": { "type": "string", "contentMediaType": "application/json",
                            "description": "Its parameters as a JSON object." },
                "priority": { "type": "integer", "description": "Higher goes first." }
            }
        } } })),
        guarded: true,
    });
    let uploaded = description.schema::<Uploaded>();
    description.plain(Plain {
        method: "put",
        path: "/uploads/{id}",
        name: "UploadPart",
        about: "Send a film's bytes, from where those before ended",
        answer: Answer::Json(uploaded),
        query: vec![
            json!({ "name": "name", "in": "query", "required": true,
                    "description": "The film's name, as it was begun.", "schema": { "type": "string" } }),
            json!({ "name": "at", "in": "query", "required": true,
                    "description": "Bytes that were received before.",
                    "schema": { "type": "integer", "minimum": 0 } }),
        ],
        body: Some(json!({ "application/octet-stream": {} })),
        guarded: true,
    });
}

/// `POST /upload`.
pub(super) fn form() -> MethodRouter<Arc<App>> {
    post(upload).layer(DefaultBodyLimit::disable())
}

/// `PUT /uploads/{id}`.
pub(super) fn part() -> MethodRouter<Arc<App>> {
    put(piece).layer(DefaultBodyLimit::disable())
}

/// Begins an upload, or says how far it came.
pub(super) async fn begin(app: Arc<App>, call: UploadBegin) -> Result<Uploaded, Errors> {
    let name = Uploads::name(&call.name)?;
    if let Some((path, received)) = app.engine.uploads.whole(call.id, &name) {
        return Ok(Uploaded { received, path: Some(path.into()) });
    }
    let part = open(&app, call.id, name).await?;
    Ok(Uploaded { received: part.received, path: None })
}

/// Gives a whole upload its name.
pub(super) async fn end(app: Arc<App>, call: UploadEnd) -> Result<Uploaded, Errors> {
    let name = Uploads::name(&call.name)?;
    let uploads = app.engine.uploads.clone();
    let ended = apart(move || uploads.end(call.id, &name, call.bytes)).await?;
    Ok(Uploaded { received: call.bytes, path: Some(ended.into()) })
}

/// On a thread where a slow disk delays nobody.
async fn apart<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Reason> + Send + 'static,
) -> Result<T, Reason> {
    let acting = tokio::task::spawn_blocking(act).await;
    acting.unwrap_or_else(|error| Err(Reason::bug(format!("an upload failed: {error}"))))
}

async fn open(app: &App, id: JobId, name: String) -> Result<Part, Reason> {
    let uploads = app.engine.uploads.clone();
    apart(move || uploads.open(id, &name)).await
}

/// Where a piece belongs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    name: String,
    at: u64,
}

async fn piece(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Result<Query<Piece>, axum::extract::rejection::QueryRejection>,
    body: Body,
) -> Response {
    let taken = async {
        let id = super::job_id(&id)?;
        let Query(piece) = query.map_err(|error| Refusal::request(error.to_string()))?;
        let part = open(&app, id, Uploads::name(&piece.name)?).await?;
        if part.received != piece.at {
            let text = format!("{} bytes have come: go on from there", part.received);
            return Err(Refusal::from(Reason::conflict(text)));
        }
        let stream = body.into_data_stream().map(|chunk| chunk.map_err(|error| error.to_string()));
        let received = write(&app, part, stream).await?;
        Ok(answer::json(&Uploaded { received, path: None }))
    };
    taken.await.unwrap_or_else(IntoResponse::into_response)
}

/// Writes what comes. Gives the film's bytes so far; what came before a fault stays.
async fn write(
    app: &App,
    part: Part,
    stream: impl Stream<Item = Result<Bytes, String>>,
) -> Result<u64, Refusal> {
    let mut received = part.received;
    let limit = app.standing.upload_limit;
    let mut file =
        tokio::io::BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(part.file));
    let mut stream = std::pin::pin!(stream);
    let mut checked = 0;
    let written = loop {
        let Some(chunk) = stream.next().await else { break Ok(()) };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => break Err(Refusal::request(format!("the upload broke off: {error}"))),
        };
        received += chunk.len() as u64;
        if received > limit {
            let text = format!("the film is above {} GiB, the setting upload_gib", limit >> 30);
            break Err(Refusal::with(StatusCode::PAYLOAD_TOO_LARGE, Reason::spec(text)));
        }
        if checked == 0 || received - checked > 64 << 20 {
            checked = received;
            if let Err(reason) = room(app) {
                break Err(Refusal::with(StatusCode::INSUFFICIENT_STORAGE, reason));
            }
        }
        if let Err(error) = file.write_all(&chunk).await {
            break Err(app.engine.uploads.cannot(error).into());
        }
    };
    let flushed = file.flush().await.map_err(|error| app.engine.uploads.cannot(error).into());
    written.and(flushed).map(|()| received)
}

/// Whether there is room for more.
fn room(app: &App) -> Result<(), Reason> {
    let folder = app.engine.objects.folder();
    let found = rustix::fs::statvfs(folder)
        .map_err(|error| Reason::machine(format!("{}: {error}", folder.display())))?;
    match found.f_bavail * found.f_frsize > SPARE {
        true => Ok(()),
        false => {
            Err(Reason::machine(format!("the disk of {} is full: make room", folder.display())))
        }
    }
}

async fn upload(
    State(app): State<Arc<App>>,
    form: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Response {
    let id = JobId(uuid::Uuid::new_v4());
    let form = match form {
        Ok(form) => form,
        Err(error) => return Refusal::request(error.body_text()).into_response(),
    };
    // What did not become a job leaves nothing behind, also when the sender goes away in the middle.
    let kept = Kept { app: app.clone(), id, keep: false };
    match taken(&app, id, form, kept).await {
        Ok(job) => answer::json(&job),
        Err(refusal) => refusal.into_response(),
    }
}

struct Kept {
    app: Arc<App>,
    id: JobId,
    keep: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.keep {
            self.app.engine.uploads.remove(self.id);
        }
    }
}

async fn taken(
    app: &Arc<App>,
    id: JobId,
    mut form: Multipart,
    mut kept: Kept,
) -> Result<Job, Refusal> {
    let mut fields = Map::from_iter([("job_id".to_owned(), json!(id))]);
    let mut film = None;
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            _ if fields.contains_key(&name) || (name == "file" && film.is_some()) => {
                return Err(Refusal::request(format!("the form has the field {name} twice")));
            }
            "file" => {
                let given = field.file_name().unwrap_or_default().to_owned();
                let name = Uploads::name(&given)
                    .map_err(|reason| Refusal::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason))?;
                let part = open(app, id, name.clone()).await?;
                let stream = field.map(|chunk| chunk.map_err(|error| error.body_text()));
                film = Some((name, write(app, part, stream).await?));
            }
            "task" | "params" | "priority" => {
                let text = text(field).await?;
                let value = match name.as_str() {
                    "task" => text.into(),
                    _ => serde_json::from_str::<Value>(&text).map_err(|error| {
                        Refusal::request(format!("the field {name} is no JSON: {error}"))
                    })?,
                };
                fields.insert(name, value);
            }
            _ => {
                return Err(Refusal::request(format!(
                    "the form has a field '{}'; there are file, task, params and priority",
                    dvp_model::path::printable(&name)
                )));
            }
        }
    }
    let Some((name, bytes)) = film else {
        return Err(Refusal::request("the form has no field file with a film in it"));
    };
    let uploads = app.engine.uploads.clone();
    let path = apart(move || uploads.end(id, &name, bytes)).await?;
    fields.insert("video_path".to_owned(), path.to_string_lossy().into());
    let submission = message::parse(Value::from(fields).to_string().as_bytes())?;
    let job = submit::submit(app.engine.store(), submission).await?;
    kept.keep = true;
    Ok(job)
}

async fn text(mut field: Field<'_>) -> Result<String, Refusal> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        text.extend_from_slice(&chunk);
        if text.len() > FIELD {
            return Err(Refusal::request(format!("a field is above {FIELD} bytes")));
        }
    }
    String::from_utf8(text).map_err(|_| Refusal::request("a field is no UTF-8"))
}

fn broken(error: MultipartError) -> Refusal {
    Refusal::with(error.status(), Reason::new(Kind::Spec, error.body_text()))
}
