//! `nodes`: what the machines have and how they do.

use dvp_engine::host::Role;
use dvp_model::node::{Duty, Link};
use dvp_model::wire::api::{Nodes, Status};
use serde_json::json;

use super::print::{self, Table};
use super::{Context, Outcome};
use crate::widget::words;

/// `nodes`.
pub(super) async fn list(context: &Context) -> Outcome {
    let client = context.attach(Role::Look).await?.client;
    let nodes = client.call(&Nodes {}).await?;
    if context.json {
        print::out_json(&json!(nodes))?;
        return Ok(0);
    }
    let now = client.call(&Status {}).await?.at;
    let mut table = Table::new(&[
        "NODE",
        "DUTY",
        "SSH",
        ">SLOTS",
        ">CORES",
        ">CPU",
        ">LOAD",
        ">MEMORY",
        ">DISK FREE",
        "OPEN MPI",
        "WORKER",
        ">AGE",
    ]);
    for node in &nodes {
        let duty = match &node.duty {
            Duty::Active => "active".to_owned(),
            Duty::Draining => "draining".to_owned(),
            Duty::SetAside(reason) => format!("set aside: {reason}"),
        };
        let link = match &node.link {
            Link::Local => "local".to_owned(),
            Link::Up { rtt_ms, .. } => format!("{rtt_ms} ms"),
            Link::Down { reason, .. } => format!("down: {reason}"),
        };
        let health = node.health.as_ref();
        let of = |text: fn(&dvp_model::node::Health) -> String| health.map_or("-".into(), text);
        table.row([
            node.name.to_string(),
            duty,
            link,
            format!("{}/{}", node.slots_used, node.slots),
            of(|health| health.cores.to_string()),
            of(|health| format!("{:.0} %", health.cpu * 100.0)),
            of(|health| format!("{:.2}", health.load1)),
            of(|health| {
                let used = health.memory_total.saturating_sub(health.memory_available);
                format!("{} of {}", words::bytes(used), words::bytes(health.memory_total))
            }),
            of(|health| words::bytes(health.disk_free)),
            of(|health| or_missing(&health.mpi)),
            of(|health| or_missing(&health.fingerprint.chars().take(12).collect::<String>())),
            health.map_or("-".into(), |health| print::span(now.since(health.at))),
        ]);
    }
    table.print()?;
    Ok(0)
}

fn or_missing(text: &str) -> String {
    if text.is_empty() { "missing".to_owned() } else { text.to_owned() }
}
