//! An ssh-agent of the engine's own: holds the cluster's key for as long as the engine runs, so that mpirun
//! can go on from the head to the other machines and no private key lies on any of them.

use std::path::PathBuf;
use std::time::Duration;

use dvp_model::error::Reason;

use crate::engine::Engine;
use crate::exec::{Invocation, local};

/// A running agent; it ends when this is dropped.
#[derive(Debug)]
pub struct Agent {
    process: local::Process,
    socket: PathBuf,
}

/// The socket of the engine's agent, which is started when there is none.
///
/// # Errors
/// When there is no ssh-agent, or no key for it.
pub(crate) async fn socket(engine: &Engine) -> Result<PathBuf, Reason> {
    let mut agent = engine.cluster.agent.lock().await;
    if let Some(agent) = agent.as_mut()
        && matches!(agent.process.child.try_wait(), Ok(None))
    {
        return Ok(agent.socket.clone());
    }
    let started = start(engine).await?;
    let socket = started.socket.clone();
    *agent = Some(started);
    Ok(socket)
}

async fn start(engine: &Engine) -> Result<Agent, Reason> {
    let inside = engine.settings().data_dir.join("agent.sock");
    let socket = match inside.as_os_str().len() {
        ..=100 => inside,
        _ => std::env::temp_dir().join(format!("dvp-agent.{}", uuid::Uuid::new_v4().simple())),
    };
    let _ = std::fs::remove_file(&socket);
    let invocation = Invocation {
        program: "ssh-agent".into(),
        args: vec!["-D".into(), "-a".into(), socket.clone().into()],
        env: Vec::new(),
    };
    let process = local::spawn(&invocation)?;
    let agent = Agent { process, socket };
    let add = Invocation {
        program: "ssh-add".into(),
        args: engine.settings().access.key.iter().map(Into::into).collect(),
        env: vec![("SSH_AUTH_SOCK".into(), agent.socket.clone().into())],
    };
    let mut words = String::new();
    // The agent's socket is there a moment after its start.
    for _ in 0..100 {
        let said = local::ask(&add, &[], Duration::from_secs(10)).await?;
        match said.code {
            Some(0) => return Ok(agent),
            Some(2) => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => return Err(no_key(said.last_words())),
        }
        words = said.last_words().to_owned();
    }
    Err(no_key(&words))
}

fn no_key(words: &str) -> Reason {
    Reason::machine(format!(
        "no ssh key for the nodes: {words}; make one with 'ssh-keygen -t ed25519', or name one in DVP_SSH_KEY"
    ))
}
