//! What the engine counts, in Prometheus' text format: `GET /metrics`.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use dvp_model::job::StateName;
use dvp_model::node::{Duty, Link, Node};
use dvp_model::wire::api::StatusReply;

use super::answer::Refusal;
use super::openapi::{Answer, Description, Plain};
use super::routes::{self, App};

const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Adds this to a description.
pub(super) fn describe(description: &mut Description) {
    description.plain(Plain {
        method: "get",
        path: "/metrics",
        name: "Metrics",
        about: "What the engine counts, for Prometheus",
        answer: Answer::Bytes("text/plain"),
        query: Vec::new(),
        body: None,
        guarded: true,
    });
}

/// The figures of now.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    match routes::status(&app).await {
        Ok(status) => {
            let text = text(&status, &routes::nodes(&app).await);
            ([(header::CONTENT_TYPE, MEDIA)], text).into_response()
        }
        Err(reason) => Refusal::from(reason).into_response(),
    }
}

struct Page(String);

impl Page {
    /// One figure: its name, what it is, its kind, and each value with its labels.
    fn figure(
        &mut self,
        name: &str,
        about: &str,
        values: impl IntoIterator<Item = (Vec<(&'static str, String)>, f64)>,
    ) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        let _ = write!(self.0, "# HELP dvp_{name} {about}\n# TYPE dvp_{name} {kind}\n");
        for (labels, value) in values {
            let labels: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
            let labels = match labels.is_empty() {
                true => String::new(),
                false => format!("{{{}}}", labels.join(",")),
            };
            let _ = writeln!(self.0, "dvp_{name}{labels} {value}");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// States that always have a line, so that a figure that falls to zero is seen to.
const STATES: &[StateName] = &[
    StateName::Queued,
    StateName::Running,
    StateName::Waiting,
    StateName::Holding,
    StateName::Held,
    StateName::Cancelling,
    StateName::Completed,
    StateName::Failed,
    StateName::Cancelled,
];

fn text(status: &StatusReply, nodes: &[Node]) -> String {
    let mut page = Page(String::new());
    let bare = |value: f64| [(Vec::new(), value)];
    let label = |key, value: &str| vec![(key, value.to_owned())];
    page.figure("info", "This engine.", [(label("version", &status.version), 1.0)]);
    page.figure(
        "started_seconds",
        "When this engine began to serve, seconds since 1970.",
        bare(status.started_at.0 as f64 / 1000.0),
    );
    page.figure("feed_entries_total", "Entries of the feed ever.", bare(status.last_seq as f64));
    let jobs = STATES.iter().map(|state| {
        let count = status.counts.get(state.as_str()).copied().unwrap_or(0);
        (label("state", state.as_str()), count as f64)
    });
    page.figure("jobs", "Jobs by state.", jobs);
    let services = status.services.iter().map(|service| {
        let works = if service.fault.is_none() { 1.0 } else { 0.0 };
        (label("service", &service.name), works)
    });
    page.figure("service_up", "1 where the service worked when last asked.", services);
    if let Some(queue) = &status.queue {
        let counts = [("ready", queue.ready), ("unacked", queue.unacked), ("dead", queue.dead)];
        let counts = counts.map(|(kind, count)| (label("kind", kind), count as f64));
        page.figure("queue_messages", "Messages of the queue video_jobs.", counts);
        page.figure("queue_consumers", "Consumers of the queue.", bare(queue.consumers as f64));
    }
    let each = |value: &dyn Fn(&Node) -> Option<f64>| -> Vec<(Vec<(&'static str, String)>, f64)> {
        nodes.iter().filter_map(|node| Some((label("node", &node.name.0), value(node)?))).collect()
    };
    let yes = |it: bool| Some(if it { 1.0 } else { 0.0 });
    page.figure(
        "node_up",
        "1 where the node could be reached when last tried.",
        each(&|node| yes(!matches!(node.link, Link::Down { .. }))),
    );
    page.figure(
        "node_active",
        "1 where the node is given work.",
        each(&|node| yes(node.duty == Duty::Active)),
    );
    page.figure("node_slots", "Ranks that may run there.", each(&|node| Some(node.slots.into())));
    page.figure(
        "node_slots_used",
        "Ranks that run there.",
        each(&|node| Some(node.slots_used.into())),
    );
    let health =
        |value: fn(&dvp_model::node::Health) -> f64| each(&|node| node.health.as_ref().map(value));
    page.figure("node_cpu_busy", "Share of its cores that was busy.", health(|it| it.cpu));
    page.figure("node_load1", "Its load average over a minute.", health(|it| it.load1));
    page.figure(
        "node_memory_available_bytes",
        "Memory that can be had.",
        health(|it| it.memory_available as f64),
    );
    page.figure(
        "node_disk_free_bytes",
        "Free space where chunks lie.",
        health(|it| it.disk_free as f64),
    );
    page.0
}
