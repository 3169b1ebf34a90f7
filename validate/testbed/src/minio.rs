//! A MinIO server of a test's own: a plain process in a temporary folder, with a free port; gone with the
//! test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait::wait_for;

/// Longer than a start takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// The certificate of the authority, beside the server's.
const AUTHORITY: &str = "authority.crt";

/// A running server.
#[derive(Debug)]
pub struct Minio {
    server: Option<Child>,
    folder: TempDir,
    port: u16,
    tls: bool,
}

impl Minio {
    /// The user that may do everything.
    pub const USER: &str = "dvp-tests";
    /// Its password.
    pub const PASSWORD: &str = "a/secret+key";
    /// The domain below which buckets are host names.
    pub const DOMAIN: &str = "s3.test";

    /// Starts a server.
    ///
    /// # Panics
    /// When MinIO is not installed, or does not start.
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts a server that speaks TLS, with a certificate of [`Minio::authority`].
    ///
    /// # Panics
    /// When MinIO or openssl is not installed, or MinIO does not start.
    pub fn start_with_tls() -> Self {
        Self::start_with(true)
    }

    fn start_with(tls: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("dvp-minio").tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        if tls {
            make_certificate(&folder.path().join("certs"));
        }
        let mut minio = Self { server: None, folder, port, tls };
        minio.begin();
        minio
    }

    /// `127.0.0.1` and its port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The certificate (PEM) of the authority that vouches for a server with TLS.
    ///
    /// # Panics
    /// Without TLS.
    pub fn authority(&self) -> PathBuf {
        assert!(self.tls, "a server without TLS has no certificate");
        self.folder.path().join("certs").join(AUTHORITY)
    }

    /// Whether anything of an upload that is not complete lies on its disk.
    pub fn unfinished(&self) -> usize {
        // MinIO keeps one folder an upload below one an object.
        let root = self.data().join(".minio.sys/multipart");
        let folders = |at: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(at).into_iter().flatten().flatten().map(|it| it.path()).collect()
        };
        folders(&root).iter().map(|object| folders(object).len()).sum()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the server again after [`Minio::stop`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn begin(&mut self) {
        let mut server = Command::new(installed());
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        server.arg("server").arg("--quiet").args(["--address", &self.address()]);
        server.arg("--certs-dir").arg(self.folder.path().join("certs"));
        server.arg(self.data()).env("HOME", self.folder.path());
        server.env("MINIO_ROOT_USER", Self::USER).env("MINIO_ROOT_PASSWORD", Self::PASSWORD);
        server.env("MINIO_DOMAIN", Self::DOMAIN).env("MINIO_BROWSER", "off");
        server.env("MINIO_UPDATE", "off").env("MINIO_CALLHOME_ENABLE", "off");
        server.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.server = Some(server.spawn().expect("minio"));
        wait_for("MinIO", LIMIT, || {
            let gone = self.server.as_mut().and_then(|it| it.try_wait().ok().flatten());
            if let Some(status) = gone {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                panic!("MinIO ended with {status}: {}", log.unwrap_or_default());
            }
            self.answers()
        });
    }

    /// Whether it is ready to serve.
    fn answers(&self) -> Result<(), String> {
        let mut stream = TcpStream::connect(self.address()).map_err(|error| error.to_string())?;
        if self.tls {
            return Ok(());
        }
        let limit = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let ask =
            b"GET /minio/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = [0; 12];
        limit
            .and_then(|()| stream.write_all(ask))
            .and_then(|()| stream.read_exact(&mut answer))
            .map_err(|error| error.to_string())?;
        match answer.ends_with(b"200") {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&answer).into_owned()),
        }
    }

    /// Ends the server as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for Minio {
    fn drop(&mut self) {
        self.stop();
    }
}

/// MinIO's program: in PATH, or where `./dvp test --all` builds one.
fn installed() -> PathBuf {
    let built = crate::mpi::bin_dir().join(".dvp-tools/minio");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("minio"));
    let found = found.chain([built]).find(|program| program.exists());
    found.expect("needs MinIO: ./dvp test --all builds one")
}

/// A certificate for 127.0.0.1 where MinIO looks for one, and the authority that made it.
fn make_certificate(folder: &Path) {
    std::fs::create_dir(folder).expect("a folder");
    let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let make = |arguments: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.args(key).args(["-days", "2"]).args(arguments).current_dir(folder);
        let made = openssl.stdin(Stdio::null()).output().expect("Debian package openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    make(&["-subj", "/CN=DVP's tests", "-keyout", "authority.key", "-out", AUTHORITY]);
    let by = ["-CA", AUTHORITY, "-CAkey", "authority.key", "-keyout", "private.key"];
    let of = ["-subj", "/CN=minio", "-addext", "subjectAltName=IP:127.0.0.1"];
    let leaf = ["-addext", "basicConstraints=CA:FALSE", "-out", "public.crt"];
    make(&[&by[..], &of, &leaf].concat());
}
