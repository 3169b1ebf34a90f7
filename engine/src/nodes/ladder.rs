//! The rungs from a name to a node that works. Each either says what it found, or why it failed and the
//! command that mends it; after a failed one there is nothing to stand on.

use std::time::{Duration, Instant};

use dvp_model::error::Reason;
use dvp_model::node::{Climb, Duty, Member, Rung};
use dvp_model::wire::api::NodeAdd;
use dvp_model::{Millis, NodeName};
use tokio::net::TcpStream;

use super::figures::{self, Before};
use super::line::ask;
use super::{network, prepare, watch};
use crate::engine::Engine;
use crate::exec::{Invocation, local, ssh};

/// Debian packages that a node needs.
pub const PACKAGES: &str = "openmpi-bin openssh-client libavfilter8 libavformat59 libavcodec59 libswscale6 libswresample4 \
     libavutil57";
/// Two clocks may differ by so much, seconds.
const SKEW_S: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(20);

/// Climbs, and takes the machine among the nodes when it comes to the top.
///
/// # Errors
/// When the store is away, or a name is none.
pub async fn add(engine: &Engine, call: NodeAdd) -> Result<Climb, Reason> {
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    if !plain(&call.name.0) || !plain(&call.user) {
        return Err(Reason::spec(format!(
            "'{}@{}' is no user@host: letters, digits, '-', '_', '.' and ':' may be in it",
            call.user, call.name
        )));
    }
    let known = engine.cluster.member(&call.name);
    let member = Member {
        name: call.name.clone(),
        user: call.user.clone(),
        port: call.port,
        slots: call.slots.unwrap_or(0),
        memory: 0,
        duty: known.as_ref().map_or(Duty::Active, |known| known.duty.clone()),
        host_key: known.as_ref().map(|known| known.host_key.clone()).unwrap_or_default(),
        unreaped: known.map(|known| known.unreaped).unwrap_or_default(),
    };
    climb(engine, member, call.install, call.accept_key.as_deref()).await
}

/// Climbs again.
///
/// # Errors
/// When there is no such node, or the store is away.
pub async fn check(engine: &Engine, name: &NodeName) -> Result<Climb, Reason> {
    // Changes nothing, and names what is unknown.
    let member = engine.store().node_change(name, |_| {}).await?;
    climb(engine, member, false, None).await
}

/// A climb under way: everybody sees each rung as soon as it is there.
struct Climber<'a> {
    engine: &'a Engine,
    climb: Climb,
}

impl Climber<'_> {
    /// Climbs one rung. Whether it holds.
    async fn rung(
        &mut self,
        name: &str,
        found: impl Future<Output = Result<String, Reason>>,
    ) -> bool {
        let begun = Instant::now();
        let found = found.await;
        let holds = found.is_ok();
        let took_ms = begun.elapsed().as_millis() as u64;
        self.climb.rungs.push(Rung { name: name.to_owned(), found, took_ms });
        self.engine.cluster.note_climb(&self.climb);
        holds
    }

    fn end(mut self) -> Climb {
        self.climb.is_done = true;
        self.engine.cluster.note_climb(&self.climb);
        self.climb
    }
}

async fn climb(
    engine: &Engine,
    mut member: Member,
    install: bool,
    accept: Option<&str>,
) -> Result<Climb, Reason> {
    let climb =
        Climb { name: member.name.clone(), rungs: Vec::new(), shown_key: None, is_done: false };
    let mut climber = Climber { engine, climb };
    let mut shown = None;
    let goes = climber.rung("resolve", resolve(&member)).await
        && climber.rung("tcp", tcp(&member)).await
        && climber.rung("host key", host_key(engine, &mut member, accept, &mut shown)).await;
    if !goes {
        climber.climb.shown_key = shown;
        return Ok(climber.end());
    }
    // ssh reads the key from our file: the machine is known from here on, without slots until the top.
    let was = engine.cluster.member(&member.name);
    let idle = Member { slots: 0, ..member.clone() };
    engine.store().node_put(was.as_ref().map_or(&idle, |_| &member)).await?;
    engine.cluster.refresh(engine).await?;
    let goes = climber.rung("key", key(engine, &member)).await
        && climber.rung("packages", packages(engine, &member, install)).await
        && climber.rung("worker", worker(engine, &member)).await
        && climber.rung("clock", clock(engine, &member)).await
        && climber.rung("network", network(engine, &member)).await
        && climber.rung("folder", shared_folder(engine, &member)).await
        && climber.rung("hello", hello(engine, &member)).await;
    if goes {
        finish(engine, &mut member).await?;
    } else if let Some(was) = was {
        let why = climber.climb.fault().cloned().unwrap_or_else(|| Reason::bug("no rung failed"));
        let duty = if was.duty == Duty::Draining { was.duty.clone() } else { Duty::SetAside(why) };
        engine.store().node_put(&Member { duty, ..was }).await?;
    } else {
        engine.store().node_remove(&member.name).await?;
    }
    engine.cluster.refresh(engine).await?;
    engine.cluster.ask_programs(&member.name);
    watch::look(engine, &member, true).await;
    engine.cluster.changed.notify_one();
    engine.nudge();
    Ok(climber.end())
}

/// At the top: slots, memory, and work unless a person drains it.
async fn finish(engine: &Engine, member: &mut Member) -> Result<(), Reason> {
    let script = ssh::script(&figures::script(None));
    let said = ask(engine, member, &script, &[], PATIENCE).await?;
    let (health, _) = figures::read(&said.out, Millis::default(), 0, &Before::default());
    member.memory = health.memory_total;
    if member.slots == 0 {
        member.slots = health.cores;
    }
    if member.duty != Duty::Draining {
        member.duty = Duty::Active;
    }
    engine.store().node_put(member).await.map_err(Into::into)
}

/// The command that climbs to this machine again.
fn add_again(member: &Member, more: &str) -> String {
    let port = if member.port == 22 { String::new() } else { format!(" --port {}", member.port) };
    format!("dvp-console nodes add {}@{}{port} {more}", member.user, member.name)
}

async fn resolve(member: &Member) -> Result<String, Reason> {
    let name = &member.name.0;
    let found = tokio::net::lookup_host((name.as_str(), member.port)).await;
    match found.ok().and_then(|mut all| all.next()) {
        Some(address) => Ok(address.ip().to_string()),
        None => Err(Reason::machine(format!(
            "{name} has no address: put it into /etc/hosts or the DNS, 'getent hosts {name}' shows it"
        ))),
    }
}

async fn tcp(member: &Member) -> Result<String, Reason> {
    let (name, port) = (&member.name, member.port);
    let tried = TcpStream::connect((name.0.as_str(), port));
    match tokio::time::timeout(Duration::from_secs(5), tried).await {
        Ok(Ok(_)) => Ok(format!("port {port}")),
        Ok(Err(error)) => Err(Reason::machine(format!(
            "{name} port {port}: {error}; on it: 'apt install openssh-server && systemctl start ssh'"
        ))),
        Err(_) => Err(Reason::machine(format!(
            "{name} port {port} does not answer in 5 s: is it up, does a firewall drop the port?"
        ))),
    }
}

/// Compares the key that the machine shows with the accepted one; takes it when it is the one that the
/// operator names. `shown` is one that nobody has accepted yet.
async fn host_key(
    engine: &Engine,
    member: &mut Member,
    accept: Option<&str>,
    shown: &mut Option<String>,
) -> Result<String, Reason> {
    let name = member.name.clone();
    let mut args: Vec<std::ffi::OsString> =
        ["-T", "5", "-t", "ed25519,ecdsa,rsa", "-p"].map(Into::into).into();
    args.extend([member.port.to_string().into(), "--".into(), name.0.clone().into()]);
    let scan = Invocation { program: "ssh-keyscan".into(), args, env: Vec::new() };
    let said = local::ask(&scan, &[], PATIENCE).await?;
    let keys: Vec<&str> = said
        .out
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(' ')?.1.trim()))
        .collect();
    let best = ["ssh-ed25519 ", "ecdsa-", "ssh-rsa "]
        .iter()
        .find_map(|kind| keys.iter().find(|key| key.starts_with(kind)));
    let Some(best) = best else {
        return Err(Reason::machine(format!(
            "{name} shows no host key: {}; is it an sshd that listens on port {}? On it: 'systemctl status ssh'",
            said.last_words(),
            member.port
        )));
    };
    if keys.contains(&member.host_key.as_str()) {
        return fingerprint(&member.host_key).await;
    }
    let found = fingerprint(best).await?;
    if accept == Some(found.as_str()) {
        member.host_key = (*best).to_owned();
        return Ok(format!("{found}, accepted"));
    }
    let before = if member.host_key.is_empty() { "" } else { ", another than the accepted one" };
    // A file or a certificate authority may vouch for it: then ssh gets further than the key.
    if member.host_key.is_empty()
        && let Some(file) = &engine.settings().access.known_hosts
    {
        let tried = ask(engine, member, &ssh::script("true"), &[], PATIENCE).await;
        if tried.err().is_none_or(|reason| !reason.text.contains("Host key verification failed")) {
            return Ok(format!("{found}, vouched for by {}", file.display()));
        }
    }
    *shown = Some(found.clone());
    Err(Reason::machine(format!(
        "{name} shows the host key {found}{before}; compare it with what \
         'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' prints on {name}, then '{}'",
        add_again(member, &format!("--accept-key {found}"))
    )))
}

async fn fingerprint(key: &str) -> Result<String, Reason> {
    let args = vec!["-l".into(), "-f".into(), "-".into()];
    let show = Invocation { program: "ssh-keygen".into(), args, env: Vec::new() };
    let said = local::ask(&show, format!("{key}\n").as_bytes(), PATIENCE).await?;
    match said.out.split(' ').find(|word| word.starts_with("SHA256:")) {
        Some(word) => Ok(word.to_owned()),
        None => Err(Reason::machine(format!("'{key}' is no host key: {}", said.last_words()))),
    }
}

async fn key(engine: &Engine, member: &Member) -> Result<String, Reason> {
    let said =
        ask(engine, member, &ssh::script("id -un"), &[], PATIENCE).await.map_err(|reason| {
            let key = engine.settings().access.key.as_ref();
            let key = key.map_or(String::new(), |key| format!(" -i {}", key.display()));
            Reason::machine(format!(
                "{}; let the key in with 'ssh-copy-id{key} -p {} {}@{}'",
                reason.text, member.port, member.user, member.name
            ))
        })?;
    Ok(format!("logged in as {}", said.out.trim()))
}

async fn packages(engine: &Engine, member: &Member, install: bool) -> Result<String, Reason> {
    let look = format!(
        "command -v dpkg-query >/dev/null || {{ command -v mpirun >/dev/null || echo 'Open MPI'; exit 0; }}; \
         for p in {PACKAGES}; do dpkg-query -W -f='${{Status}}' $p 2>/dev/null | grep -q 'ok installed' || echo $p; done"
    );
    let missing = || async {
        let said = ask(engine, member, &ssh::script(&look), &[], PATIENCE).await?;
        Ok::<_, Reason>(said.out.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let before = missing().await?;
    if before.is_empty() {
        return Ok("all there".to_owned());
    }
    if !install {
        return Err(Reason::machine(format!(
            "{} lacks {before}: on it 'apt install {before}', or '{}'",
            member.name,
            add_again(member, "--install")
        )));
    }
    let script = format!(
        "s=; [ $(id -u) = 0 ] || s='sudo -n'; export DEBIAN_FRONTEND=noninteractive; \
         $s apt-get -q update >&2 && $s env DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
         --no-install-recommends {before} >&2"
    );
    let said = ask(engine, member, &ssh::script(&script), &[], Duration::from_secs(800)).await?;
    let after = missing().await?;
    match after.is_empty() {
        true => Ok(format!("installed {before}")),
        false => Err(Reason::machine(format!(
            "{}: apt could not install {after}: {}; try 'apt install {after}' there",
            member.name,
            said.last_words()
        ))),
    }
}

async fn worker(engine: &Engine, member: &Member) -> Result<String, Reason> {
    let hash = prepare::worker(engine).await?;
    let versions = prepare::push(engine, member, &hash).await?;
    let own = engine.versions().await?;
    match versions.fingerprint == own.fingerprint {
        true => Ok(format!("{} ({})", versions.build, &hash[..12])),
        false => Err(Reason::machine(format!(
            "{} has other libraries or another CPU than this machine, and would make other bytes: {}; \
             install the same packages on both",
            member.name,
            differences(&own.libraries, &versions.libraries)
        ))),
    }
}

fn differences(
    here: &std::collections::BTreeMap<String, String>,
    there: &std::collections::BTreeMap<String, String>,
) -> String {
    let other = |(name, version): (&String, &String)| match there.get(name) {
        Some(found) if found == version => None,
        found => {
            let found = found.map_or("none", String::as_str);
            Some(format!("{name} {found} there, {version} here"))
        }
    };
    let words: Vec<String> = here.iter().filter_map(other).collect();
    if words.is_empty() { "the CPU's class differs".to_owned() } else { words.join(", ") }
}

async fn clock(engine: &Engine, member: &Member) -> Result<String, Reason> {
    let said = ask(engine, member, &ssh::script("date +%s"), &[], PATIENCE).await?;
    let here = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let there: u64 = said.out.trim().parse().unwrap_or(0);
    match here.abs_diff(there) {
        skew if skew <= SKEW_S => Ok(format!("within {} s", skew + 1)),
        skew => Err(Reason::machine(format!(
            "the clock of {} is {skew} s off: 'timedatectl set-ntp true' there",
            member.name
        ))),
    }
}

async fn network(engine: &Engine, member: &Member) -> Result<String, Reason> {
    let Some(network) = &engine.settings().access.network else {
        return Ok("any".to_owned());
    };
    let said = ask(engine, member, &ssh::script(network::SCRIPT), &[], PATIENCE).await?;
    Ok(format!("{} in {network}", network.of(&member.name.0, &said.out)?))
}

/// A file that the engine writes where objects lie is seen by the node.
async fn shared_folder(engine: &Engine, member: &Member) -> Result<String, Reason> {
    let Some(root) = engine.objects.root() else {
        return Ok("none: objects lie in S3".to_owned());
    };
    let name = format!(".dvp-{}", uuid::Uuid::new_v4().simple());
    let path = root.join(&name);
    let cannot = |error: std::io::Error| {
        Reason::machine(format!("{} can't be written: {error}", path.display()))
    };
    std::fs::write(&path, &name).map_err(cannot)?;
    let place = root.display().to_string();
    let quoted = ssh::quoted(path.as_os_str());
    let script = format!("f={}; cat \"$f\" && rm \"$f\"", quoted.to_string_lossy());
    let said = ask(engine, member, &ssh::script(&script), &[], PATIENCE).await;
    let _ = std::fs::remove_file(&path);
    let said = said?;
    match said.out == name && said.is_good() {
        true => Ok(place),
        false => Err(Reason::machine(format!(
            "{} does not see, or may not change, what this machine writes into {place}: {}; mount one folder at \
             the same path on all and name it in DVP_SHARED_DIR",
            member.name,
            said.last_words()
        ))),
    }
}

/// Two ranks start, one on the head where there is another machine, and hear each other.
async fn hello(engine: &Engine, member: &Member) -> Result<String, Reason> {
    let places = match engine.cluster.head(&member.name) {
        Some(head) => vec![(head, 1), (member.clone(), 1)],
        None => vec![(member.clone(), 2)],
    };
    let hosts = places.iter().map(|(member, _)| member.name.to_string()).collect::<Vec<_>>();
    let ranks = super::hello::hello(engine, places).await?;
    Ok(format!("{} ranks on {}", ranks.len(), hosts.join(" and ")))
}
