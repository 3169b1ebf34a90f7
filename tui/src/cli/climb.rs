//! The way up to a node, live: each rung as it is climbed, and the question whether a host key is the right one.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use dvp_engine::client::Client;
use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::{Climb, Rung};
use dvp_model::wire::api::{Call, Climbs, Errors, NodeAdd, NodeCheck};
use serde_json::json;

use super::print;
use super::{Context, Outcome};
use crate::terminal;

/// How often the engine is asked how far it is.
const PACE: Duration = Duration::from_millis(300);

/// `nodes add`, with the question about an unknown host key where somebody can answer it.
pub(super) async fn add(context: &Context, client: &Client, mut call: NodeAdd) -> Outcome {
    let mut told = BTreeSet::new();
    loop {
        let climb = climb(context, client, &call, &call.name.clone(), &mut told).await?;
        let Some(key) = climb.shown_key.clone().filter(|_| call.accept_key.is_none()) else {
            return end(context, &climb);
        };
        if context.json || !terminal::is_there() || !asked(&climb, &key).await? {
            return end(context, &climb);
        }
        call.accept_key = Some(key);
        told.remove("host key");
    }
}

/// `nodes check`.
pub(super) async fn check(context: &Context, client: &Client, call: NodeCheck) -> Outcome {
    let climb = climb(context, client, &call, &call.name.clone(), &mut BTreeSet::new()).await?;
    end(context, &climb)
}

/// Climbs, and prints each rung that was not `told` before as soon as the engine has it.
async fn climb<C: Call<Reply = Climb>>(
    context: &Context,
    client: &Client,
    call: &C,
    name: &NodeName,
    told: &mut BTreeSet<String>,
) -> Result<Climb, Errors> {
    let whole = client.call(call);
    tokio::pin!(whole);
    // What the engine still says of an earlier climb is none of ours.
    let mut begun = false;
    let climb = loop {
        tokio::select! {
            climb = &mut whole => break climb?,
            () = tokio::time::sleep(PACE) => {}
        }
        let climbs = client.call(&Climbs {}).await.unwrap_or_default();
        let Some(climb) = climbs.into_iter().find(|climb| climb.name == *name) else { continue };
        begun |= !climb.is_done;
        if begun && !context.json {
            tell(&climb.rungs, told)?;
        }
    };
    if !context.json {
        tell(&climb.rungs, told)?;
    }
    Ok(climb)
}

fn tell(rungs: &[Rung], told: &mut BTreeSet<String>) -> Result<(), Reason> {
    for rung in rungs {
        if !told.insert(rung.name.clone()) {
            continue;
        }
        let (mark, what) = match &rung.found {
            Ok(found) => ("ok    ", found.as_str()),
            Err(_) => ("FAILED", "see below"),
        };
        let took = rung.took_ms as f64 / 1000.0;
        print::out(&format!("{mark}  {:<9} {took:>5.1} s  {what}", rung.name))?;
    }
    Ok(())
}

/// Whether the person at the terminal knows this key.
async fn asked(climb: &Climb, key: &str) -> Result<bool, Reason> {
    let fault = climb.fault().map(|reason| reason.text.clone()).unwrap_or_default();
    let question = format!(
        "{} shows the host key\n  {key}\nOn that machine 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' prints the right one.{}\n\
         Accept it, once and for all? [y/N] ",
        climb.name,
        if fault.contains("another than") {
            "\nIt is ANOTHER key than the one accepted before."
        } else {
            ""
        }
    );
    let answer = tokio::task::spawn_blocking(move || {
        let mut err = std::io::stderr();
        let _ = write!(err, "{question}").and_then(|()| err.flush());
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    match answer.await {
        Ok(Ok(line)) => Ok(matches!(line.trim(), "y" | "Y" | "yes")),
        _ => Err(Reason::machine("the answer can't be read")),
    }
}

/// The failing rung is the command's error.
pub(super) fn end(context: &Context, climb: &Climb) -> Outcome {
    if context.json {
        print::out_json(&json!(climb))?;
    }
    match climb.fault() {
        Some(reason) => Err(reason.clone().into()),
        None => Ok(0),
    }
}
