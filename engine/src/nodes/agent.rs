//! The ssh-agent that the engine's connections use: one of its own, which holds the cluster's key for as long
//! as the engine lives, or the user's. It is forwarded to the head, so that mpirun can go on from there and no
//! private key lies on any machine of the cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dvp_model::error::Reason;

use crate::engine::Engine;
use crate::exec::local::{self, ask};
use crate::exec::{Ended, Invocation, Said};

const PATIENCE: Duration = Duration::from_secs(10);

/// A running agent of ours.
#[derive(Debug)]
pub struct Agent {
    process: local::Process,
    socket: PathBuf,
}

/// The socket of the agent, which is started when there is none.
///
/// # Errors
/// When there is no key for it.
pub(super) async fn socket(engine: &Engine) -> Result<PathBuf, Reason> {
    let access = &engine.settings().access;
    let mut agent = engine.cluster.lines.agent.lock().await;
    if let Some(agent) = agent.as_mut()
        && matches!(agent.process.child.try_wait(), Ok(None))
    {
        return Ok(agent.socket.clone());
    }
    // A key that was named goes first; else the user's agent knows best.
    let users = async || {
        let socket = access.agent.as_ref()?;
        let said = add(&["-l"], socket).await.ok()?;
        said.is_good().then(|| socket.clone())
    };
    if access.key.is_none()
        && let Some(socket) = users().await
    {
        return Ok(socket);
    }
    match start(&super::line::sockets(engine), access.key.as_deref()).await {
        Ok(started) => {
            let socket = started.socket.clone();
            *agent = Some(started);
            Ok(socket)
        }
        // A key with a passphrase, say, which the user's agent has.
        Err(reason) => users().await.ok_or(reason),
    }
}

async fn start(sockets: &Path, key: Option<&Path>) -> Result<Agent, Reason> {
    // An agent that ends takes its socket's name away: no two have the same.
    let name = format!("agent.{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let socket = sockets.join(name);
    // The agent ends with the program that it was given, and cat with the engine.
    let process = local::spawn(&Invocation {
        program: "ssh-agent".into(),
        args: vec!["-a".into(), socket.clone().into(), "cat".into()],
        env: Vec::new(),
    })?;
    let agent = Agent { process, socket };
    let key: Vec<&str> = key.iter().filter_map(|key| key.to_str()).collect();
    // The agent's socket is there a moment after its start.
    for _ in 0..100 {
        let said = add(&key, &agent.socket).await?;
        match said.ended {
            Ended::Code(0) => return Ok(agent),
            Ended::Code(2) => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => return Err(no_key(key.first().copied(), &said)),
        }
    }
    Err(Reason::machine("ssh-agent does not start: is it installed (openssh-client)?"))
}

async fn add(args: &[&str], socket: &Path) -> Result<Said, Reason> {
    let invocation = Invocation {
        program: "ssh-add".into(),
        args: args.iter().map(Into::into).collect(),
        env: vec![("SSH_AUTH_SOCK".into(), socket.into())],
    };
    ask(&invocation, &[], PATIENCE).await
}

fn no_key(key: Option<&str>, said: &Said) -> Reason {
    let words = said.last_words();
    Reason::machine(match key {
        Some(key) => format!(
            "the key {key} can't be used: {words}; has it a passphrase, give it to an agent first: \
             'eval $(ssh-agent); ssh-add {key}'"
        ),
        None => "there is no ssh key for the nodes: make one with 'ssh-keygen -t ed25519', or name one in DVP_SSH_KEY"
            .to_owned(),
    })
}
