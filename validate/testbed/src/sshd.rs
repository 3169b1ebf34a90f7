//! Machines of a test's own: containers that have sshd and see one folder of this machine at the same path. The
//! images are made once, with debootstrap and apt, and kept by the local docker daemon. A container lives no
//! longer than the test program: the end of its input ends it. Needs root and dockerd.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait::wait_for;

/// Debian with sshd, and nothing else that a node needs.
const BARE: &str = "dvp-test/sshd:1";
/// The same with all that a node needs.
const NODE: &str = "dvp-test/node:2";

/// The image that machines are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only sshd.
    Bare,
    /// Open MPI and FFmpeg's libraries too.
    Node,
}

/// Running machines that can be harmed; gone when dropped.
#[derive(Debug)]
pub struct Machines {
    kind: Kind,
    all: Vec<Machine>,
    folder: TempDir,
}

#[derive(Debug)]
struct Machine {
    name: String,
    address: String,
    /// The client that holds the container's input.
    client: Child,
    is_spoilt: bool,
}

static SHARED: Mutex<Option<Machines>> = Mutex::new(None);

/// The machines that all tests of a program share, one test at a time.
#[derive(Debug)]
pub struct Lease(MutexGuard<'static, Option<Machines>>);

/// Waits for the three machines that all tests of this program share; they are whole again.
///
/// # Panics
/// When docker does not do as it is told.
pub fn shared() -> Lease {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.get_or_insert_with(|| Machines::start(Kind::Node, 3)).heal();
    Lease(shared)
}

impl Deref for Lease {
    type Target = Machines;

    fn deref(&self) -> &Machines {
        self.0.as_ref().expect("made before it was lent")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Machines {
        self.0.as_mut().expect("made before it was lent")
    }
}

impl Machines {
    /// Starts so many machines.
    ///
    /// # Panics
    /// When docker does not do as it is told.
    pub fn start(kind: Kind, count: usize) -> Self {
        wait_for("the docker daemon", Duration::from_secs(60), || {
            let asked = Command::new("docker").arg("info").output().expect("docker");
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            asked.status.success().then_some(()).ok_or(said)
        });
        image(kind);
        let folder = tempfile::Builder::new().prefix("dvp-cluster-").tempdir().expect("a folder");
        let key = folder.path().join("id_ed25519");
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", text(&key)]);
        let mut machines = Self { kind, all: Vec::new(), folder };
        let all = (0..count).map(|number| machines.machine(number)).collect();
        machines.all = all;
        (0..count).for_each(|number| machines.wait_until_up(number));
        machines
    }

    fn machine(&self, number: usize) -> Machine {
        let name = format!(
            "{}-{number}",
            text(Path::new(self.folder.path().file_name().expect("a name")))
        );
        let public = fs::read_to_string(self.key().with_extension("pub")).expect("the public key");
        let script = format!(
            "mkdir -p /run/sshd /root/.ssh && echo '{}' > /root/.ssh/authorized_keys && \
             rm -f /etc/ssh/ssh_host_* && ssh-keygen -q -A && /usr/sbin/sshd -E /var/log/sshd && cat >/dev/null",
            public.trim()
        );
        let volume = format!("{0}:{0}", self.folder.path().display());
        let image = if self.kind == Kind::Bare { BARE } else { NODE };
        let client = Command::new("docker")
            .args(["run", "-i", "--rm", "--init", "--shm-size", "256m", "--name", &name])
            .args([
                "--hostname",
                &format!("n{number}"),
                "-v",
                &volume,
                image,
                "/bin/sh",
                "-c",
                &script,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker");
        let address = wait_for("a container's address", Duration::from_secs(60), || {
            let format = "{{.NetworkSettings.IPAddress}}";
            let found = Command::new("docker").args(["inspect", "-f", format, &name]).output();
            let found = String::from_utf8_lossy(&found.expect("docker").stdout).trim().to_owned();
            if found.is_empty() { Err(format!("{name} is not there")) } else { Ok(found) }
        });
        Machine { name, address, client, is_spoilt: false }
    }

    fn wait_until_up(&self, machine: usize) {
        let address = self.all[machine].address.as_str();
        wait_for("sshd", Duration::from_secs(30), || {
            let up = std::net::TcpStream::connect((address, 22));
            up.map(drop).map_err(|error| format!("{address}: {error}"))
        });
    }

    /// Mends what tests did, with a new machine in place of one that can't be mended.
    fn heal(&mut self) {
        for number in 0..self.all.len() {
            if self.all[number].is_spoilt {
                end(&mut self.all[number]);
                self.all[number] = self.machine(number);
                self.wait_until_up(number);
                continue;
            }
            let _ = Command::new("docker").args(["unpause", &self.all[number].name]).output();
            self.reach(number);
            self.sh(
                number,
                "pkill -9 'orted|mpirun|dvp-worker'; rm -rf /dev/shm/* /root/.cache/dvp; true",
            );
        }
    }

    /// The folder that all of them and this machine see.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// A machine's address.
    pub fn address(&self, machine: usize) -> &str {
        &self.all[machine].address
    }

    /// The private key that they let in.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("id_ed25519")
    }

    /// A machine's host key, read on the machine itself: `ssh-ed25519 AAAA...`.
    pub fn host_key(&self, machine: usize) -> String {
        self.sh(machine, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    }

    /// The fingerprint of a machine's host key, read on the machine itself.
    pub fn fingerprint(&self, machine: usize) -> String {
        let line = self.sh(machine, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
        line.split(' ').nth(1).expect("a fingerprint").to_owned()
    }

    /// Runs a script on a machine, past ssh.
    pub fn sh(&self, machine: usize, script: &str) -> String {
        run("docker", &["exec", &self.all[machine].name, "/bin/sh", "-c", script])
    }

    /// The processes on a machine whose command line matches, by process id there.
    pub fn processes(&self, machine: usize, pattern: &str) -> Vec<String> {
        let found = self.sh(machine, &format!("pgrep -af '{pattern}' | grep -v pgrep || true"));
        found.lines().map(str::to_owned).collect()
    }

    /// Kills a machine for good.
    pub fn kill(&mut self, machine: usize) {
        self.all[machine].is_spoilt = true;
        run("docker", &["kill", &self.all[machine].name]);
    }

    /// Gives a machine's sshd other host keys; connections that are open stay.
    pub fn change_host_key(&mut self, machine: usize) {
        self.all[machine].is_spoilt = true;
        self.sh(machine, "rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; kill -HUP $(pgrep -o sshd)");
    }

    /// The next test gets another machine in place of this one.
    pub fn spoil(&mut self, machine: usize) {
        self.all[machine].is_spoilt = true;
    }

    /// Stops every process of a machine where it stands.
    pub fn freeze(&self, machine: usize) {
        run("docker", &["pause", &self.all[machine].name]);
    }

    /// Lets a frozen machine go on.
    pub fn thaw(&self, machine: usize) {
        run("docker", &["unpause", &self.all[machine].name]);
    }

    /// Drops every packet from and to a machine; with `peer`, only those that it has with that machine.
    pub fn cut_off(&self, machine: usize, peer: Option<usize>) {
        for (chain, way) in [("INPUT", "-s"), ("OUTPUT", "-d")] {
            match peer {
                Some(peer) => {
                    self.iptables(machine, &["-A", chain, way, self.address(peer), "-j", "DROP"])
                }
                None => self.iptables(machine, &["-A", chain, "-j", "DROP"]),
            }
        }
    }

    /// Lets packets through again.
    pub fn reach(&self, machine: usize) {
        self.iptables(machine, &["-F"]);
    }

    fn iptables(&self, machine: usize, args: &[&str]) {
        let pid = self.pid(machine);
        let all: Vec<&str> =
            ["-t", &pid, "-n", "iptables"].iter().copied().chain(args.iter().copied()).collect();
        run("nsenter", &all);
    }

    /// Mounts a file system of that size over a folder of a machine.
    pub fn fill(&mut self, machine: usize, folder: &str, size: &str) {
        self.all[machine].is_spoilt = true;
        let size = format!("size={size}");
        let pid = self.pid(machine);
        run("nsenter", &["-t", &pid, "-m", "mount", "-t", "tmpfs", "-o", &size, "tmpfs", folder]);
    }

    fn pid(&self, machine: usize) -> String {
        run("docker", &["inspect", "-f", "{{.State.Pid}}", &self.all[machine].name])
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.all.iter_mut().for_each(end);
    }
}

fn end(machine: &mut Machine) {
    let _ = Command::new("docker").args(["rm", "-f", "-v", &machine.name]).output();
    let _ = machine.client.kill();
    let _ = machine.client.wait();
}

/// Makes the image where the daemon has none.
fn image(kind: Kind) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let has = |name: &str| {
        let found = Command::new("docker").args(["image", "inspect", name]).output();
        found.expect("docker").status.success()
    };
    if !has(BARE) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        let include = "--include=openssh-server,iproute2,procps";
        run("debootstrap", &["--variant=minbase", include, "bookworm", text(&root)]);
        run(
            "/bin/sh",
            &["-c", &format!("tar -C {} -c . | docker import - {BARE}", root.display())],
        );
    }
    if kind == Kind::Node && !has(NODE) {
        let install = format!(
            "export DEBIAN_FRONTEND=noninteractive; apt-get -q update && apt-get -q install -y \
             --no-install-recommends {PACKAGES} procps && apt-get clean"
        );
        let id = run("docker", &["create", BARE, "/bin/sh", "-c", &install]);
        run("docker", &["start", "-a", &id]);
        run("docker", &["commit", &id, NODE]);
        run("docker", &["rm", &id]);
    }
}

/// What README tells the owner of a machine to install.
const PACKAGES: &str = "openmpi-bin openssh-client libavfilter8 libavformat59 libavcodec59 libswscale6 \
                        libswresample4 libavutil57";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn run(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().expect(program);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {args:?}: {errors}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}
