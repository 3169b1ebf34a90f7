//! With real brokers: each fault of the queue by name.

use std::time::Duration;

use dvp_engine::jobs::submit;
use dvp_engine::{Engine, FeedQuery, Settings, StoreUrl};
use dvp_model::wire::api::Service;
use dvp_model::wire::feed::{Entry, What};
use lapin::ExchangeKind;
use lapin::options::QueuePurgeOptions;
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use serde_json::json;
use testbed::faults;
use testbed::rabbitmq::RabbitMq;

use super::rig::*;
use crate::run::bench::{Bench, EngineProcess, LIMIT};

async fn service(engine: &Engine, name: &str) -> Service {
    let services = engine.queue().unwrap().services(engine.store().now().await.unwrap());
    services.into_iter().find(|service| service.name == name).unwrap()
}

/// Waits until a service is well, or not.
async fn stands(engine: &Engine, name: &str, well: bool) -> Service {
    wait(if well { "a service that is well" } else { "a fault" }, || async {
        let service = service(engine, name).await;
        if service.fault.is_none() == well && !service.what.contains("connects") {
            Ok(service)
        } else {
            Err(format!("{service:?}"))
        }
    })
    .await
}

/// pika declares the queue without arguments before the engine does and after it, and its jobs complete;
/// what happened is told on the exchange, and the broker's figures are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_producer_with_pika() {
    let (bench, server) = (bench(), RabbitMq::start());
    let (first, second) = (new_id(), new_id());
    server.produce(&[message(&bench, first)]);
    let engine = engine(&bench, &server).await;
    let store = engine.store();
    stands(&engine, "events", true).await;
    let other = Other::new(&server).await;
    other.listen("ends", &format!("job.completed.{second}")).await;
    completed(store, first).await;
    server.produce(&[message(&bench, second)]);
    let job = completed(store, second).await;
    assert_once(store, &[first, second]).await;
    let (body, _) = other.next("ends").await;
    let entry: Entry = serde_json::from_slice(&body).unwrap();
    let output = job.output.unwrap();
    let what = What::Completed { sha256: output.sha256, bytes: output.bytes };
    assert_eq!((entry.job, entry.what), (Some(second), what));

    let policies = server.ctl(&["list_queues", "name", "policy", "durable", "arguments"]);
    assert!(
        policies.iter().any(|row| row == "video_jobs\tdvp-video-jobs\ttrue\t[]"),
        "{policies:?}"
    );
    let figures = wait("figures", || async {
        let figures = engine.queue().unwrap().figures(store.now().await.unwrap());
        let figures = figures.ok_or("none")?;
        let well = (figures.ready, figures.unacked, figures.consumers, figures.dead);
        if well == (0, 0, 1, 0) { Ok(figures) } else { Err(format!("{figures:?}")) }
    });
    assert_eq!(figures.await.name, "video_jobs");
    engine.shutdown(LIMIT).await;
}

/// Fault 15: the broker restarts again and again, in order and by a crash, while jobs are submitted.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_restarts_while_jobs_are_submitted() {
    let (bench, mut server) = (bench(), RabbitMq::start());
    let engine = engine(&bench, &server).await;
    let store = engine.store();
    let mut ids = Vec::new();
    for round in 0..4 {
        let other = Other::new(&server).await;
        for _ in 0..3 {
            let id = new_id();
            other.send(message(&bench, id).as_bytes()).await;
            ids.push(id);
        }
        if round % 2 == 0 {
            server.kill()
        } else {
            server.stop()
        }
        // A broker that is away never stops a job from elsewhere.
        let name = format!("direct-{round}.mkv");
        ids.push(bench.submit(store, &name, &[("convert.codec", "ffv1")]).await);
        server.begin();
    }
    for id in &ids {
        completed(store, *id).await;
    }
    drained(&server).await;
    assert_once(store, &ids).await;
    assert_eq!(server.count(DEAD), Some((0, 0)));
    engine.shutdown(LIMIT).await;
}

/// Fault 16: what was accepted does not depend on the queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_purged_queue_loses_no_accepted_job() {
    let (bench, server) = (bench(), RabbitMq::start());
    let engine = engine(&bench, &server).await;
    let other = Other::new(&server).await;
    let ids = [(); 5].map(|()| new_id());
    for id in ids {
        other.send(message(&bench, id).as_bytes()).await;
    }
    drained(&server).await;
    other.channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await.unwrap();
    for id in ids {
        completed(engine.store(), id).await;
    }
    assert_once(engine.store(), &ids).await;
    engine.shutdown(LIMIT).await;
}

/// Faults 17 and 22: every message comes five times, with bad ones between them. One job a message; each
/// bad one is a dead letter with its reason, also when it comes after the job has ended.
#[tokio::test(flavor = "multi_thread")]
async fn five_deliveries_make_one_job_and_poison_is_put_aside() {
    let (bench, server) = (bench(), RabbitMq::start());
    let engine = engine(&bench, &server).await;
    let other = Other::new(&server).await;
    let ids = [(); 3].map(|()| new_id());
    let poison = [
        ("not JSON".to_owned(), "no JSON"),
        (message_of(&bench, json!(17), json!({})), "job_id is no text"),
        (message_of(&bench, json!(new_id()), json!({"preset": "$(reboot)"})), "convert.preset"),
        (message_of(&bench, json!(new_id()), json!({"--mca": "x"})), "'--mca'"),
        (message_of(&bench, json!(new_id()), json!({"crf": "nan"})), "convert.crf"),
        (message_of(&bench, json!("../../etc"), json!({})), "no UUID"),
        ("[".repeat(10 << 20), "65536 are the most"),
    ];
    for (at, (bad, _)) in poison.iter().enumerate() {
        for id in &ids[..ids.len().min(at + 1)] {
            other.send(message(&bench, *id).as_bytes()).await;
        }
        other.send(bad.as_bytes()).await;
    }
    for id in ids {
        completed(engine.store(), id).await;
        other.send(message(&bench, id).as_bytes()).await;
    }
    drained(&server).await;
    for (bad, why) in &poison {
        let (body, reason) = other.next(DEAD).await;
        assert!(body == bad.as_bytes() && reason.contains(why), "{why} is not in: {reason}");
    }
    assert_eq!(server.count(DEAD), Some((0, 0)));
    assert_once(engine.store(), &ids).await;
    engine.shutdown(LIMIT).await;
}

/// Fault 18: the message is acknowledged at once, so the broker's timeout never sees a long job.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_longer_than_the_consumer_timeout() {
    let bench = Bench::slow();
    let server =
        RabbitMq::start_with("-rabbit consumer_timeout 500 -rabbit channel_tick_interval 1000");
    let engine = engine(&bench, &server).await;
    stands(&engine, "queue", true).await;
    let consumers = || server.ctl(&["list_consumers", "queue_name", "channel_pid", "consumer_tag"]);
    let before = consumers();
    let id = new_id();
    let params = json!({"output_format": "mkv", "preset": "veryslow", "chunk_frames": 12});
    let message = message_of(&bench, json!(id), params);
    Other::new(&server).await.send(message.as_bytes()).await;
    let job = completed(engine.store(), id).await;
    let took = job.finished_at.unwrap().since(job.started_at.unwrap());
    assert!(took > 2000, "the job took {took} ms: too short to prove anything");
    assert_once(engine.store(), &[id]).await;
    assert_eq!(consumers(), before);
    engine.shutdown(LIMIT).await;
}

/// Fault 19: the queue is deleted under the consumer.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_is_subscribed_again() {
    let (bench, server) = (bench(), RabbitMq::start());
    let engine = engine(&bench, &server).await;
    stands(&engine, "queue", true).await;
    let other = Other::new(&server).await;
    other.channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await.unwrap();
    wait("the queue with a consumer", || async {
        let rows = server.ctl(&["list_queues", "name", "consumers", "durable"]);
        match rows.iter().any(|row| row == "video_jobs\t1\ttrue") {
            true => Ok(()),
            false => Err(format!("{rows:?}")),
        }
    })
    .await;
    let id = new_id();
    other.send(message(&bench, id).as_bytes()).await;
    completed(engine.store(), id).await;
    let query = FeedQuery { limit: 1000, ..FeedQuery::default() };
    let entries = engine.store().feed_read(query).await.unwrap();
    let is_said = |entry: &Entry| match &entry.what {
        What::Alarm { reason } => reason.text.contains("was deleted"),
        _ => false,
    };
    assert_eq!(entries.iter().filter(|entry| is_said(entry)).count(), 1);
    engine.shutdown(LIMIT).await;
}

/// Fault 20: an engine that stands still holds no more than its prefetch, and after its connection was
/// closed under it with a thousand messages waiting it comes back with the same bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_messages_wait_while_the_consumer_reconnects() {
    let (bench, server) = (bench(), RabbitMq::start());
    let environment = [
        ("RMQ_HOST", "127.0.0.1".to_owned()),
        ("RMQ_PORT", server.port().to_string()),
        ("RMQ_USER", RabbitMq::USER.to_owned()),
        ("RMQ_PASSWORD", RabbitMq::PASSWORD.to_owned()),
        ("RMQ_MANAGEMENT_URL", server.management()),
    ];
    let process = EngineProcess::start_with(&bench, &environment);
    let consumers =
        || server.ctl(&["list_consumers", "queue_name", "channel_pid", "prefetch_count"]);
    let consumer = |not: Option<String>| {
        let consumers = &consumers;
        wait("a consumer", move || {
            let found = consumers().into_iter().find(|row| row.starts_with("video_jobs\t"));
            let found = found.filter(|row| Some(row) != not.as_ref());
            async move { found.ok_or_else(|| "none".to_owned()) }
        })
    };
    let before = consumer(None).await;
    assert!(before.ends_with("\t16"), "{before}");
    faults::freeze(process.0.id());
    let other = Other::new(&server).await;
    let id = new_id();
    for _ in 0..1000 {
        other.send(message(&bench, id).as_bytes()).await;
    }
    assert_eq!(server.count(QUEUE), Some((984, 16)));
    let connections = server.ctl(&["list_connections", "pid", "client_properties"]);
    for row in connections.iter().filter(|row| row.contains("dvp-engine")) {
        server.ctl(&["close_connection", row.split('\t').next().unwrap(), "a test"]);
    }
    wait("all messages back", || async {
        let count = server.count(QUEUE);
        if count == Some((1000, 0)) { Ok(()) } else { Err(format!("{count:?}")) }
    })
    .await;
    faults::signal(process.0.id(), rustix::process::Signal::CONT);
    let after = consumer(Some(before)).await;
    assert!(after.ends_with("\t16"), "{after}");
    wait("an empty queue", || async {
        let (ready, unacked) = server.count(QUEUE).unwrap();
        assert!(unacked <= 16, "{unacked} messages are out");
        if (ready, unacked) == (0, 0) { Ok(()) } else { Err(format!("{ready} ready")) }
    })
    .await;
    process.kill();
    let store = dvp_engine::Store::open(&StoreUrl::Sqlite(bench.database())).await.unwrap();
    let jobs = store.jobs_list(10).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
}

/// Fault 21: without a broker, and then without an exchange that the engine may write to, jobs go on, the
/// fault is shown, and no event is missing afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn events_wait_for_broker_and_exchange() {
    let (bench, mut server) = (bench(), RabbitMq::start());
    server.ctl(&["add_user", "engine", "word"]);
    server.ctl(&["set_permissions", "engine", ".*", ".*", ".*"]);
    let broker = dvp_engine::queue::Broker {
        user: "engine".into(),
        password: "word".into(),
        ..broker(&server)
    };
    let settings = Settings { broker: Some(broker), ..bench.settings() };
    let engine = Engine::start(settings).await.unwrap();
    let store = engine.store();
    stands(&engine, "events", true).await;
    Other::new(&server).await.listen("all", "#").await;
    let begin = store.feed_last().await.unwrap();

    server.stop();
    let fault = stands(&engine, "queue", false).await;
    assert!(fault.since.is_some(), "{fault:?}");
    let lossless = &[("convert.codec", "ffv1")];
    let first = bench.submit(store, "first.mkv", lossless).await;
    completed(store, first).await;
    server.begin();
    let other = Other::new(&server).await;
    received(&engine, &other, begin).await;

    let begin = store.feed_last().await.unwrap();
    let deleted = ExchangeDeleteOptions::default();
    other.channel.exchange_delete("dvp.events".into(), deleted).await.unwrap();
    let but_events = "^(amq\\.default|video_jobs.*)$";
    server.ctl(&["set_permissions", "engine", but_events, but_events, ".*"]);
    let second = bench.submit(store, "second.mkv", lossless).await;
    completed(store, second).await;
    let fault = stands(&engine, "events", false).await;
    assert!(fault.fault.unwrap().text.contains("dvp.events"));
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let (kind, table) = (ExchangeKind::Topic, FieldTable::default());
    let made = other.channel.exchange_declare("dvp.events".into(), kind, durable, table);
    made.await.unwrap();
    other.listen("all", "#").await;
    server.ctl(&["set_permissions", "engine", ".*", ".*", ".*"]);
    received(&engine, &other, begin).await;
    stands(&engine, "events", true).await;
    engine.shutdown(LIMIT).await;
}

/// Everything after `begin` that is no log line arrives, in order; a second copy is known by its number.
async fn received(engine: &Engine, other: &Other, begin: u64) {
    let query = FeedQuery { after: begin, limit: 1000, ..FeedQuery::default() };
    let entries = engine.store().feed_read(query).await.unwrap();
    let wanted: Vec<Entry> =
        entries.into_iter().filter(|entry| !matches!(entry.what, What::Log { .. })).collect();
    let mut seen: Vec<Entry> = Vec::new();
    while seen.len() < wanted.len() {
        let entry: Entry = serde_json::from_slice(&other.next("all").await.0).unwrap();
        if entry.seq > begin && seen.last().is_none_or(|last| last.seq < entry.seq) {
            seen.push(entry);
        }
    }
    assert_eq!(seen, wanted);
}

/// Fault 42: the database is away. The message stays, nothing is dead-lettered, and it becomes a job when
/// the database is back.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_away_while_messages_come() {
    let (bench, server) = (bench(), RabbitMq::start());
    let mut postgres = testbed::postgres::Postgres::start();
    let settings = Settings {
        store: StoreUrl::Postgres(postgres.url()),
        broker: Some(broker(&server)),
        ..bench.settings()
    };
    let engine = Engine::start(settings).await.unwrap();
    stands(&engine, "queue", true).await;
    let other = Other::new(&server).await;
    postgres.stop();
    let ids = [(); 3].map(|()| new_id());
    for id in ids {
        other.send(message(&bench, id).as_bytes()).await;
    }
    // Given back to the broker, and not asked for again while the database is away.
    let idle = wait("a consumer that gave up", || async {
        let services = engine.queue().unwrap().services(dvp_model::Millis(0));
        let fault = services.into_iter().find(|service| service.name == "queue").unwrap().fault;
        fault.ok_or_else(|| "no fault".to_owned())
    });
    assert!(idle.await.text.contains("takes no jobs"));
    wait("all messages back", || async {
        let count = server.count(QUEUE);
        if count == Some((3, 0)) { Ok(()) } else { Err(format!("{count:?}")) }
    })
    .await;
    assert_eq!(server.count(DEAD), Some((0, 0)));
    postgres.begin();
    for id in ids {
        completed(engine.store(), id).await;
    }
    drained(&server).await;
    assert_eq!(server.count(DEAD), Some((0, 0)));
    assert_once(engine.store(), &ids).await;
    // A second delivery of a job that has ended is no fault either.
    let again = submit::submit(
        engine.store(),
        dvp_model::wire::message::parse(message(&bench, ids[0]).as_bytes()).unwrap(),
    );
    assert_eq!(again.await.unwrap().id, ids[0]);
    engine.shutdown(Duration::from_secs(60)).await;
}
