//! Programs on another machine: the same invocation, as a session of the OpenSSH client. One master process a
//! connection, started like every other program of ours (cleared environment, a process group of its own,
//! gone with the engine); its sessions are `openssh`'s.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dvp_model::error::Reason;
use openssh::{Error, Session, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Semaphore;

use super::{Ended, Invocation, Running, Said, local};

/// How a machine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Host name or address.
    pub address: String,
    /// Port of its sshd.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// Files with host keys that are trusted; nothing else is.
    pub known_hosts: Vec<PathBuf>,
    /// The accepted host key, if it is one of our own: another one is another host.
    pub host_key: String,
    /// The private key; none: those of the agent.
    pub key: Option<PathBuf>,
    /// The agent that holds the keys.
    pub agent: PathBuf,
    /// The agent is forwarded: for what goes on to other machines from there.
    pub forward: bool,
}

/// Options that every connection has: no questions, no unknown host key, and a dead link is noticed.
pub const STRICT: &[&str] = &[
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "PasswordAuthentication=no",
    "ConnectTimeout=8",
    "ServerAliveInterval=4",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "LogLevel=ERROR",
];

/// Time from the start of a connection to its first word.
const OPENING: Duration = Duration::from_secs(20);

/// Sessions at once on a connection: sshd refuses the eleventh, and one is the connection's own.
const SESSIONS: usize = 6;

/// What the connection's own session says before it waits for its end. Where the agent is forwarded, its
/// socket there comes behind.
const GREETING: &str = "dvp-ready ";

/// A connection to a machine. It ends when this is dropped, and when the engine dies.
#[derive(Debug)]
pub struct Connection {
    host: Host,
    session: Arc<Session>,
    room: Semaphore,
    /// The forwarded agent's socket on the machine; empty when none is forwarded.
    agent_there: String,
    folder: PathBuf,
    _master: local::Process,
}

impl Connection {
    /// Connects; `env` is the local process's. Its control socket lies in a folder of its own in `sockets`.
    ///
    /// # Errors
    /// In ssh's own words why not.
    pub async fn open(
        host: &Host,
        sockets: &Path,
        env: Vec<(OsString, OsString)>,
    ) -> Result<Self, Reason> {
        let folder = sockets.join(&uuid::Uuid::new_v4().simple().to_string()[..12]);
        private_folder(&folder)?;
        let opened = master(host, &folder, env).await;
        if opened.is_err() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        let (master, agent_there) = opened?;
        let socket = folder.join("socket").into_boxed_path();
        let session = Arc::new(Session::resume_mux(socket, None));
        let room = Semaphore::new(SESSIONS);
        Ok(Self { host: host.clone(), session, room, agent_there, folder, _master: master })
    }

    /// Where it leads.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether its master still stands; whether the machine answers only a session tells.
    pub async fn is_alive(&self) -> bool {
        let check = tokio::time::timeout(Duration::from_secs(2), self.session.check());
        matches!(check.await, Ok(Ok(())))
    }

    /// The forwarded agent's socket on the machine; empty when none is forwarded.
    pub fn agent_there(&self) -> &str {
        &self.agent_there
    }

    /// Starts a program there. Its environment's own variables travel in the command, so nothing secret may
    /// be among them. The connection lives at least as long as the program.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn start(self: &Arc<Self>, invocation: &Invocation) -> Result<Running, Reason> {
        let mut command = self.session.clone().arc_raw_command(command(invocation));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let gone = |error: Error| Reason::machine(format!("the connection is gone: {error}"));
        let mut child = command.spawn().await.map_err(gone)?;
        let streams = (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(Reason::bug("a session came without pipes"));
        };
        let connection = self.clone();
        let end = async move {
            let ended = match child.wait().await {
                Ok(status) => status.code().map_or(Ended::Unknown, Ended::Code),
                // The shell's word for a program that is not there, or lacks a library.
                Err(Error::Remote(_)) => Ended::Code(127),
                Err(_) => Ended::Unknown,
            };
            drop(connection);
            ended
        };
        Ok(Running {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            end: Box::pin(end),
        })
    }

    /// Runs a program there to its end, at most for `patience`; waits for room among the sessions first.
    ///
    /// # Errors
    /// When the connection is gone, or the program is not done in time.
    pub async fn ask(
        self: &Arc<Self>,
        invocation: &Invocation,
        input: &[u8],
        patience: Duration,
    ) -> Result<Said, Reason> {
        let _place = self.room.acquire().await;
        let started = tokio::time::timeout(patience, self.start(invocation));
        let running = started
            .await
            .map_err(|_| Reason::machine(format!("no answer in {} s", patience.as_secs())))??;
        running.ask(input, patience).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Makes a folder that only we may enter.
///
/// # Errors
/// When it can't be made.
pub fn private_folder(folder: &Path) -> Result<(), Reason> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Reason::machine(format!("{} can't be made: {error}", folder.display())))
}

/// Starts the master of a connection and hears its first word: the agent's socket there.
async fn master(
    host: &Host,
    folder: &Path,
    env: Vec<(OsString, OsString)>,
) -> Result<(local::Process, String), Reason> {
    let log = folder.join("log");
    let mut process = local::spawn(&connecting(host, folder, env))?;
    let mut lines = BufReader::new(&mut process.stdout).lines();
    let greeting = async {
        // A shell's start-up files may say something first.
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(agent) = line.strip_prefix(GREETING) {
                return Some(agent.trim().to_owned());
            }
        }
        None
    };
    match tokio::time::timeout(OPENING, greeting).await {
        Ok(Some(agent)) => Ok((process, agent)),
        Ok(None) => {
            let _ = process.child.wait().await;
            let words = std::fs::read_to_string(&log).unwrap_or_default();
            Err(Reason::machine(last_words(&words)))
        }
        Err(_) => Err(Reason::machine(format!("no answer in {} s", OPENING.as_secs()))),
    }
}

/// What ssh's log says at its end, without what leads nowhere.
fn last_words(log: &str) -> String {
    let line = log.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or("the connection was closed");
    dvp_model::path::printable(line.strip_prefix("ssh: ").unwrap_or(line))
}

/// The client that holds a connection. Its own session waits for the end of its input, and so of the engine.
fn connecting(host: &Host, folder: &Path, mut env: Vec<(OsString, OsString)>) -> Invocation {
    let mut args: Vec<OsString> = ["-F", "none", "-T", "-M", "-S"].map(Into::into).into();
    args.extend([folder.join("socket").into(), "-E".into(), folder.join("log").into()]);
    let mut option = |text: OsString| args.extend(["-o".into(), text]);
    STRICT.iter().for_each(|text| option(text.into()));
    option("ControlPersist=no".into());
    let mut known = OsString::from("UserKnownHostsFile=");
    for (position, file) in host.known_hosts.iter().enumerate() {
        known.push(if position > 0 { " \"" } else { "\"" });
        known.push(file);
        known.push("\"");
    }
    option(known);
    option(if host.forward { "ForwardAgent=yes" } else { "ForwardAgent=no" }.into());
    if let Some(key) = &host.key {
        option("IdentitiesOnly=yes".into());
        args.extend(["-i".into(), key.into()]);
    }
    args.extend(["-p".into(), host.port.to_string().into()]);
    args.extend(["-l".into(), (&host.user).into(), "--".into(), (&host.address).into()]);
    args.push(command(&script(&format!(
        "printf '{GREETING}%s\\n' \"$SSH_AUTH_SOCK\"; exec cat >/dev/null"
    ))));
    env.push(("SSH_AUTH_SOCK".into(), (&host.agent).into()));
    Invocation { program: "ssh".into(), args, env }
}

/// A shell script on a machine.
pub fn script(text: &str) -> Invocation {
    Invocation { program: "/bin/sh".into(), args: vec!["-c".into(), text.into()], env: Vec::new() }
}

/// One line for the login shell of the other side.
fn command(invocation: &Invocation) -> OsString {
    let mut line = OsString::from("exec");
    if !invocation.env.is_empty() {
        line.push(" env");
        for (name, value) in &invocation.env {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            line.push(" ");
            line.push(quoted(&pair));
        }
    }
    for word in std::iter::once(invocation.program.as_os_str())
        .chain(invocation.args.iter().map(OsString::as_os_str))
    {
        line.push(" ");
        line.push(quoted(word));
    }
    line
}

/// A word that a shell takes as it is.
pub fn quoted(word: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = word.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return word.to_owned();
    }
    let mut out = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argv_is_strict_and_quoted() {
        let host = Host {
            address: "n1".into(),
            port: 2222,
            user: "mpi".into(),
            known_hosts: vec!["/d/known".into(), "/e/more".into()],
            host_key: String::new(),
            key: Some("/k".into()),
            agent: "/a".into(),
            forward: false,
        };
        let outer = connecting(&host, "/s".as_ref(), vec![("DVP_RUN".into(), "x.1".into())]);
        let words: Vec<&str> = outer.args.iter().map(|word| word.to_str().unwrap()).collect();
        assert!(words.contains(&"StrictHostKeyChecking=yes") && words.contains(&"BatchMode=yes"));
        assert!(words.contains(&"UserKnownHostsFile=\"/d/known\" \"/e/more\""));
        assert!(words.contains(&"ForwardAgent=no"));
        let tail = words[words.len() - 8..words.len() - 1].join("|");
        assert_eq!(tail, "/k|-p|2222|-l|mpi|--|n1");
        let env = [("DVP_RUN", "x.1"), ("SSH_AUTH_SOCK", "/a")];
        assert_eq!(outer.env, env.map(|(name, value)| (name.into(), value.into())));
        let with = connecting(&Host { forward: true, ..host }, "/s".as_ref(), Vec::new());
        assert!(with.args.contains(&"ForwardAgent=yes".into()));

        let inner = Invocation {
            program: "mpirun".into(),
            args: vec!["-np".into(), "it's $HOME".into(), "".into()],
            env: vec![("DVP_RUN".into(), "x.1".into())],
        };
        assert_eq!(command(&inner), "exec env DVP_RUN=x.1 mpirun -np 'it'\\''s $HOME' ''");
    }

    #[test]
    fn ssh_is_quoted_in_its_last_line() {
        let log = "Warning: x\nssh: connect to host n1 port 22: Connection refused\n";
        assert_eq!(last_words(log), "connect to host n1 port 22: Connection refused");
        assert_eq!(last_words("\n"), "the connection was closed");
    }
}
