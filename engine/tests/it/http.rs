//! The API on its socket, spoken to byte by byte: what is wrong gets its status and all its reasons.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use dvp_engine::host::{self, Attached};
use dvp_model::error::Kind;
use dvp_model::wire::api::Errors;
use serde_json::{Value, json};

use crate::host::config;

/// One request on a connection of its own: status and body.
fn ask(socket: &Path, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: dvp\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A body that is too long is refused before all of it is read.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_else(|| panic!("no status: {answer}")), body.to_owned())
}

async fn served() -> (tempfile::TempDir, Attached, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let host = host::attach_or_host(&config).await.unwrap();
    (dir, host, config.socket)
}

#[track_caller]
fn refused(answer: (u16, String), status: u16, kind: Kind, words: &[&str]) {
    assert_eq!(answer.0, status, "{}", answer.1);
    let errors: Errors = serde_json::from_str(&answer.1).unwrap();
    assert_eq!(errors.errors[0].kind, kind, "{errors}");
    for word in words {
        assert!(errors.to_string().contains(word), "'{word}' in {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_said() {
    let (_dir, host, socket) = served().await;
    let post = |path: &str, body: &str| ask(&socket, "POST", path, body.as_bytes());
    let get = |path: &str| ask(&socket, "GET", path, b"");
    let id = "0188a9a0-0000-4000-8000-000000000000";
    refused(get("/nowhere"), 404, Kind::NotFound, &["/nowhere"]);
    refused(ask(&socket, "DELETE", "/jobs", b""), 405, Kind::Spec, &["DELETE"]);
    refused(get("/jobs?limit=ten"), 400, Kind::Spec, &[]);
    refused(get("/jobs?limt=10"), 400, Kind::Spec, &["limt"]);
    refused(get("/jobs/nonsense"), 400, Kind::Spec, &["nonsense"]);
    refused(get(&format!("/jobs/{id}")), 404, Kind::NotFound, &[]);
    refused(get(&format!("/jobs/{id}?id={id}")), 404, Kind::NotFound, &[]);
    refused(get(&format!("/jobs/{id}?id=7")), 400, Kind::Spec, &["two jobs"]);
    refused(post(&format!("/jobs/{id}/cancel"), ""), 404, Kind::NotFound, &[id]);
    refused(post(&format!("/jobs/{id}/cancel"), r#"{"idd": 1}"#), 400, Kind::Spec, &["idd"]);
    let other = r#"{"id": "11111111-0000-4000-8000-000000000000"}"#;
    refused(post(&format!("/jobs/{id}/cancel"), other), 400, Kind::Spec, &["two jobs"]);
    refused(post("/jobs", "{"), 400, Kind::Spec, &[]);
    refused(post("/jobs", r#"{"input": "/a.mp4", "inptu": 1}"#), 400, Kind::Spec, &["inptu"]);
    refused(post("/jobs", r#"{"input": "/a.mp4", "priority": NaN}"#), 400, Kind::Spec, &[]);
    refused(post("/jobs", r#"{"input": {"hex": "0"}}"#), 400, Kind::Spec, &[]);
    let long = vec![b' '; 11 << 20];
    refused(ask(&socket, "POST", "/jobs", &long), 413, Kind::Spec, &["10485760"]);
    // All at once, and a file that is missing is its own status.
    let body = json!({ "input": "a.mp4", "ranks": 0, "priority": 9999 }).to_string();
    let answer = post("/jobs", &body);
    let errors: Errors = serde_json::from_str(&answer.1).unwrap();
    assert_eq!((answer.0, errors.errors.len()), (400, 3), "{errors}");
    refused(post("/jobs", r#"{"input": "/gone.mp4"}"#), 404, Kind::NotFound, &["/gone.mp4"]);
    refused(post("/jobs", r#"{"input": "/"}"#), 422, Kind::Input, &["folder"]);
    let (status, body) = get("/jobs");
    assert_eq!((status, body.as_str()), (200, "[]"), "nothing was stored");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_every_call() {
    let (_dir, host, socket) = served().await;
    let (status, body) = ask(&socket, "GET", "/openapi.json", b"");
    assert_eq!(status, 200);
    let api: Value = serde_json::from_str(&body).unwrap();
    for (path, method) in [
        ("/jobs", "get"),
        ("/jobs", "post"),
        ("/batches", "post"),
        ("/jobs/{id}", "get"),
        ("/jobs/{id}/cancel", "post"),
        ("/plan", "post"),
        ("/feed", "get"),
        ("/nodes", "get"),
        ("/status", "get"),
    ] {
        assert!(api["paths"][path][method]["summary"].is_string(), "{method} {path}");
    }
    host.stop().await;
}
