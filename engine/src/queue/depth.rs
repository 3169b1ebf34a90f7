//! Depth and rates of the queue, and its policy, through RabbitMQ's management API. AMQP can't tell what
//! is unacknowledged, and a queue's arguments are its first declarer's: limits go into a policy.

use std::sync::Arc;
use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::time::Millis;
use dvp_model::wire::api::QueueFigures;
use serde_json::{Value, json};

use super::{Broker, DEAD, QUEUE, Queue, User};

/// How often the figures are taken; the broker renews them every 5 s.
const PACE: Duration = Duration::from_secs(2);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The policy's name, and how often a quorum queue may deliver a message before it is a dead letter.
const POLICY: &str = "dvp-video-jobs";
const DELIVERY_LIMIT: u32 = 20;

/// Takes figures for as long as the engine runs.
pub(super) async fn serve(queue: Arc<Queue>) {
    loop {
        let seen = match figures(&queue.broker).await {
            Ok(figures) => {
                if let Some(figures) = figures {
                    queue.counted(figures);
                }
                Ok(())
            }
            Err(reason) => Err(reason),
        };
        queue.saw(User::Depth, seen);
        tokio::time::sleep(PACE).await;
    }
}

/// Lets the broker put into [`DEAD`] what it gives up itself. A policy of the operator's with a higher
/// priority wins.
pub(super) async fn set_policy(broker: &Broker) -> Result<(), Reason> {
    let mut definition = json!({
        "dead-letter-exchange": "",
        "dead-letter-routing-key": DEAD,
    });
    // A classic queue has no such limit, and the broker ignores a policy that asks it for one.
    let kind = queue(broker, QUEUE).await?.and_then(|queue| queue.get("type").cloned());
    if kind.is_some_and(|kind| kind == "quorum") {
        definition["delivery-limit"] = DELIVERY_LIMIT.into();
    }
    let policy = json!({
        "pattern": format!("^{}$", QUEUE),
        "apply-to": "queues",
        "priority": 0,
        "definition": definition,
    });
    let path = format!("policies/{}/{POLICY}", encoded(&broker.vhost));
    let request = client()?.put(format!("{}/api/{path}", broker.management)).json(&policy);
    match send(broker, request).await? {
        Some(_) => Ok(()),
        None => Err(fault(broker, format!("there is no virtual host {}", broker.vhost))),
    }
}

/// The figures of now; none while the broker has not counted yet.
async fn figures(broker: &Broker) -> Result<Option<QueueFigures>, Reason> {
    let Some(queue) = queue(broker, QUEUE).await? else { return Ok(None) };
    let count = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
    let rate = |name: &str| {
        let stats = queue.get("message_stats").and_then(|stats| stats.get(name));
        stats.and_then(|stats| stats.get("rate")).and_then(Value::as_f64).unwrap_or(0.0)
    };
    let (Some(ready), Some(unacked)) =
        (count(&queue, "messages_ready"), count(&queue, "messages_unacknowledged"))
    else {
        return Ok(None);
    };
    let dead = self::queue(broker, DEAD).await?.and_then(|dead| count(&dead, "messages"));
    Ok(Some(QueueFigures {
        name: QUEUE.to_owned(),
        ready,
        unacked,
        consumers: count(&queue, "consumers").unwrap_or(0),
        in_per_s: rate("publish_details"),
        out_per_s: rate("ack_details"),
        dead: dead.unwrap_or(0),
        at: Millis(0),
    }))
}

/// What the API knows of a queue; none when there is no such queue.
async fn queue(broker: &Broker, name: &str) -> Result<Option<Value>, Reason> {
    let path = format!("queues/{}/{name}", encoded(&broker.vhost));
    let request = client()?.get(format!("{}/api/{path}", broker.management));
    let Some(answer) = send(broker, request).await? else { return Ok(None) };
    let queue = answer.json().await;
    queue.map(Some).map_err(|error| fault(broker, plainly(&error)))
}

/// The answer; none for 404.
async fn send(
    broker: &Broker,
    request: reqwest::RequestBuilder,
) -> Result<Option<reqwest::Response>, Reason> {
    let request = request.basic_auth(&broker.user, Some(&broker.password));
    let answer = request.send().await.map_err(|error| fault(broker, plainly(&error)))?;
    match answer.status().as_u16() {
        200..300 => Ok(Some(answer)),
        404 => Ok(None),
        401 => Err(fault(
            broker,
            format!(
                "refuses the user {}: check RMQ_USER and RMQ_PASSWORD, and give it the tag monitoring",
                broker.user
            ),
        )),
        other => Err(fault(broker, format!("answers with status {other}"))),
    }
}

fn client() -> Result<reqwest::Client, Reason> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    client.map_err(|error| Reason::bug(format!("no HTTP client: {error}")))
}

fn fault(broker: &Broker, what: impl std::fmt::Display) -> Reason {
    Reason::machine(format!("RabbitMQ's management API at {}: {what}", broker.management))
}

/// An error down to its root, which is what a person needs.
fn plainly(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// A virtual host as part of a path.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                encoded.push(byte.into());
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_is_one_part_of_the_path() {
        assert_eq!(encoded("/"), "%2F");
        assert_eq!(encoded("video jobs/é"), "video%20jobs%2F%C3%A9");
    }
}
