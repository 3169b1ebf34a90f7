//! The checks of a whole setup, each made for real as the engine sees it: machines and services, keys, who
//! reaches whom by SSH, the services' own tests, MPI. Each that fails says what mends it.

use std::sync::Arc;
use std::time::Duration;

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::Member;
use dvp_model::validate::{self, Check, Found, Setup};
use dvp_model::wire::api::{Validate, Validation};
use futures::future::join_all;

use super::checks::{self, Service};
use super::routes::App;
use crate::exec::ssh;
use crate::nodes::{line, mesh};

/// How long one machine may take for one question.
const PATIENCE: Duration = Duration::from_secs(15);
/// What the original asks for: memory and disk, bytes.
const MEMORY: u64 = 8_000_000_000;
const DISK: u64 = 10_000_000_000;

/// The checks of all steps, or of one.
pub(super) async fn validate(app: &Arc<App>, call: Validate) -> Result<Validation, Reason> {
    if let Some(step) = call.step
        && !(1..=5).contains(&step)
    {
        return Err(Reason::spec(format!("step is {step}: give 1 to 5")));
    }
    app.engine.cluster.refresh(&app.engine).await?;
    let wanted = |step: u32| call.step.is_none_or(|only| only == step);
    let at = At { app, setup: app.standing.setup, members: app.engine.cluster.members() };
    let mut checks = Vec::new();
    for step in 1..=5 {
        if wanted(step) {
            checks.extend(match step {
                1 => at.machines().await,
                2 => at.keys().await,
                3 => at.connectivity().await,
                4 => at.endpoints().await,
                _ => vec![at.hostname().await],
            });
        }
    }
    let warnings = if wanted(1) { at.short().await } else { Vec::new() };
    Ok(Validation { setup: at.setup, checks, warnings })
}

struct At<'a> {
    app: &'a Arc<App>,
    setup: Setup,
    /// Every machine of the cluster, the head first.
    members: Vec<Member>,
}

impl At<'_> {
    fn head(&self) -> Option<&Member> {
        self.members.first()
    }

    /// The command that looks after a node's sshd.
    fn start(&self, node: &NodeName) -> String {
        match self.setup {
            Setup::Compose => format!("docker-compose up -d {}", validate::container(node)),
            Setup::Plain => {
                format!("on {node}: systemctl start ssh; then dvp-console nodes check {node}")
            }
        }
    }

    async fn machines(&self) -> Vec<Check> {
        let nodes = self.members.iter().map(|member| async move {
            let name = validate::node_runs(&member.name);
            let open = tokio::net::TcpStream::connect((member.name.0.as_str(), member.port));
            match tokio::time::timeout(Duration::from_secs(5), open).await {
                Ok(Ok(_)) => Check::passed(1, name),
                seen => {
                    let seen = match seen {
                        Ok(Err(error)) => error.to_string(),
                        _ => "no answer in 5 s".to_owned(),
                    };
                    let expected = format!("{} lets in by port {}", member.name, member.port);
                    Check::failed(1, name, expected, seen, self.start(&member.name))
                }
            }
        });
        let mut checks = join_all(nodes).await;
        let store = self.app.engine.store().version().await.map_err(Reason::from);
        let sqlite = store.as_ref().is_ok_and(|version| version.starts_with("SQLite"));
        let bucket = self.app.engine.objects().bucket().is_some();
        // Whoever asks has been answered.
        checks.push(Check::passed(1, "Checking API Server"));
        let database = if sqlite { "SQLite" } else { "PostgreSQL" };
        let storage = if bucket { "MinIO Storage" } else { "Storage Folder" };
        checks.push(self.service(
            1,
            &format!("Checking {database} Database"),
            store.map(drop),
            "postgres",
        ));
        let asked = checks::ask(self.app, Service::Storage).await.map(drop);
        checks.push(self.service(1, &format!("Checking {storage}"), asked, "minio"));
        checks.push(self.queue(1, "Checking RabbitMQ Queue").await);
        checks
    }

    fn service(&self, step: u32, name: &str, asked: Result<(), Reason>, container: &str) -> Check {
        match asked {
            Ok(()) => Check::passed(step, name),
            Err(reason) => {
                let mend = match self.setup {
                    Setup::Compose => format!(
                        "docker-compose logs {container}; docker-compose restart {container}"
                    ),
                    Setup::Plain => {
                        "dvp-console engine status; dvp-console config shows what is set".to_owned()
                    }
                };
                Check::failed(step, name, "an answer", reason.text, mend)
            }
        }
    }

    async fn queue(&self, step: u32, name: &str) -> Check {
        if self.app.engine.queue().is_none() && self.setup == Setup::Plain {
            return Check::skipped(step, name, "no RabbitMQ is set up (RMQ_HOST)");
        }
        let asked = checks::ask(self.app, Service::Queue).await.map(drop);
        self.service(step, name, asked, "rabbitmq")
    }

    /// Whether the user of ranks lets a key in on each machine, and the engine has one.
    async fn keys(&self) -> Vec<Check> {
        if self.members.is_empty() {
            return vec![Check::skipped(
                2,
                "Checking SSH keys",
                "no nodes: this machine needs no SSH",
            )];
        }
        let script = match self.setup {
            Setup::Compose => "test -s ~/.ssh/authorized_keys && test -s ~/.ssh/id_rsa",
            // The private key stays with the engine: nodes have its agent.
            Setup::Plain => "test -s ~/.ssh/authorized_keys",
        };
        let engine = &self.app.engine;
        let nodes = self.members.iter().map(|member| async move {
            let name = validate::keys_in(&member.name);
            let said = line::ask(engine, member, &ssh::script(script), &[], PATIENCE).await;
            let seen = match said {
                Ok(said) if said.is_good() => return Check::passed(2, name),
                Ok(_) => format!("a file in ~/.ssh of {} is missing or empty", member.user),
                Err(reason) => reason.text,
            };
            Check::failed(2, name, "the key pair in ~/.ssh", seen, self.keys_again(&member.name))
        });
        let mut checks = join_all(nodes).await;
        let name = validate::engines_keys(self.setup);
        let key = engine.settings().access.key.clone();
        checks.push(match key.as_ref().map(|key| (key, std::fs::File::open(key))) {
            None | Some((_, Ok(_))) => Check::passed(2, name),
            Some((key, Err(error))) => {
                let seen = format!("{}: {error}", key.display());
                let mend = match self.setup {
                    Setup::Compose => {
                        "docker-compose down; docker volume rm dvp_ssh-keys; docker-compose up -d"
                            .to_owned()
                    }
                    Setup::Plain => format!("ssh-keygen -t ed25519 -f {}", key.display()),
                };
                Check::failed(2, name, "a private key that can be read", seen, mend)
            }
        });
        checks
    }

    fn keys_again(&self, node: &NodeName) -> String {
        match self.setup {
            Setup::Compose => format!("docker-compose restart {}", validate::container(node)),
            Setup::Plain => format!("ssh-copy-id {node}; dvp-console nodes check {node}"),
        }
    }

    /// Who reaches whom: all pairs up to 16 machines, above that the head to all.
    async fn connectivity(&self) -> Vec<Check> {
        let Some(head) = self.head() else {
            return vec![Check::skipped(3, "Testing SSH Connectivity", "no nodes")];
        };
        let engine = &self.app.engine;
        let sources = if self.members.len() > mesh::FULL { 1 } else { self.members.len() };
        let tried = self.members.iter().take(sources).map(|source| async move {
            (source, mesh::ask(engine, source, &self.members.iter().collect::<Vec<_>>()).await)
        });
        let mut checks = Vec::new();
        for (source, heard) in join_all(tried).await {
            for to in &self.members {
                let name = validate::reaches(&source.name, &to.name);
                let found = match &heard {
                    Ok(heard) => heard.iter().find(|(of, _)| *of == to.name),
                    Err(reason) => {
                        checks.push(self.cut(name, &source.name, &reason.text));
                        continue;
                    }
                };
                checks.push(match found {
                    Some((_, Ok(_))) => Check::passed(3, name),
                    Some((_, Err(reason))) => self.cut(name, &to.name, &reason.text),
                    None => self.cut(name, &to.name, "no answer"),
                });
            }
        }
        let name = validate::engine_reaches(self.setup, &head.name);
        let said = line::ask(engine, head, &ssh::script("true"), &[], PATIENCE).await;
        checks.push(match said {
            Ok(said) if said.is_good() => Check::passed(3, name),
            Ok(said) => self.cut(name, &head.name, &said.last_words()),
            Err(reason) => self.cut(name, &head.name, &reason.text),
        });
        checks
    }

    fn cut(&self, name: String, node: &NodeName, seen: &str) -> Check {
        let mend = match self.setup {
            Setup::Compose => format!("docker-compose restart {}", validate::container(node)),
            Setup::Plain => format!("dvp-console nodes check {node}"),
        };
        Check::failed(3, name, "a login without a password", seen, mend)
    }

    async fn endpoints(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let services = [
            (Service::Database, "postgres"),
            (Service::Storage, "minio"),
            (Service::Queue, "rabbitmq"),
            (Service::Mpi, "mpi-master"),
        ];
        for ((name, _), (service, container)) in validate::ENDPOINTS.iter().zip(services) {
            checks.push(match service {
                Service::Queue => self.queue(4, name).await,
                service => {
                    let asked = checks::ask(self.app, service).await.map(drop);
                    self.service(4, name, asked, container)
                }
            });
        }
        checks
    }

    async fn hostname(&self) -> Check {
        let mut check = match checks::ask(self.app, Service::Mpi).await {
            Ok(value) => {
                let mut check = Check::passed(5, validate::HOSTNAME);
                if let Found::Passed { more, .. } = &mut check.found {
                    *more = Some(format!("{} processes", value["processes"]));
                }
                check
            }
            Err(reason) => self.service(5, validate::HOSTNAME, Err(reason), "mpi-master"),
        };
        if let (Found::Failed { expected, .. }, Some(head)) = (&mut check.found, self.head()) {
            *expected = format!("a word of each process that mpirun starts from {}", head.name);
        }
        check
    }

    /// What is short of what is recommended.
    async fn short(&self) -> Vec<String> {
        let nodes = super::routes::nodes(self.app).await;
        let mut warnings = Vec::new();
        for node in &nodes {
            let Some(health) = &node.health else { continue };
            let gb = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
            if health.memory_total < MEMORY {
                let have = gb(health.memory_total);
                warnings.push(format!("{} has {have} of memory, 8 GB are recommended", node.name));
            }
            if health.disk_free < DISK {
                let have = gb(health.disk_free);
                warnings
                    .push(format!("{} has {have} of disk free, 10 GB are recommended", node.name));
            }
        }
        warnings
    }
}
