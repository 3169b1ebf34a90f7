//! Machines of a test's own: containers that have sshd and Open MPI and a folder that all mount. The image is
//! made once, with debootstrap and apt, and kept by the local docker daemon. Needs root and dockerd.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::wait::wait_for;

const BASE: &str = "dvp-test/sshd:1";
const IMAGE: &str = "dvp-test/node:1";

/// Running machines; gone when dropped.
#[derive(Debug)]
pub struct Machines {
    ids: Vec<String>,
    addresses: Vec<String>,
    key: PathBuf,
}

impl Machines {
    /// Starts so many machines that mount `shared` at the same path, and let a key in that is made in `keys`.
    ///
    /// # Panics
    /// When docker does not do as it is told.
    pub fn start(count: usize, shared: &Path, keys: &Path) -> Self {
        wait_for("the docker daemon", Duration::from_secs(60), || {
            let asked = Command::new("docker").arg("info").output().expect("docker");
            let said = String::from_utf8_lossy(&asked.stderr).into_owned();
            asked.status.success().then_some(()).ok_or(said)
        });
        image();
        let key = keys.join("id_ed25519");
        let key_text = key.to_str().expect("a path in UTF-8");
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key_text]);
        let public = std::fs::read_to_string(key.with_extension("pub")).expect("the public key");
        let volume = format!("{0}:{0}", shared.display());
        let script = format!(
            "mkdir -p /run/sshd /root/.ssh && echo '{}' > /root/.ssh/authorized_keys && \
             rm -f /etc/ssh/ssh_host_* && ssh-keygen -A && exec /usr/sbin/sshd -D -e",
            public.trim()
        );
        let mut machines = Self { ids: Vec::new(), addresses: Vec::new(), key };
        for _ in 0..count {
            let id = run(
                "docker",
                &[
                    "run",
                    "-d",
                    "--init",
                    "--shm-size",
                    "256m",
                    "-v",
                    &volume,
                    IMAGE,
                    "/bin/sh",
                    "-c",
                    &script,
                ],
            );
            machines.ids.push(id.clone());
            let format = "{{.NetworkSettings.IPAddress}}";
            machines.addresses.push(run("docker", &["inspect", "-f", format, &id]));
        }
        for address in &machines.addresses {
            let up = || std::net::TcpStream::connect((address.as_str(), 22)).is_ok();
            wait_for("sshd", Duration::from_secs(30), || {
                up().then_some(()).ok_or_else(|| format!("{address} is not up"))
            });
        }
        machines
    }

    /// Their addresses.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The private key that they let in.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// The fingerprint of a machine's host key, read on the machine itself.
    pub fn fingerprint(&self, machine: usize) -> String {
        let line = self.sh(machine, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
        line.split(' ').nth(1).expect("a fingerprint").to_owned()
    }

    /// Runs a script on a machine, past ssh.
    pub fn sh(&self, machine: usize, script: &str) -> String {
        run("docker", &["exec", &self.ids[machine], "/bin/sh", "-c", script])
    }

    /// Kills a machine.
    pub fn kill(&self, machine: usize) {
        run("docker", &["kill", &self.ids[machine]]);
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for id in &self.ids {
            let _ = Command::new("docker").args(["rm", "-f", "-v", id]).output();
        }
    }
}

/// Makes the image where the daemon has none.
fn image() {
    let has = |name: &str| {
        let found = Command::new("docker").args(["image", "inspect", name]).output();
        found.expect("docker").status.success()
    };
    if !has(BASE) {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        let root = root.to_str().expect("a path in UTF-8");
        let include = "--include=openssh-server,iproute2";
        run("debootstrap", &["--variant=minbase", include, "bookworm", root]);
        run("/bin/sh", &["-c", &format!("tar -C {root} -c . | docker import - {BASE}")]);
    }
    if !has(IMAGE) {
        let install = "export DEBIAN_FRONTEND=noninteractive; apt-get -q update && apt-get -q install -y \
                       --no-install-recommends openmpi-bin openssh-client libavdevice59 libavfilter8 \
                       libavformat59 libavcodec59 libswscale6 libswresample4 libavutil57";
        let id = run("docker", &["create", BASE, "/bin/sh", "-c", install]);
        run("docker", &["start", "-a", &id]);
        run("docker", &["commit", &id, IMAGE]);
        run("docker", &["rm", &id]);
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().expect(program);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {args:?}: {errors}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}
