//! The settings of a process: defaults, below a file, below the environment, below flags, each value
//! with its source. The only place that reads environment variables. Knows nothing of what they do.

mod access;
mod broker;
mod keys;
mod layers;
mod places;
mod postgres;
mod remote;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use dvp_model::error::Reason;
use dvp_model::validate::Setup;
use dvp_model::wire::api::Errors;

use crate::queue::Broker;

pub use keys::{KEYS, Key};

use crate::nodes::cluster::Access;
pub use layers::{Entry, Environment, Source};
pub use remote::Remote;

/// Settings, resolved and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything DVP keeps: store, objects, lock, socket, logs. Absolute.
    pub data_dir: PathBuf,
    /// The socket of the engine that serves `data_dir`.
    pub socket: PathBuf,
    /// The `dvp-worker` to run.
    pub worker: PathBuf,
    /// The `mpirun` to run: a path, or a name that is looked up in PATH.
    pub mpirun: PathBuf,
    /// The `dvp-engine` to start in the background.
    pub engine: PathBuf,
    /// Ranks that may run at once here; none: as many as cores may be used.
    pub slots: Option<u32>,
    /// PostgreSQL's URL; none: an SQLite file in `data_dir`.
    pub database: Option<String>,
    /// Where the API is served over TCP too; none: only on the socket.
    pub listen: Option<SocketAddr>,
    /// The engine elsewhere that this process is a client of; none: the one of `data_dir`.
    pub connect: Option<Remote>,
    /// The largest film that may be uploaded, bytes.
    pub upload_bytes: u64,
    /// Whose commands hints name.
    pub setup: Setup,
    /// RabbitMQ; none: no jobs from a queue.
    pub broker: Option<Broker>,
    /// How the machines of the cluster are reached.
    pub access: Access,
    /// How long a background engine stays after its last open job and last client, in seconds.
    pub linger_s: u64,
    /// What is logged, in tracing's filter syntax.
    pub log: String,
    /// A rank may be killed on request. Set by the demo alone, not by any layer.
    pub demo: bool,
    /// The file that was read, whether it exists or not. Absolute.
    pub file: PathBuf,
    /// Where programs without a folder are looked for.
    search_path: OsString,
    /// Each value as text, with its source, in the order of [`KEYS`].
    pub entries: Vec<Entry>,
}

/// What the command line says: the layer above all others.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--data-dir`.
    pub data_dir: Option<OsString>,
    /// `--connect`.
    pub connect: Option<OsString>,
    /// `--config`.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads all layers of this process.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its source.
    pub fn load(flags: &Flags) -> Result<Self, Errors> {
        Self::load_from(flags, &Environment::of_process())
    }

    /// Reads all layers, with an environment of the caller's.
    ///
    /// # Errors
    /// Everything that is wrong with them, each with its source.
    pub fn load_from(flags: &Flags, env: &Environment) -> Result<Self, Errors> {
        let file = match &flags.file {
            Some(file) => std::path::absolute(file).unwrap_or_else(|_| file.clone()),
            None => places::config_file(env)?,
        };
        let entries = layers::entries(flags, env, &file)?;
        let mut errors = Vec::new();
        let config = Self::from_entries(file, entries, env, &mut errors);
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(Errors { errors }),
        }
    }

    fn from_entries(
        file: PathBuf,
        entries: Vec<Entry>,
        env: &Environment,
        errors: &mut Vec<Reason>,
    ) -> Option<Self> {
        let of = |name: &str| entries.iter().find(|entry| entry.key == name);
        let text_of = |name: &str| {
            of(name)
                .map(|entry| entry.value.to_string_lossy().trim().to_owned())
                .unwrap_or_default()
        };
        let number = |name: &str, most: u64, errors: &mut Vec<Reason>| -> Option<u64> {
            let entry = of(name).filter(|entry| !entry.value.is_empty())?;
            let number = entry.value.to_str().and_then(|text| text.trim().parse().ok());
            if number.is_none_or(|number| number > most) {
                errors.push(Reason::spec(format!(
                    "{} is '{}' ({}): give a whole number from 0 to {most}",
                    entry.key,
                    entry.shown(),
                    entry.source
                )));
            }
            number
        };
        let slots = number("slots", 4096, errors).filter(|slots| *slots > 0).map(|n| n as u32);
        let upload_gib = number("upload_gib", 1 << 20, errors).unwrap_or(64);
        let linger_s = number("linger_s", 86_400, errors).unwrap_or(60);
        let listen = of("listen").filter(|entry| !entry.value.is_empty()).and_then(|entry| {
            let address = entry.value.to_str().and_then(|text| text.trim().parse().ok());
            if address.is_none() {
                errors.push(Reason::spec(format!(
                    "listen is '{}' ({}): give an address and a port, 127.0.0.1:8000 for example",
                    entry.shown(),
                    entry.source
                )));
            }
            address
        });
        let connect = remote::read(&entries, errors);
        let setup = match text_of("setup").as_str() {
            "" | "plain" => Setup::Plain,
            "compose" => Setup::Compose,
            _ => {
                errors.push(Reason::spec("setup is neither plain nor compose"));
                Setup::Plain
            }
        };
        let by_parts = postgres::read(&entries, errors);
        let broker = broker::read(&entries, errors);
        let path = |name: &str| of(name).map(|entry| PathBuf::from(&entry.value));
        let text = |name: &str| of(name).map(|entry| entry.value.to_string_lossy().into_owned());
        let data_dir = match std::path::absolute(path("data_dir")?) {
            Ok(path) => path,
            Err(error) => {
                errors.push(Reason::spec(format!("data_dir is no path: {error}")));
                return None;
            }
        };
        let beside = |entry: Option<PathBuf>, name: &str| match entry {
            Some(path) if !path.as_os_str().is_empty() => places::absolute(path),
            _ => places::beside_this_program(name),
        };
        let access = access::read(&entries, &data_dir, env, errors);
        Some(Self {
            socket: places::socket(&data_dir, env),
            worker: beside(path("worker"), "dvp-worker"),
            engine: beside(path("engine"), "dvp-engine"),
            mpirun: places::absolute(path("mpirun")?),
            search_path: env.get("PATH").cloned().unwrap_or_default(),
            slots,
            database: text("database").filter(|text| !text.is_empty()).or(by_parts),
            listen,
            connect,
            broker,
            access,
            upload_bytes: upload_gib << 30,
            setup,
            linger_s,
            log: text("log").unwrap_or_default(),
            demo: false,
            data_dir,
            file,
            entries,
        })
    }

    /// Whether the programs that do the work are there: what a job would otherwise wait for.
    ///
    /// # Errors
    /// Each program that is missing, and what to do.
    pub fn check_programs(&self) -> Result<(), Errors> {
        let mut errors = Vec::new();
        let is_there = |program: &PathBuf| places::find(program, &self.search_path).is_some();
        if !is_there(&self.mpirun) {
            errors.push(Reason::machine(format!(
                "there is no {}: install Open MPI (apt install openmpi-bin), or give its place in \
                 DVP_MPIRUN",
                dvp_model::FilePath::from(self.mpirun.clone())
            )));
        }
        if !is_there(&self.worker) {
            errors.push(Reason::machine(format!(
                "there is no {}: build it, or give its place in DVP_WORKER",
                dvp_model::FilePath::from(self.worker.clone())
            )));
        }
        if errors.is_empty() { Ok(()) } else { Err(Errors { errors }) }
    }

    /// The store, where no PostgreSQL is named.
    pub fn sqlite_file(&self) -> PathBuf {
        self.data_dir.join("dvp.db")
    }

    /// The lock whose holder hosts the engine.
    pub fn lock_file(&self) -> PathBuf {
        self.data_dir.join("engine.lock")
    }

    /// Where a background engine writes its log.
    pub fn log_file(&self) -> PathBuf {
        self.data_dir.join("engine.log")
    }
}

/// Who runs this process, by name; `root` where that can't be told.
pub fn user_name() -> String {
    let env = Environment::of_process();
    let name = env.get("USER").or_else(|| env.get("LOGNAME"));
    name.map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        Environment::of(pairs.iter().map(|(key, value)| (key.into(), value.into())))
    }

    #[test]
    fn each_layer_covers_the_one_below() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "slots = 3\nlinger_s = 5\nlog = \"debug\"\n").unwrap();
        let env = env(&[("HOME", "/home/x"), ("DVP_SLOTS", "7"), ("DVP_DATA_DIR", "/from/env")]);
        let flags =
            Flags { file: Some(file), data_dir: Some("/from/flag".into()), ..Flags::default() };
        let config = Config::load_from(&flags, &env).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("/from/flag"));
        assert_eq!((config.slots, config.linger_s), (Some(7), 5));
        let source = |key: &str| {
            config.entries.iter().find(|entry| entry.key == key).unwrap().source.to_string()
        };
        assert_eq!(source("data_dir"), "--data-dir");
        assert_eq!(source("slots"), "DVP_SLOTS");
        assert!(source("linger_s").ends_with("config.toml"), "{}", source("linger_s"));
        assert_eq!(source("mpirun"), "default");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let env = env(&[("HOME", "/home/x"), ("DVP_SLOTS", "many"), ("DVP_LINGER_S", "-1")]);
        let errors = Config::load_from(&Flags::default(), &env).unwrap_err().errors;
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].text.contains("slots") && errors[0].text.contains("DVP_SLOTS"));
    }

    #[test]
    fn unknown_keys_in_the_file_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "slotz = 3\n").unwrap();
        let flags = Flags { file: Some(file), ..Flags::default() };
        let errors = Config::load_from(&flags, &env(&[("HOME", "/home/x")])).unwrap_err();
        assert!(errors.to_string().contains("slotz"), "{errors}");
    }

    #[test]
    fn a_deep_data_folder_has_its_socket_in_the_runtime_folder() {
        let deep = format!("/{}", "d".repeat(120));
        let env = env(&[("HOME", "/home/x"), ("XDG_RUNTIME_DIR", "/run/user/1")]);
        let flags = Flags { data_dir: Some(deep.into()), ..Flags::default() };
        let config = Config::load_from(&flags, &env).unwrap();
        assert!(config.socket.starts_with("/run/user/1/dvp"), "{}", config.socket.display());
        assert!(config.socket.as_os_str().len() <= 107);
        let flags = Flags { data_dir: Some("/srv/dvp".into()), ..Flags::default() };
        let config = Config::load_from(&flags, &env).unwrap();
        assert_eq!(config.socket, PathBuf::from("/srv/dvp/engine.sock"));
    }

    #[test]
    fn secrets_are_masked() {
        let url = "postgres://dvp:hunter2@db/dvp";
        let env = env(&[("HOME", "/home/x"), ("DVP_DATABASE", url)]);
        let config = Config::load_from(&Flags::default(), &env).unwrap();
        assert_eq!(config.database.as_deref(), Some(url));
        let shown: String = config.entries.iter().map(Entry::shown).collect();
        assert!(!shown.contains("hunter2") && shown.contains("postgres://dvp:***@db/dvp"));
    }
}
