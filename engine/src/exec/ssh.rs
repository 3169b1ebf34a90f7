//! Programs on another machine: the same invocation, as arguments of the OpenSSH client. Pure; `local`
//! starts what comes out. Each call has a connection of its own: a master shared by many refuses sessions.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::Invocation;

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
    /// The private key; none: those that ssh finds by itself.
    pub key: Option<PathBuf>,
    /// The agent that is forwarded, if any: for what goes on to other machines from there.
    pub agent: Option<PathBuf>,
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
    "ControlMaster=no",
    "ControlPath=none",
    "ClearAllForwardings=yes",
    "LogLevel=ERROR",
];

/// `invocation` on `host`. Its environment's own variables travel in the command, so nothing secret may be
/// among them.
pub fn over(host: &Host, invocation: &Invocation) -> Invocation {
    let mut args: Vec<OsString> = vec!["-F".into(), "none".into(), "-T".into()];
    let mut option = |text: OsString| args.extend(["-o".into(), text]);
    STRICT.iter().for_each(|text| option(text.into()));
    let mut known = OsString::from("UserKnownHostsFile=");
    for (position, file) in host.known_hosts.iter().enumerate() {
        known.push(if position > 0 { " \"" } else { "\"" });
        known.push(file);
        known.push("\"");
    }
    option(known);
    option(if host.agent.is_some() { "ForwardAgent=yes" } else { "ForwardAgent=no" }.into());
    if let Some(key) = &host.key {
        option("IdentitiesOnly=yes".into());
        args.extend(["-i".into(), key.into()]);
    }
    args.extend(["-p".into(), host.port.to_string().into()]);
    args.extend(["-l".into(), (&host.user).into(), "--".into(), (&host.address).into()]);
    args.push(command(invocation));
    let agent = host.agent.iter().map(|agent| ("SSH_AUTH_SOCK".into(), agent.into()));
    Invocation { program: "ssh".into(), args, env: agent.collect() }
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
            key: Some("/k".into()),
            agent: None,
        };
        let inner = Invocation {
            program: "mpirun".into(),
            args: vec!["-np".into(), "it's $HOME".into(), "".into()],
            env: vec![("DVP_RUN".into(), "x.1".into())],
        };
        let outer = over(&host, &inner);
        let words: Vec<&str> = outer.args.iter().map(|word| word.to_str().unwrap()).collect();
        assert!(words.contains(&"StrictHostKeyChecking=yes") && words.contains(&"BatchMode=yes"));
        assert!(words.contains(&"UserKnownHostsFile=\"/d/known\" \"/e/more\""));
        let tail = words[words.len() - 8..].join("|");
        assert_eq!(
            tail,
            "/k|-p|2222|-l|mpi|--|n1|exec env DVP_RUN=x.1 mpirun -np 'it'\\''s $HOME' ''"
        );
        assert!(outer.env.is_empty());
        let with = over(&Host { agent: Some("/a".into()), ..host }, &inner);
        assert_eq!(with.env, [("SSH_AUTH_SOCK".into(), "/a".into())]);
        assert!(with.args.contains(&"ForwardAgent=yes".into()));
    }
}
