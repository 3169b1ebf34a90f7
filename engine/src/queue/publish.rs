//! What happened goes to the topic exchange `dvp.events`: a reader of the feed whose cursor lies in the
//! database and moves on only when the broker has confirmed. Each event arrives at least once, in order;
//! its number tells a second copy.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::wire::feed::{Entry, What};
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;

use super::connection::Link;
use super::{EVENTS, Pauses, Queue, User};
use crate::engine::Engine;
use crate::store::FeedQuery;

/// The cursor's name.
const READER: &str = EVENTS;
/// How long one engine publishes unless it looks again, milliseconds.
const HOLD_MS: i64 = 15_000;
/// Entries that are sent before the first confirmation is waited for.
const BATCH: u32 = 100;
/// How often the feed is looked at without a nudge.
const PACE: Duration = Duration::from_secs(1);

/// Publishes for as long as the engine runs.
pub(super) async fn serve(engine: Engine, queue: Arc<Queue>) {
    let token = engine.tasks.token().clone();
    let publishing = async {
        let mut pauses = Pauses::new();
        loop {
            let Err(reason) = session(&engine, &queue).await;
            let text = reason.text.clone();
            if queue.saw(User::Events, Err(reason)) {
                tracing::warn!("events wait: {text}");
            }
            pauses.pause().await;
        }
    };
    let _: Option<()> = token.run_until_cancelled(publishing).await;
    if let Err(error) = engine.store.cursor_leave(READER, &engine.owner).await {
        tracing::debug!("the cursor of {READER} was not given back: {error}");
    }
}

/// One link from its opening to its end.
async fn session(engine: &Engine, queue: &Queue) -> Result<Infallible, Reason> {
    // A new cursor begins at the feed's end: it is made before the broker is needed, so that a broker
    // which is away from the start misses nothing.
    engine.store.cursor_take(READER, &engine.owner, HOLD_MS).await?;
    let link = Link::open(&queue.broker, "dvp-engine: events").await?;
    link.exchange(EVENTS).await?;
    let mut commits = engine.store.commits();
    loop {
        commits.mark_unchanged();
        while send_some(engine, queue, &link).await? {}
        if !link.stands() {
            return Err(queue.broker.fault("the connection of the events was closed"));
        }
        queue.saw(User::Events, Ok(()));
        tokio::select! {
            _ = commits.changed() => {}
            () = tokio::time::sleep(PACE) => {}
        }
    }
}

/// Sends the next entries and moves the cursor. Whether there may be more.
async fn send_some(engine: &Engine, queue: &Queue, link: &Link) -> Result<bool, Reason> {
    let store = &engine.store;
    let Some(after) = store.cursor_take(READER, &engine.owner, HOLD_MS).await? else {
        return Ok(false);
    };
    let query = FeedQuery { after, limit: BATCH, ..FeedQuery::default() };
    let entries = store.feed_read(query).await?;
    let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(false) };
    let mut sent = Vec::new();
    for entry in entries.iter().filter(|entry| !matches!(entry.what, What::Log { .. })) {
        let Some((key, body)) = event(entry) else { continue };
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_message_id(entry.seq.to_string().into())
            .with_timestamp((entry.at.0 / 1000) as u64);
        let options = BasicPublishOptions::default();
        let sending =
            link.channel.basic_publish(EVENTS.into(), key.into(), options, &body, properties);
        sent.push(sending.await.map_err(|error| queue.broker.fault(format!("{EVENTS}: {error}")))?);
    }
    for confirm in sent {
        link.confirmed(EVENTS, confirm).await?;
    }
    Ok(store.cursor_move(READER, &engine.owner, last).await? && entries.len() == BATCH as usize)
}

/// Routing key and body: `job.completed.<job's id>`, or `engine.engine_started`.
fn event(entry: &Entry) -> Option<(String, Vec<u8>)> {
    let value = serde_json::to_value(entry).ok()?;
    let what = value.get("what")?.as_str()?;
    let key = match entry.job {
        Some(job) => format!("job.{what}.{job}"),
        None => format!("engine.{what}"),
    };
    Some((key, serde_json::to_vec(&value).ok()?))
}

#[cfg(test)]
mod tests {
    use dvp_model::JobId;
    use dvp_model::time::Millis;

    use super::*;

    #[test]
    fn the_key_names_what_and_whose() {
        let id: JobId = "6f1f2f6e-0000-4000-8000-000000000001".parse().unwrap();
        let entry = |job, what| event(&Entry { seq: 7, at: Millis(5000), job, what }).unwrap();
        let (key, body) = entry(Some(id), What::Submitted);
        assert_eq!(key, format!("job.submitted.{id}"));
        let read: Entry = serde_json::from_slice(&body).unwrap();
        assert_eq!((read.seq, read.job), (7, Some(id)));
        assert_eq!(entry(None, What::EngineStarted { pid: 1 }).0, "engine.engine_started");
    }
}
