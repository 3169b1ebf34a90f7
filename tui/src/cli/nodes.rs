//! `nodes`: what the machines have and how they do; who is one of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dvp_engine::client::Client;
use dvp_engine::config::user_name;
use dvp_engine::host::Role;
use dvp_engine::nodes::inventory;
use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::{Duty, Link, Member};
use dvp_model::wire::api::{
    Errors, Mesh, NodeAdd, NodeCheck, NodeDrain, NodeRemove, NodeUndrain, Nodes, Status,
};
use serde_json::json;

use super::print::{self, Table};
use super::{Context, Outcome, climb};
use crate::widget::words;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List nodes
    List,
    /// Add a machine: tries everything that a node needs, and names what is missing
    Add(AddArguments),
    /// Add the machines of a hostfile: `[user@]host [slots=N] [port=N]`, one a line
    Import {
        /// The file
        file: PathBuf,
        /// Install missing packages with apt
        #[arg(long)]
        install: bool,
    },
    /// Try again everything that a node needs; one that was set aside gets work again
    Check(NameArguments),
    /// Give a node no more work; it finishes what it has
    Drain(NameArguments),
    /// Give a drained node work again
    Undrain(NameArguments),
    /// Forget a node
    Remove(NameArguments),
    /// Which nodes reach each other by SSH, as mpirun goes from one to the other
    Mesh,
}

#[derive(Debug, Args)]
struct AddArguments {
    /// `user@host`, or `host` for your own name there
    node: String,
    /// Port of its sshd
    #[arg(long, default_value_t = 22)]
    port: u16,
    /// Ranks that may run there at once [default: its usable cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: Option<u32>,
    /// Install missing packages with apt
    #[arg(long)]
    install: bool,
    /// Accept the host key with this fingerprint, once
    #[arg(long, value_name = "SHA256:...")]
    accept_key: Option<String>,
}

#[derive(Debug, Args)]
struct NameArguments {
    /// The node's name
    name: String,
}

/// `nodes`.
pub(super) async fn nodes(context: &Context, arguments: Arguments) -> Outcome {
    let Some(command) = arguments.command else { return list(context).await };
    match command {
        Command::List => return list(context).await,
        Command::Mesh => return mesh(context).await,
        _ => {}
    }
    let attached = context.attach(Role::Background).await?;
    let client = &attached.client;
    match command {
        Command::List | Command::Mesh => Ok(0),
        Command::Add(add) => {
            let user = user_name();
            let (user, host) = add.node.split_once('@').unwrap_or((&user, &add.node));
            let call = NodeAdd {
                name: NodeName(host.to_owned()),
                user: user.to_owned(),
                port: add.port,
                slots: add.slots,
                install: add.install,
                accept_key: add.accept_key,
            };
            climb::add(context, client, call).await
        }
        Command::Import { file, install } => import(context, client, &file, install).await,
        Command::Check(of) => {
            climb::check(context, client, NodeCheck { name: NodeName(of.name) }).await
        }
        Command::Drain(of) => show_member(
            context,
            &client.call(&NodeDrain { name: NodeName(of.name) }).await?,
            "drained",
        ),
        Command::Undrain(of) => {
            let member = client.call(&NodeUndrain { name: NodeName(of.name) }).await?;
            show_member(context, &member, "given work again")
        }
        Command::Remove(of) => {
            let member = client.call(&NodeRemove { name: NodeName(of.name) }).await?;
            show_member(context, &member, "removed")
        }
    }
}

/// Adds what a hostfile lists. The exit code is that of the first machine that did not come to the top.
async fn import(
    context: &Context,
    client: &Client,
    file: &std::path::Path,
    install: bool,
) -> Outcome {
    let wrong = |why: String| Reason::spec(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let adds = inventory::parse(&text, &user_name()).map_err(|reason| wrong(reason.text))?;
    let mut errors = Vec::new();
    for add in adds {
        if !context.json {
            print::out(&add.name.0)?;
        }
        let done = climb::add(context, client, NodeAdd { install, ..add }).await;
        errors.extend(done.err().into_iter().flat_map(|all| all.errors));
    }
    if errors.is_empty() { Ok(0) } else { Err(Errors { errors }) }
}

fn show_member(context: &Context, member: &Member, what: &str) -> Outcome {
    if context.json {
        print::out_json(&json!(member))?;
    } else {
        print::out(&format!("{} {what}", member.name))?;
    }
    Ok(0)
}

/// `nodes mesh`.
async fn mesh(context: &Context) -> Outcome {
    let client = context.attach(Role::Look).await?.client;
    let pairs = client.call(&Mesh {}).await?;
    if context.json {
        print::out_json(&json!(pairs))?;
        return Ok(0);
    }
    let now = client.call(&Status {}).await?.at;
    let mut table = Table::new(&["FROM", "TO", "SSH", ">AGE"]);
    for pair in &pairs {
        let (link, age) = match &pair.link {
            Link::Local => ("local".to_owned(), "-".to_owned()),
            Link::Up { rtt_ms, at } => (format!("{rtt_ms} ms"), print::span(now.since(*at))),
            Link::Down { reason, at } => (format!("down: {reason}"), print::span(now.since(*at))),
        };
        table.row([pair.from.to_string(), pair.to.to_string(), link, age]);
    }
    table.print()?;
    Ok(0)
}

/// `nodes` without more.
async fn list(context: &Context) -> Outcome {
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
