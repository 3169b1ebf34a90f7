//! The API over TCP, spoken to byte by byte: who is let in without a token, and who with one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use dvp_engine::{host, http};

use crate::host::config;

/// An address that nobody listens on now, on `ip`.
fn free(ip: &str) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// One GET on a connection of its own: status and body.
fn get(port: u16, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {answer}")), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_loopback_all_but_the_checks_needs_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let address = free("0.0.0.0");
    config.listen = Some(address);
    let host = host::attach_or_host(&config).await.unwrap();
    let get = |path: &str, headers: &str| {
        get(address.port(), path, &format!("host: 127.0.0.1\r\n{headers}"))
    };
    for path in ["/", "/healthz", "/readyz", "/docs", "/test-db", "/test-storage", "/test-mpi"] {
        assert_eq!(get(path, "").0, 200, "{path}");
    }
    assert!(get("/test-db", "").1.contains(r#""status":"success""#));
    let (status, answer) = get("/jobs", "");
    assert_eq!(status, 401, "{answer}");
    assert!(answer.contains("dvp-engine token") && answer.contains("www-authenticate: Bearer"));
    for path in ["/openapi.json", "/events", "/metrics"] {
        assert_eq!(get(path, "").0, 401, "{path}");
    }
    assert_eq!(get("/nowhere", "").0, 401, "what is there is nobody's business either");
    assert_eq!(get("/jobs", "authorization: Bearer 0123\r\n").0, 401);
    let token = http::token(&config.data_dir).unwrap();
    assert_eq!(get("/jobs", &format!("authorization: Bearer {token}\r\n")).0, 200);
    let mode = std::fs::metadata(http::token_file(&config.data_dir)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    host.stop().await;
    assert!(TcpStream::connect(("127.0.0.1", address.port())).is_err(), "still listening");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_loopback_no_page_of_another_site_gets_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let address = free("127.0.0.1");
    config.listen = Some(address);
    let host = host::attach_or_host(&config).await.unwrap();
    assert_eq!(get(address.port(), "/jobs", "host: localhost:8000\r\n").0, 200);
    assert_eq!(get(address.port(), "/jobs", "host: evil.example\r\n").0, 403);
    let page = "host: 127.0.0.1\r\norigin: http://evil.example\r\n";
    assert_eq!(get(address.port(), "/jobs", page).0, 403);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_and_nothing_stays_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    config.listen = Some(taken.local_addr().unwrap());
    let error = host::attach_or_host(&config).await.unwrap_err();
    assert!(error.text.contains("listen") && error.text.contains("127.0.0.1:"), "{error}");
    assert!(!config.socket.exists());
    config.listen = None;
    host::attach_or_host(&config).await.unwrap().stop().await;
}

#[test]
fn a_token_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let token = http::token(dir.path()).unwrap();
    assert_eq!(http::token(dir.path()).unwrap(), token);
    assert_eq!(token.len(), 64);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "a draft was left");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(http::token_file(dir.path()), open).unwrap();
    assert!(http::token(dir.path()).unwrap_err().text.contains("others may read"));
}

mod servers {
    use std::process::Command;

    use super::*;

    /// schemathesis makes requests of the description, good and bad ones, and holds each answer against it.
    #[tokio::test(flavor = "multi_thread")]
    async fn answers_are_as_described_whatever_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let address = free("127.0.0.1");
        config.listen = Some(address);
        let host = host::attach_or_host(&config).await.unwrap();
        let url = format!("http://{address}/openapi.json");
        let mut schemathesis = Command::new(testbed::python::program("schemathesis"));
        schemathesis.args([
            "run",
            &url,
            "--seed",
            "1",
            "--max-examples",
            "20",
            "--continue-on-failure",
        ]);
        // Some wait for news by their nature; without a broker one has nothing good to say.
        schemathesis.args(["--exclude-path-regex", "^/(events|feed|test-queue)$"]);
        schemathesis.args(["--phases", "examples,coverage,fuzzing"]);
        schemathesis.args(["--suppress-health-check", "all", "--request-timeout", "60"]);
        // Most jobs that are made up do not exist, and are rightly refused.
        schemathesis.args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"]);
        schemathesis.current_dir(dir.path());
        let done = tokio::task::spawn_blocking(move || schemathesis.output()).await.unwrap();
        let done = done.unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
        let tried: u32 = said
            .lines()
            .find_map(|line| line.trim().split_once(" generated")?.0.parse().ok())
            .unwrap_or_else(|| panic!("it tried nothing: {said}"));
        assert!(tried > 500, "{said}");
        host.stop().await;
    }
}
