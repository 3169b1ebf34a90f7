//! The table of settings: file key, environment variable, default, meaning. `config` and the documents
//! are made from it.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As the file has it; the environment variable is `DVP_` and this in capitals.
    pub name: &'static str,
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
    Key { name, about, default, flag: None, secret: false }
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
    key("listen", "", "TCP address of the API, 127.0.0.1:8000 for example (default: none)"),
    key("linger_s", "60", "seconds a background engine stays after its last job and client"),
    key("log", "info", "what is logged, in tracing's filter syntax"),
];
