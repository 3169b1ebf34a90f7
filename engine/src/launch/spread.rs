//! mpirun over several machines: its argv and the three files beside it, as pure functions. mpirun's own
//! ssh is as strict as ours, and its key comes through the forwarded agent.

use std::ffi::OsString;
use std::path::PathBuf;

use dvp_model::node::Member;
use dvp_model::{NodeName, RunTag};

use crate::exec::{Invocation, ssh, tag};
use crate::nodes::network::{Network, Ports};

/// What the ranks are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A job's items.
    Work,
    /// Say who they are.
    Hello,
}

/// One launch over several machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Tag of every process.
    pub run: RunTag,
    /// What the ranks are to do.
    pub command: Command,
    /// Content hash of the worker that was pushed.
    pub worker: String,
    /// Machines with their ranks, the head first where it has any.
    pub places: Vec<(Member, u32)>,
    /// mpirun runs as root.
    pub root: bool,
    /// The network that ranks speak over; none: Open MPI chooses.
    pub network: Option<Network>,
    /// The ports that ranks use; none: the system chooses.
    pub ports: Option<Ports>,
}

impl Spread {
    /// Ranks in all.
    pub fn ranks(&self) -> u32 {
        self.places.iter().map(|(_, ranks)| ranks).sum()
    }

    /// The machine of each rank: mpirun fills the hostfile's slots in order.
    pub fn nodes_of_ranks(&self) -> Vec<NodeName> {
        let each = self
            .places
            .iter()
            .map(|(member, ranks)| std::iter::repeat_n(member.name.clone(), *ranks as usize));
        each.flatten().collect()
    }

    /// mpirun's hostfile.
    pub fn hostfile(&self) -> String {
        let lines = self
            .places
            .iter()
            .map(|(member, ranks)| format!("{} slots={ranks} max_slots={ranks}\n", member.name));
        lines.collect()
    }

    /// The configuration of mpirun's ssh.
    pub fn ssh_config(&self) -> String {
        let members = ssh_config(self.places.iter().map(|(member, _)| member));
        format!("{members}  UserKnownHostsFile {}/known_hosts\n", self.folder().display())
    }

    /// The launch's folder, the same on every machine.
    pub fn folder(&self) -> PathBuf {
        folder(&self.run)
    }
}

/// The configuration of an ssh that goes from one machine of the cluster to these. It ends within `Host *`.
pub fn ssh_config<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    let mut text = String::new();
    for member in members {
        text += &format!("Host {}\n  User {}\n  Port {}\n", member.name, member.user, member.port);
    }
    text += "Host *\n";
    for option in ssh::STRICT {
        text += &format!("  {}\n", option.replacen('=', " ", 1));
    }
    text
}

/// The folder of a launch on the machines of the cluster.
pub fn folder(run: &RunTag) -> PathBuf {
    PathBuf::from(format!("/dev/shm/dvp.{}.{}", run.job.0.simple(), run.epoch))
}

/// The shell text that names the pushed worker.
pub fn worker_path(hash: &str) -> String {
    format!("\"$HOME\"/.cache/dvp/worker/{hash}/dvp-worker")
}

/// What to start on the head, where the forwarded agent's socket is `agent`.
pub fn invocation(spread: &Spread, agent: &str) -> Invocation {
    let folder = spread.folder();
    let folder = folder.display();
    let mut args: Vec<OsString> = vec!["-np".into(), spread.ranks().to_string().into()];
    args.extend(["--hostfile".into(), format!("{folder}/hostfile").into()]);
    args.extend(["--map-by", "slot", "--bind-to", "none"].map(OsString::from));
    if spread.root {
        args.push("--allow-run-as-root".into());
    }
    let mut mca = |name: &str, value: String| {
        args.extend([OsString::from("--mca"), name.into(), value.into()]);
    };
    mca("btl", "self,vader,tcp".into());
    mca("orte_tmpdir_base", folder.to_string());
    mca("btl_vader_backing_directory", folder.to_string());
    mca("btl_vader_single_copy_mechanism", "none".into());
    mca("plm_rsh_agent", "ssh".into());
    mca("plm_rsh_args", format!("-F {folder}/ssh_config"));
    mca("plm_rsh_no_tree_spawn", "1".into());
    mca("orte_launch_agent", format!("env {}={} orted", tag::VARIABLE, spread.run));
    // A partitioned machine is noticed in about 10 s, where the kernel's own defaults take 8 minutes.
    mca("oob_tcp_keepalive_time", "4".into());
    mca("oob_tcp_keepalive_intvl", "2".into());
    mca("oob_tcp_keepalive_probes", "3".into());
    if let Some(network) = &spread.network {
        mca("btl_tcp_if_include", network.to_string());
        mca("oob_tcp_if_include", network.to_string());
    }
    if let Some(ports) = &spread.ports {
        mca("oob_tcp_dynamic_ipv4_ports", ports.to_string());
        mca("btl_tcp_port_min_v4", ports.first.to_string());
        mca("btl_tcp_port_range_v4", ports.count.to_string());
    }
    args.extend(["-x".into(), tag::VARIABLE.into()]);
    // The ranks have no business with the agent.
    let command = match spread.command {
        Command::Work => "work",
        Command::Hello => "hello",
    };
    let work = format!("unset SSH_AUTH_SOCK; exec {} {command}", worker_path(&spread.worker));
    args.extend(["/bin/sh".into(), "-c".into(), work.into()]);
    let mut env = vec![(tag::VARIABLE.into(), spread.run.to_string().into())];
    if !agent.is_empty() {
        env.push(("SSH_AUTH_SOCK".into(), agent.into()));
    }
    Invocation { program: "mpirun".into(), args, env }
}

/// A script that ends all that carries the tag, and removes the launch's folder. It needs no program of ours,
/// which may be what is broken there. Ends with 1 when something can't be killed.
pub fn reap_script(run: &RunTag) -> String {
    format!(
        "n=0; while p=$(grep -slzxF -e '{variable}={run}' /proc/[0-9]*/environ); do \
         n=$((n+1)); [ $n -le 100 ] || exit 1; \
         for f in $p; do f=${{f#/proc/}}; kill -9 ${{f%/environ}} 2>/dev/null; done; sleep 0.05; done; \
         rm -rf {folder}",
        variable = tag::VARIABLE,
        folder = folder(run).display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_model::node::Duty;
    use dvp_model::{Epoch, JobId};

    fn member(name: &str) -> Member {
        Member {
            name: NodeName(name.into()),
            user: "mpi".into(),
            port: 2022,
            slots: 2,
            memory: 0,
            duty: Duty::Active,
            host_key: "ssh-ed25519 AAAA".into(),
            unreaped: Vec::new(),
        }
    }

    #[test]
    fn argv_and_files() {
        let spread = Spread {
            run: RunTag { job: JobId(uuid::Uuid::nil()), epoch: Epoch(3) },
            command: Command::Work,
            worker: "abc".into(),
            places: vec![(member("n1"), 2), (member("n2"), 1)],
            root: false,
            network: Some("10.9.0.0/24".parse().unwrap()),
            ports: Some("40000-40999".parse().unwrap()),
        };
        let words: Vec<String> = invocation(&spread, "/tmp/ssh-x/agent.7")
            .args
            .iter()
            .map(|word| word.to_str().unwrap().to_owned())
            .collect();
        let line = words.join(" ");
        for part in [
            "-np 3 --hostfile /dev/shm/dvp.00000000000000000000000000000000.3/hostfile ",
            "--mca plm_rsh_args -F /dev/shm/dvp.00000000000000000000000000000000.3/ssh_config ",
            "--mca orte_launch_agent env DVP_RUN=00000000-0000-0000-0000-000000000000.3 orted ",
            "--mca btl_tcp_if_include 10.9.0.0/24 --mca oob_tcp_if_include 10.9.0.0/24 ",
            "--mca oob_tcp_dynamic_ipv4_ports 40000-40999 --mca btl_tcp_port_min_v4 40000 ",
            "--mca btl_tcp_port_range_v4 1000 ",
            "-x DVP_RUN /bin/sh -c unset SSH_AUTH_SOCK; exec \"$HOME\"/.cache/dvp/worker/abc/dvp-worker work",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert_eq!(spread.hostfile(), "n1 slots=2 max_slots=2\nn2 slots=1 max_slots=1\n");
        let nodes: Vec<String> = spread.nodes_of_ranks().iter().map(NodeName::to_string).collect();
        assert_eq!(nodes, ["n1", "n1", "n2"]);
        let config = spread.ssh_config();
        assert!(config.starts_with("Host n1\n  User mpi\n  Port 2022\nHost n2\n"), "{config}");
        assert!(config.contains("  StrictHostKeyChecking yes\n"), "{config}");
    }
}
