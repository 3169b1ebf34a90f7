//! An engine elsewhere: `--connect`, with its token from the environment or a file, films there and outputs
//! back. The two sides share nothing but the address.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testbed::clip::Clip;
use testbed::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(120);

/// An engine that listens beyond the loopback, and so asks for its token.
pub struct Elsewhere {
    pub url: String,
    pub token: String,
    dir: TempDir,
    engine: Child,
}

impl Elsewhere {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let program = Path::new(env!("CARGO_BIN_EXE_dvp-console")).with_file_name("dvp-engine");
        let command = |arguments: &[&str]| {
            let mut command = Command::new(&program);
            command.arg("--data-dir").arg(dir.path().join("data")).args(arguments);
            command.env("XDG_CONFIG_HOME", dir.path()).stdin(Stdio::null());
            command
        };
        let engine = command(&[])
            .env("DVP_LISTEN", format!("0.0.0.0:{port}"))
            .env("DVP_LOG", "warn")
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        wait_for("the engine", LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())
        });
        let token = command(&["token"]).output().unwrap().stdout;
        let token = String::from_utf8(token).unwrap().trim().to_owned();
        Self { url, token, dir, engine }
    }

    /// Its data folder.
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.engine.kill();
        let _ = self.engine.wait();
    }
}

/// dvp-console in `folder`, with a data folder that nobody hosts.
fn console(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dvp-console"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("DVP_DATA_DIR", folder.join("data")).env("XDG_CONFIG_HOME", folder);
    command
}

#[track_caller]
fn expect(output: Output, code: i32, words: &[&str]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    for word in words {
        assert!(out.contains(word) || err.contains(word), "no '{word}' in:\n{out}{err}");
    }
    out
}

#[test]
fn the_command_line_works_on_an_engine_elsewhere() {
    let (there, here) = (Elsewhere::start(), tempfile::tempdir().unwrap());
    let film = Clip::new("film.mp4").frames(48).audio("aac").make(here.path());
    let run = |arguments: &[&str]| {
        let mut command = console(here.path(), arguments);
        command.env("DVP_CONNECT", &there.url).env("DVP_TOKEN", &there.token);
        command.output().unwrap()
    };
    // Without the token nothing, and with a wrong one; from a file as well as from the environment.
    let flag = ["--connect", &there.url, "jobs"];
    expect(console(here.path(), &flag).output().unwrap(), 2, &["DVP_TOKEN", &there.url]);
    let wrong = console(here.path(), &flag).env("DVP_TOKEN", "0123").output().unwrap();
    expect(wrong, 2, &["DVP_TOKEN_FILE"]);
    std::fs::write(here.path().join("token"), format!("{}\n", there.token)).unwrap();
    let file = console(here.path(), &flag).env("DVP_TOKEN_FILE", "token").output().unwrap();
    expect(file, 0, &["no jobs"]);

    // What is wrong is said before anything is sent.
    expect(run(&["submit", "gone.mp4"]), 3, &["no file", "engine:/path"]);
    expect(run(&["submit", "engine:/gone.mp4"]), 3, &["/gone.mp4"]);
    expect(run(&["submit", "film.mp4", "--set", "convert.crf=99"]), 2, &["crf"]);
    expect(run(&["submit", "film.mp4", "-o", "out.mp4"]), 2, &["--wait", "download"]);
    expect(run(&["engine", "start"]), 2, &["its own machine"]);
    assert!(!there.data().join("uploads").exists());

    // A film that was sent in part is gone on with: what came before is not sent again.
    let id = dvp_engine::client::upload_id(&film, &film.metadata().unwrap());
    let folder = there.data().join("uploads").join(id.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let bytes = std::fs::read(&film).unwrap();
    let mut begun = bytes[..2000].to_vec();
    begun[1000] ^= 1;
    std::fs::write(folder.join("film.mp4.part"), &begun).unwrap();
    expect(run(&["plan", "film.mp4"]), 0, &["48 frames"]);
    let mut sent = std::fs::read(folder.join("film.mp4")).unwrap();
    assert_eq!(sent[1000], bytes[1000] ^ 1);
    sent[1000] ^= 1;
    assert!(sent == bytes, "what was sent is not the film");
    std::fs::write(folder.join("film.mp4"), &bytes).unwrap();

    // The whole way: there and back, named here as if it had been made here.
    let line = ["submit", "film.mp4", "--task", "resize", "--set", "resize.height=90", "--wait"];
    let out = expect(run(&line), 0, &[]);
    let output = here.path().join("film.resize.mp4");
    assert_eq!(out.lines().last(), output.to_str());
    let jobs: Value = serde_json::from_str(&expect(run(&["jobs", "--json"]), 0, &[])).unwrap();
    let job = &jobs[0];
    let sum = testbed::reference::run("sha256sum", [&output]);
    let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
    assert!(sum.starts_with(job["output"]["sha256"].as_str().unwrap()), "{job}");
    expect(run(&line), 3, &["exists already"]);
    let id = job["id"].as_str().unwrap();
    let fetch = ["download", &id[..8], "-o", "again.mp4"];
    expect(run(&fetch), 0, &["again.mp4"]);
    assert!(
        std::fs::read(here.path().join("again.mp4")).unwrap() == std::fs::read(&output).unwrap()
    );
    expect(run(&fetch), 3, &["exists already"]);
    expect(run(&["nodes"]), 0, &["NODE"]);
    expect(run(&["engine", "status"]), 0, &["runs in a console"]);
    // Nothing of an engine was made here.
    assert!(!here.path().join("data/dvp.db").exists());

    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("http://{away}");
    expect(run(&["--connect", &away, "jobs"]), 6, &[&away, "no engine answers"]);
}
