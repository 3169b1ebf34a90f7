//! The feed as server-sent events: `GET /events`. Each event's id is its place in the feed, so that a client
//! that lost its connection goes on where it was.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dvp_model::JobId;
use dvp_model::wire::api::Errors;
use dvp_model::wire::feed::Entry;
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::json;

use super::answer::Refusal;
use super::openapi::{Answer, Description, Plain};
use super::routes::{App, news};
use super::serve::InHand;
use crate::store::FeedQuery;

/// Entries that are read at once.
const AT_ONCE: u32 = 256;
/// How long the stream waits before it looks whether its client still is there.
const WAIT: Duration = Duration::from_secs(30);

/// Where to begin, and what to leave out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    after: Option<u64>,
    job: Option<JobId>,
}

/// Adds this to a description.
pub(super) fn describe(description: &mut Description) {
    let (number, job) = (description.schema::<u64>(), description.schema::<JobId>());
    let about = "After this entry; without it, and without Last-Event-ID, from now on.";
    description.plain(Plain {
        method: "get",
        path: "/events",
        name: "Events",
        about: "What happens, as server-sent events",
        answer: Answer::Bytes("text/event-stream"),
        query: vec![
            json!({ "name": "after", "in": "query", "description": about, "schema": number }),
            json!({ "name": "job", "in": "query", "description": "Only this job's.", "schema": job }),
            json!({ "name": "Last-Event-ID", "in": "header", "description": "As `after`.",
                    "schema": number }),
        ],
        body: None,
        guarded: true,
    });
}

struct Reader {
    app: Arc<App>,
    after: u64,
    job: Option<JobId>,
    waiting: VecDeque<Entry>,
    /// Its client counts as one that uses the engine.
    _in_hand: InHand,
}

/// The stream.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Response {
    match begin(app, &headers, wanted).await {
        Ok(reader) => {
            let alive = KeepAlive::new().interval(Duration::from_secs(15));
            Sse::new(read(reader)).keep_alive(alive).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn begin(
    app: Arc<App>,
    headers: &HeaderMap,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Reader, Refusal> {
    let Query(wanted) = wanted.map_err(|error| Refusal::request(error.to_string()))?;
    let last = match headers.get("last-event-id").map(|value| value.to_str()) {
        None => None,
        Some(text) => match text.ok().and_then(|text| text.trim().parse().ok()) {
            Some(last) => Some(last),
            None => return Err(Refusal::request("Last-Event-ID is no number")),
        },
    };
    let after = match last.or(wanted.after) {
        Some(after) => after,
        None => app.engine.store().feed_last().await.map_err(dvp_model::error::Reason::from)?,
    };
    let in_hand = app.activity.begin();
    Ok(Reader { app, after, job: wanted.job, waiting: VecDeque::new(), _in_hand: in_hand })
}

fn read(reader: Reader) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        loop {
            if let Some(entry) = reader.waiting.pop_front() {
                reader.after = entry.seq;
                return Some((Ok(event(&entry)), Some(reader)));
            }
            let query =
                FeedQuery { after: reader.after, job: reader.job, limit: AT_ONCE, tail: false };
            match news(&reader.app, query, WAIT).await {
                Ok(entries) => reader.waiting.extend(entries),
                // Told once, and then the stream ends: the client comes again.
                Err(errors) => return Some((Ok(fault(&errors)), None)),
            }
            if reader.waiting.is_empty() && reader.app.tasks.is_stopping() {
                return None;
            }
        }
    })
}

fn event(entry: &Entry) -> Event {
    let value = serde_json::to_value(entry).unwrap_or_default();
    let name = value["what"].as_str().unwrap_or("entry").to_owned();
    Event::default().id(entry.seq.to_string()).event(name).data(value.to_string())
}

fn fault(errors: &Errors) -> Event {
    Event::default().event("fault").data(json!(errors).to_string())
}
