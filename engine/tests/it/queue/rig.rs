//! What the tests with RabbitMQ stand on: a broker, a bench with a small clip, a producer and a reader.

use std::future::Future;
use std::time::Instant;

use dvp_engine::queue::Broker;
use dvp_engine::{Engine, FeedQuery, Settings, Store};
use dvp_model::JobId;
use dvp_model::job::{Job, StateName};
use dvp_model::wire::feed::What;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::{Value, json};
use testbed::clip::Clip;
use testbed::rabbitmq::RabbitMq;
use uuid::Uuid;

use crate::run::bench::{Bench, LIMIT};

/// The queue, as a producer writes its name.
pub const QUEUE: &str = "video_jobs";
pub const DEAD: &str = "video_jobs.dead";

/// A small clip, and an engine's settings for a broker.
pub fn bench() -> Bench {
    Bench::with(Clip::new("a film's.mp4").frames(24))
}

pub fn broker(server: &RabbitMq) -> Broker {
    Broker {
        host: "127.0.0.1".into(),
        port: server.port(),
        tls: false,
        user: RabbitMq::USER.into(),
        password: RabbitMq::PASSWORD.into(),
        vhost: "/".into(),
        management: server.management(),
    }
}

pub async fn engine(bench: &Bench, server: &RabbitMq) -> Engine {
    let broker = Some(broker(server));
    Engine::start(Settings { broker, ..bench.settings() }).await.unwrap()
}

pub fn new_id() -> JobId {
    JobId(Uuid::new_v4())
}

/// A good message; its output lies in the bench.
pub fn message(bench: &Bench, id: JobId) -> String {
    message_of(bench, json!(id.to_string()), json!({"output_format": "mkv", "codec": "ffv1"}))
}

pub fn message_of(bench: &Bench, id: Value, params: Value) -> String {
    let name = format!("{}.mkv", id.as_str().unwrap_or("out"));
    json!({"job_id": id, "video_path": bench.input, "task": "convert", "params": params,
           "output": bench.output(&name)})
    .to_string()
}

/// Waits for a condition; when time is up, says what was last seen.
pub async fn wait<T, F: Future<Output = Result<T, String>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        match condition().await {
            Ok(found) => return found,
            Err(last) if begun.elapsed() > LIMIT => {
                panic!("waited in vain for {what}; last seen: {last}")
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// Waits until a job is there and completed.
pub async fn completed(store: &Store, id: JobId) -> Job {
    wait("a completed job", || async {
        match store.job_get(id).await {
            Ok(job) if job.state.name() == StateName::Completed => Ok(job),
            Ok(job) => {
                assert!(!job.state.name().is_final(), "{:?}", job.state);
                Err(format!("{:?}", job.state))
            }
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// The jobs of these ids are all that there are, each was accepted once and launched once.
pub async fn assert_once(store: &Store, ids: &[JobId]) {
    let mut jobs: Vec<JobId> =
        store.jobs_list(10_000).await.unwrap().iter().map(|job| job.id).collect();
    let mut wanted = ids.to_vec();
    jobs.sort();
    wanted.sort();
    assert_eq!(jobs, wanted);
    for id in ids {
        let query = FeedQuery { job: Some(*id), limit: 10_000, ..FeedQuery::default() };
        let entries = store.feed_read(query).await.unwrap();
        let count = |is: fn(&What) -> bool| entries.iter().filter(|it| is(&it.what)).count();
        assert_eq!(count(|what| matches!(what, What::Submitted)), 1);
        assert_eq!(count(|what| matches!(what, What::Launched { .. })), 1);
        assert_eq!(count(|what| matches!(what, What::Completed { .. })), 1);
    }
}

/// Waits until the queue holds nothing any more.
pub async fn drained(server: &RabbitMq) {
    wait("an empty queue", || async {
        match server.count(QUEUE) {
            Some((0, 0)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Someone else's connection to the broker.
pub struct Other {
    _connection: Connection,
    pub channel: Channel,
}

impl Other {
    pub async fn new(server: &RabbitMq) -> Self {
        let uri = format!(
            "amqp://{}:{}@127.0.0.1:{}/%2f",
            RabbitMq::USER,
            RabbitMq::PASSWORD,
            server.port()
        );
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await.unwrap();
        Self { _connection: connection, channel }
    }

    /// Sends a message and waits until the broker has it.
    pub async fn send(&self, body: &[u8]) {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = self.channel.basic_publish("".into(), QUEUE.into(), options, body, properties);
        let confirmed = sent.await.unwrap().await.unwrap();
        assert_eq!(confirmed, Confirmation::Ack(None));
    }

    /// A queue that gets the events whose key fits `pattern`.
    pub async fn listen(&self, queue: &str, pattern: &str) {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), durable, FieldTable::default()).await.unwrap();
        let bound = self.channel.queue_bind(
            queue.into(),
            "dvp.events".into(),
            pattern.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.unwrap();
    }

    /// The next message of a queue: its body, and the reason in its headers.
    pub async fn next(&self, queue: &str) -> (Vec<u8>, String) {
        let got = wait("a message", || async {
            let got = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await;
            got.unwrap().ok_or_else(|| "none".to_owned())
        })
        .await;
        got.delivery.ack(BasicAckOptions::default()).await.unwrap();
        let headers = got.delivery.properties.headers().as_ref();
        let reason = headers.and_then(|headers| headers.inner().get("x-dvp-reason"));
        let reason = match reason {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            _ => String::new(),
        };
        (got.delivery.data.clone(), reason)
    }
}
