//! A PostgreSQL server of a test's own: a plain process in a temporary folder, reached through a socket
//! there, gone with the test. Root hands it to the user `postgres`, whom the server insists on.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait::wait_for;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Child>,
    folder: TempDir,
    bin: PathBuf,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, or does not start.
    pub fn start() -> Self {
        let bin = installed();
        let folder = tempfile::Builder::new().prefix("dvp-pg").tempdir().expect("a folder");
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).expect("its mode");
        let mut initdb = command(&bin, "initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "-D"]);
        let made = initdb.arg(folder.path().join("data")).output().expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = Self { server: None, folder, bin };
        postgres.begin();
        postgres
    }

    /// How sqlx reaches it.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.folder.path().display())
    }

    /// Makes an empty database beside the first one, and tells how sqlx reaches that.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn database(&self, name: &str) -> String {
        let mut createdb = command(&self.bin, "createdb");
        let made = createdb.arg("-h").arg(self.folder.path()).args(["-U", "postgres", name]);
        let made = made.output().expect("createdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let folder = self.folder.path().display();
        format!("postgres://postgres@localhost/{name}?host={folder}")
    }

    /// Starts the server again after [`Postgres::stop`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn begin(&mut self) {
        let mut server = command(&self.bin, "postgres");
        server.arg("-D").arg(self.folder.path().join("data"));
        server.arg("-k").arg(self.folder.path());
        for setting in ["fsync=off", "listen_addresses=", "max_connections=50"] {
            server.args(["-c", setting]);
        }
        self.server = Some(server.spawn().expect("postgres"));
        wait_for("PostgreSQL", Duration::from_secs(60), || {
            let mut ready = command(&self.bin, "pg_isready");
            let ready = ready.arg("-h").arg(self.folder.path()).output().expect("pg_isready");
            match ready.status.success() {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&ready.stdout).into_owned()),
            }
        });
    }

    /// Stops the server at once, as a crash would.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        if let Some(pid) = Pid::from_raw(server.id() as i32) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = server.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The newest installed version's programs.
fn installed() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .max_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or_default());
    newest.expect("PostgreSQL (Debian package postgresql)").path().join("bin")
}

fn command(bin: &Path, program: &str) -> Command {
    let mut command = Command::new(bin.join(program));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if program == "postgres" {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    if rustix::process::geteuid().is_root() {
        // The package's own folder belongs to the user that the server wants.
        let home = std::fs::metadata("/var/lib/postgresql").expect("/var/lib/postgresql");
        command.uid(home.uid()).gid(home.gid()).current_dir("/");
    }
    command
}
