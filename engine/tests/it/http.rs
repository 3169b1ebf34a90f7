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

#[tokio::test(flavor = "multi_thread")]
async fn the_description_has_the_forms_of_what_is_sent() {
    let (_dir, host, socket) = served().await;
    let api: Value = serde_json::from_str(&ask(&socket, "GET", "/openapi.json", b"").1).unwrap();
    let post = &api["paths"]["/jobs"]["post"];
    let body = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
    let form = |reference: &str| api.pointer(reference.strip_prefix('#').unwrap()).unwrap();
    let submit = form(form(body.unwrap())["$ref"].as_str().unwrap());
    assert!(submit["properties"]["input"].is_object(), "{submit}");
    assert_eq!(submit["additionalProperties"], false);
    let job = form(
        post["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap(),
    );
    assert!(job["properties"]["frames_done"].is_object() && job["oneOf"].is_array(), "{job}");
    let limit = &api["paths"]["/jobs"]["get"]["parameters"][0];
    assert_eq!((&limit["name"], &limit["in"]), (&json!("limit"), &json!("query")));
    // Every reference leads somewhere.
    let text = api.to_string();
    let references: Vec<&str> =
        text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.len() > 30);
    references.into_iter().for_each(|reference| assert!(form(reference).is_object()));
    // The page has every path and fetches nothing.
    let (status, page) = ask(&socket, "GET", "/docs", b"");
    assert_eq!(status, 200);
    for path in api["paths"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("https:"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_comes_as_a_problem() {
    let (_dir, host, socket) = served().await;
    let (_, body) = ask(&socket, "GET", "/jobs/nonsense", b"");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["type"], "about:blank");
    assert_eq!((&problem["title"], &problem["status"]), (&json!("Bad Request"), &json!(400)));
    assert_eq!(problem["detail"], problem["errors"][0]["text"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_answers_or_says_what_to_do() {
    let (_dir, host, socket) = served().await;
    let get = |path: &str| {
        let (status, body) = ask(&socket, "GET", path, b"");
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    for path in ["/healthz", "/readyz", "/test-db", "/test-storage"] {
        let (status, body) = get(path);
        assert_eq!((status, &body["status"]), (200, &json!("success")), "{path}: {body}");
    }
    let (status, body) = get("/test-mpi");
    assert_eq!((status, &body["processes"]), (200, &json!(2)), "{body}");
    assert_eq!(body["hosts"].as_array().unwrap().len(), 1);
    let (status, body) = get("/test-queue");
    assert_eq!((status, &body["status"]), (503, &json!(503)));
    assert!(body["detail"].as_str().unwrap().contains("RMQ_HOST"), "{body}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mpi_is_asked_by_one_at_a_time_and_a_fault_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    // Counts its calls, and never succeeds.
    let count = dir.path().join("count");
    config.mpirun = dir.path().join("mpirun");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] || echo x >> {}\necho broken >&2\nexit 1\n",
        count.display()
    );
    std::fs::write(&config.mpirun, script).unwrap();
    std::fs::set_permissions(&config.mpirun, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let host = host::attach_or_host(&config).await.unwrap();
    let asked = (0..8).map(|_| {
        let socket = config.socket.clone();
        tokio::task::spawn_blocking(move || ask(&socket, "GET", "/test-mpi", b""))
    });
    for answer in futures::future::join_all(asked).await {
        let (status, body) = answer.unwrap();
        assert!(status == 503 && body.contains("broken"), "{status} {body}");
    }
    assert_eq!(ask(&config.socket, "GET", "/readyz", b"").0, 503);
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_there_for_prometheus() {
    let (_dir, host, socket) = served().await;
    let (status, text) = ask(&socket, "GET", "/metrics", b"");
    assert_eq!(status, 200);
    for line in ["dvp_jobs{state=\"queued\"} 0\n", "dvp_service_up{service=\"store\"} 1\n"] {
        assert!(text.contains(line), "{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("dvp_") && value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap();
        assert!(text.contains(&format!("# TYPE {name} ")), "{line}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_from_a_place_on_and_hold_up_no_end() {
    let (_dir, host, socket) = served().await;
    let listen = |path: &str, header: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: dvp\r\n{header}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        std::io::BufReader::new(stream)
    };
    let until = |reader: &mut std::io::BufReader<UnixStream>, words: &str| {
        let mut lines = std::io::BufRead::lines(reader).map(Result::unwrap);
        lines.find(|line| line.starts_with(words)).unwrap_or_else(|| panic!("no {words}"))
    };
    let mut all = listen("/events?after=0", "");
    let id = until(&mut all, "id: ");
    assert_eq!(until(&mut all, "event: "), "event: engine_started");
    let entry = until(&mut listen("/events?after=0", ""), "data: ");
    let entry: Value = serde_json::from_str(entry.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(format!("id: {}", entry["seq"]), id);
    let mut rest = listen("/events?after=0", &format!("last-event-id: {}\r\n", entry["seq"]));
    until(&mut rest, "content-type: text/event-stream");
    assert_eq!(ask(&socket, "GET", "/events?after=x", b"").0, 400);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), host.stop()).await;
    assert!(ended.is_ok(), "an open stream held up the end");
    let mut left = String::new();
    let _ = rest.read_to_string(&mut left);
    assert!(!left.contains("engine_started"), "told again: {left}");
}
