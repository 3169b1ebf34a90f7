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
    let api = Api::new(&queue.broker);
    loop {
        let seen = match &api {
            Ok(api) => api.figures().await,
            Err(reason) => Err(reason.clone()),
        };
        if let Ok(Some(figures)) = &seen {
            queue.counted(figures.clone());
        }
        queue.saw(User::Depth, seen.map(drop));
        tokio::time::sleep(PACE).await;
    }
}

/// The management API, over connections that are kept.
pub(super) struct Api<'a> {
    broker: &'a Broker,
    client: reqwest::Client,
}

impl<'a> Api<'a> {
    pub(super) fn new(broker: &'a Broker) -> Result<Self, Reason> {
        let client = crate::client::http().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| Reason::bug(format!("no HTTP client: {error}")))?;
        Ok(Self { broker, client })
    }

    /// Lets the broker put into [`DEAD`] what it gives up itself. A policy of the operator's with a higher
    /// priority wins.
    pub(super) async fn set_policy(&self) -> Result<(), Reason> {
        let mut definition = json!({
            "dead-letter-exchange": "",
            "dead-letter-routing-key": DEAD,
        });
        // A classic queue has no such limit, and the broker ignores a policy that asks it for one.
        let kind = self.queue(QUEUE).await?.and_then(|queue| queue.get("type").cloned());
        if kind.is_some_and(|kind| kind == "quorum") {
            definition["delivery-limit"] = DELIVERY_LIMIT.into();
        }
        let policy = json!({
            "pattern": format!("^{}$", QUEUE),
            "apply-to": "queues",
            "priority": 0,
            "definition": definition,
        });
        let place = address(self.broker, "policies", POLICY)?;
        match self.send(self.client.put(place).json(&policy)).await? {
            Some(_) => Ok(()),
            None => Err(self.fault(format!("there is no virtual host {}", self.broker.vhost))),
        }
    }

    /// The figures of now; none while the broker has not counted yet.
    async fn figures(&self) -> Result<Option<QueueFigures>, Reason> {
        let Some(queue) = self.queue(QUEUE).await? else { return Ok(None) };
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
        let dead = self.queue(DEAD).await?.and_then(|dead| count(&dead, "messages"));
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
    async fn queue(&self, name: &str) -> Result<Option<Value>, Reason> {
        let request = self.client.get(address(self.broker, "queues", name)?);
        let Some(answer) = self.send(request).await? else { return Ok(None) };
        answer.json().await.map(Some).map_err(|error| self.fault(plainly(&error)))
    }

    /// The answer; none for 404.
    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Option<reqwest::Response>, Reason> {
        let request = request.basic_auth(&self.broker.user, Some(&self.broker.password));
        let answer = request.send().await.map_err(|error| self.fault(plainly(&error)))?;
        match answer.status().as_u16() {
            200..300 => Ok(Some(answer)),
            404 => Ok(None),
            401 => Err(self.fault(format!(
                "refuses the user {}: check RMQ_USER and RMQ_PASSWORD, and give it the tag monitoring",
                self.broker.user
            ))),
            other => Err(self.fault(format!("answers with status {other}"))),
        }
    }

    fn fault(&self, what: impl std::fmt::Display) -> Reason {
        fault(self.broker, what)
    }
}

fn fault(broker: &Broker, what: impl std::fmt::Display) -> Reason {
    Reason::machine(format!("RabbitMQ's management API at {}: {what}", broker.management))
}

/// Where the API keeps a thing of that kind and name; the virtual host is one part of the path.
fn address(broker: &Broker, kind: &str, name: &str) -> Result<reqwest::Url, Reason> {
    let url = reqwest::Url::parse(&broker.management);
    let mut url = url.map_err(|error| fault(broker, error))?;
    let parts = ["api", kind, &broker.vhost, name];
    url.path_segments_mut().map_err(|()| fault(broker, "no address"))?.pop_if_empty().extend(parts);
    Ok(url)
}

/// An error down to its root, which is what a person needs.
fn plainly(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_is_one_part_of_the_path() {
        let at = |vhost: &str| {
            let broker = Broker {
                host: "rabbitmq".into(),
                port: 5672,
                tls: false,
                user: "guest".into(),
                password: "guest".into(),
                vhost: vhost.into(),
                management: "http://rabbitmq:15672".into(),
            };
            address(&broker, "queues", QUEUE).unwrap().to_string()
        };
        assert_eq!(at("/"), "http://rabbitmq:15672/api/queues/%2F/video_jobs");
        assert_eq!(
            at("video jobs/é"),
            "http://rabbitmq:15672/api/queues/video%20jobs%2F%C3%A9/video_jobs"
        );
    }
}
