//! The table of settings: file key, environment variable, default, meaning. `config` and the documents
//! are made from it.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As the file has it.
    pub name: &'static str,
    /// The environment variable, where it is not `DVP_` and the name in capitals: names of services that
    /// other programs know too.
    pub env: Option<&'static str>,
    /// What it means, one line.
    pub about: &'static str,
    /// Its value when nobody sets it; empty where the meaning says what happens then.
    pub default: &'static str,
    /// The command line's flag, if there is one.
    pub flag: Option<&'static str>,
    /// Its value may hold a password.
    pub secret: bool,
}

const fn key(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, about, default, env: None, flag: None, secret: false }
}

/// A setting whose environment variable has a name of its own.
const fn named(
    name: &'static str,
    env: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { env: Some(env), ..key(name, default, about) }
}

impl Key {
    /// The environment variable.
    pub fn variable(&self) -> String {
        match self.env {
            Some(name) => name.to_owned(),
            None => format!("DVP_{}", self.name.to_uppercase()),
        }
    }
}

/// Every setting.
pub const KEYS: &[Key] = &[
    Key {
        flag: Some("--data-dir"),
        ..key("data_dir", "", "everything DVP keeps (store, chunks, socket, logs)")
    },
    key("worker", "", "the dvp-worker to run (default: beside this program)"),
    key("engine", "", "the dvp-engine to start (default: beside this program)"),
    key("mpirun", "mpirun", "the mpirun to run"),
    key("slots", "", "ranks that may run at once here (default: usable cores)"),
    Key {
        secret: true,
        ..key("database", "", "PostgreSQL's URL (default: an SQLite file in data_dir)")
    },
    named(
        "postgres_host",
        "POSTGRES_HOST",
        "",
        "PostgreSQL's host, where database names no whole URL (default: none)",
    ),
    named("postgres_port", "POSTGRES_PORT", "5432", "its port"),
    named("postgres_user", "POSTGRES_USER", "dbuser", "its user"),
    Key {
        secret: true,
        ..named("postgres_password", "POSTGRES_PASSWORD", "", "the user's password")
    },
    named("postgres_db", "POSTGRES_DB", "dvp", "its database"),
    key("listen", "", "TCP address of the API, 127.0.0.1:8000 for example (default: none)"),
    Key {
        flag: Some("--connect"),
        ..key(
            "connect",
            "",
            "the API of an engine elsewhere, http://host:8000 for example (default: one here)",
        )
    },
    Key { secret: true, ..key("token", "", "its token, as `dvp-engine token` prints it there") },
    key("token_file", "", "a file with that token"),
    key("upload_gib", "64", "the largest film that may be uploaded over the API, GiB"),
    named("rmq_host", "RMQ_HOST", "", "RabbitMQ's host (default: no RabbitMQ)"),
    named("rmq_port", "RMQ_PORT", "", "its AMQP port (default: 5672, with amqps 5671)"),
    named("rmq_scheme", "RMQ_SCHEME", "amqp", "amqp, or amqps: with TLS"),
    named("rmq_user", "RMQ_USER", "guest", "its user"),
    Key { secret: true, ..named("rmq_password", "RMQ_PASSWORD", "guest", "the user's password") },
    named("rmq_vhost", "RMQ_VHOST", "/", "its virtual host"),
    named(
        "rmq_management_url",
        "RMQ_MANAGEMENT_URL",
        "",
        "its management API (default: http://, rmq_host, :15672)",
    ),
    key("ssh_key", "", "the private key for the nodes (default: those that ssh finds)"),
    key("known_hosts", "", "host keys or a host CA that nodes are known by, besides accepted ones"),
    key("inventory", "", "a hostfile whose machines become nodes at the start"),
    named(
        "mpi_master_host",
        "MPI_MASTER_HOST",
        "",
        "the node that mpirun runs on (default: the first of a launch)",
    ),
    key("network", "", "the network that ranks speak over, such as 10.0.0.0/24"),
    key(
        "ports",
        "",
        "TCP ports that ranks use, such as 40000-40999 (default: the system's choice)",
    ),
    key("shared_dir", "", "a folder that all nodes mount; objects lie in it (default: data_dir)"),
    key("setup", "plain", "whose commands hints name: plain, or compose for the containers' own"),
    key("linger_s", "60", "seconds a background engine stays after its last job and client"),
    key("log", "info", "what is logged, in tracing's filter syntax"),
];
