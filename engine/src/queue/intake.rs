//! Messages of `video_jobs` become jobs. A message is acknowledged when its job's row is committed, not
//! when the job ends; its `job_id` is the key, so a second delivery changes nothing. What can't become a
//! job goes to `video_jobs.dead` with its reason. A fault that is ours stops the consuming: nothing is
//! rejected for it.

use std::convert::Infallible;
use std::sync::Arc;

use dvp_model::error::Reason;
use dvp_model::job::Submission;
use dvp_model::wire::api::Errors;
use dvp_model::wire::feed::What;
use dvp_model::wire::message;
use futures::StreamExt;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};

use super::connection::Link;
use super::{DEAD, Pauses, QUEUE, Queue, User, depth};
use crate::engine::Engine;
use crate::jobs::submit;

/// Messages that the broker hands out ahead of their acknowledgements.
pub const PREFETCH: u16 = 16;
/// The longest reason in a header, in bytes: headers share one frame.
const LONGEST_REASON: usize = 2000;

/// Why a session ended.
enum Ended {
    /// The connection, or what we consume, is gone.
    Link(Reason),
    /// The broker cancelled the consumer: its queue was deleted.
    Cancelled,
    /// We can't store jobs: this submission failed for no fault of its own.
    Ours(Box<Submission>, Reason),
}

impl From<Reason> for Ended {
    fn from(reason: Reason) -> Self {
        Ended::Link(reason)
    }
}

/// Consumes for as long as the engine runs.
pub(super) async fn serve(engine: Engine, queue: Arc<Queue>) {
    let mut pauses = Pauses::new();
    loop {
        // With the session its link is dropped, and the broker keeps what was not acknowledged.
        let Err(ended) = session(&engine, &queue).await;
        match ended {
            Ended::Link(reason) => away(&queue, reason),
            Ended::Cancelled => {
                let reason = queue.broker.fault(format!(
                    "the queue {QUEUE} was deleted under its consumer; it is declared anew, but \
                     messages that lay in it are gone: send them again"
                ));
                tracing::warn!("{reason}");
                let alarm = vec![What::Alarm { reason }];
                if let Err(error) = engine.store.feed_append(None, alarm).await {
                    tracing::warn!("the alarm could not be stored: {error}");
                }
            }
            Ended::Ours(submission, reason) => {
                let why = format!("takes no jobs from {QUEUE} now: {}", reason.text);
                away(&queue, Reason::machine(why));
                store_at_last(&engine, *submission, &mut pauses).await;
            }
        }
        pauses.pause().await;
    }
}

fn away(queue: &Queue, reason: Reason) {
    let text = reason.text.clone();
    if queue.saw(User::Intake, Err(reason)) {
        tracing::warn!("{text}");
    }
}

/// Tries the submission that failed until it no longer fails through us. Only then is it worth to consume
/// again: asking the broker for the same message over and over would use up its delivery limit.
async fn store_at_last(engine: &Engine, submission: Submission, pauses: &mut Pauses) {
    loop {
        pauses.pause().await;
        match submit::submit(&engine.store, submission.clone()).await {
            Err(errors) if is_ours(&errors) => {}
            _ => return,
        }
    }
}

/// Whether only the machine is at fault: then the message is good, and waits.
fn is_ours(errors: &Errors) -> bool {
    errors.errors.iter().all(|reason| reason.kind.is_transient())
}

/// One link from its opening to its end.
async fn session(engine: &Engine, queue: &Queue) -> Result<Infallible, Ended> {
    let broker = &queue.broker;
    let link = Link::open(broker, "dvp-engine: intake").await?;
    link.queue(QUEUE).await?;
    link.queue(DEAD).await?;
    let policy = async { depth::Api::new(broker)?.set_policy().await };
    if let Err(reason) = policy.await {
        // Dead letters of ours need no policy; only the broker's own limits do.
        tracing::warn!("the policy of {QUEUE} could not be set: {reason}");
    }
    let fault = |error: lapin::Error| Ended::Link(broker.fault(error));
    link.channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(fault)?;
    let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
    let consuming = link.channel.basic_consume(QUEUE.into(), "".into(), options, table);
    let mut consumer = consuming.await.map_err(fault)?;
    queue.saw(User::Intake, Ok(()));
    tracing::info!("takes jobs from {QUEUE}");
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.map_err(fault)?;
        take(engine, &link, &delivery).await?;
        delivery.ack(BasicAckOptions::default()).await.map_err(fault)?;
        queue.saw(User::Intake, Ok(()));
    }
    match link.stands() {
        true => Err(Ended::Cancelled),
        false => Err(Ended::Link(broker.fault("the connection was closed"))),
    }
}

/// Makes a job of a message, or a dead letter. On return the message is in safe hands.
async fn take(engine: &Engine, link: &Link, delivery: &Delivery) -> Result<(), Ended> {
    let submission = match message::parse(&delivery.data) {
        Ok(submission) => submission,
        Err(errors) => return Ok(bury(link, delivery, &errors).await?),
    };
    let errors = match submit::submit(&engine.store, submission.clone()).await {
        Ok(job) => {
            tracing::debug!("message became job {}", job.id);
            return Ok(());
        }
        Err(errors) => errors,
    };
    if is_ours(&errors) {
        let reason = Reason::machine(errors.to_string());
        return Err(Ended::Ours(Box::new(submission), reason));
    }
    // The job may be there by now through a second delivery, its output in the way of this one.
    if let Some(id) = submission.id
        && engine.store.job_get(id).await.is_ok()
    {
        return Ok(());
    }
    Ok(bury(link, delivery, &errors).await?)
}

/// Puts the message among the dead letters, with the reason in its headers. Its own headers stay behind:
/// the broker acts on some of them.
async fn bury(link: &Link, delivery: &Delivery, errors: &Errors) -> Result<(), Reason> {
    let mut reason = errors.to_string().replace('\n', "; ");
    reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
    tracing::warn!("a message of {QUEUE} goes to {DEAD}: {reason}");
    let mut headers = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(LongString::from(text.to_owned()));
    headers.insert("x-dvp-reason".into(), text(&reason));
    headers.insert("x-dvp-queue".into(), text(QUEUE));
    let mut properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    if let Some(kind) = delivery.properties.content_type() {
        properties = properties.with_content_type(kind.clone());
    }
    if let Some(id) = delivery.properties.message_id() {
        properties = properties.with_message_id(id.clone());
    }
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent =
        link.channel.basic_publish("".into(), DEAD.into(), options, &delivery.data, properties);
    let sent = sent.await.map_err(|error| Reason::machine(format!("a dead letter: {error}")))?;
    link.confirmed("a dead letter", sent).await
}
