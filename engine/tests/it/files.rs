//! Films up, outputs down, over the API's socket with real jobs.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use dvp_engine::config::Config;
use dvp_engine::host;
use serde_json::{Value, json};

use crate::host::config;
use crate::run::bench::{Bench, LIMIT};

/// One request: status, head and body.
fn ask(config: &Config, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = UnixStream::connect(&config.socket).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let (request, headers) = head.split_once('\n').unwrap_or((head, ""));
    let head = format!(
        "{request} HTTP/1.1\r\nhost: dvp\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n",
        body.len(),
        headers.lines().map(|line| format!("{line}\r\n")).collect::<String>()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // What is refused early is not read to its end.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer.split_off(end + 4))
}

fn json_of(answer: &(u16, String, Vec<u8>)) -> Value {
    serde_json::from_slice(&answer.2)
        .unwrap_or_else(|_| panic!("{}: {}", answer.0, String::from_utf8_lossy(&answer.2)))
}

/// A form with these fields; a name with a file name after `/` is a file.
fn form(fields: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, value) in fields {
        let disposition = match name.split_once('/') {
            Some((name, file)) => format!("name=\"{name}\"; filename=\"{file}\""),
            None => format!("name=\"{name}\""),
        };
        body.extend(
            format!("--edge\r\ncontent-disposition: form-data; {disposition}\r\n\r\n").bytes(),
        );
        body.extend(*value);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    ("POST /upload\ncontent-type: multipart/form-data; boundary=edge".to_owned(), body)
}

fn uploads(config: &Config) -> usize {
    std::fs::read_dir(config.data_dir.join("uploads")).map_or(0, |found| found.count())
}

async fn completed(config: &Config, id: &str) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let job = json_of(&ask(config, &format!("GET /jobs/{id}"), b""))["job"].clone();
        match job["state"].as_str().unwrap() {
            "completed" => return job,
            "failed" => panic!("{job}"),
            state => assert!(begun.elapsed() < LIMIT, "still {state}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_goes_up_as_a_form_and_its_output_comes_down() {
    let (dir, bench) = (tempfile::tempdir().unwrap(), Bench::new());
    let config = config(dir.path());
    let host = host::attach_or_host(&config).await.unwrap();
    let film = std::fs::read(&bench.input).unwrap();
    let (head, body) = form(&[
        ("file/a b.mp4", &film),
        ("task", b"resize"),
        ("params", br#"{"resolution": "160x120"}"#),
    ]);
    let answer = ask(&config, &head, &body);
    assert_eq!(answer.0, 200, "{}", json_of(&answer));
    let id = json_of(&answer)["id"].as_str().unwrap().to_owned();
    let early = ask(&config, &format!("GET /jobs/{id}/output"), b"");
    assert!(early.0 == 409 || early.0 == 200);
    let job = completed(&config, &id).await;
    let output = std::fs::read(job["output"]["path"].as_str().unwrap()).unwrap();

    let (status, head, body) = ask(&config, &format!("GET /jobs/{id}/output"), b"");
    assert_eq!((status, body == output), (200, true), "{head}");
    let tag = format!("etag: \"{}\"", job["output"]["sha256"].as_str().unwrap());
    assert!(head.contains(&tag) && head.contains("filename*=UTF-8''a%20b.resize.mp4"), "{head}");
    let (status, head, body) =
        ask(&config, &format!("GET /jobs/{id}/output\nrange: bytes=100-"), b"");
    assert_eq!((status, body[..] == output[100..]), (206, true), "{head}");
    let (_, _, body) =
        ask(&config, &format!("GET /jobs/{id}/output\nrange: bytes=100-\nif-range: \"x\""), b"");
    assert_eq!(body, output, "another file's range was honoured");
    let beyond = ask(&config, &format!("GET /jobs/{id}/output\nrange: bytes=99999999-"), b"");
    assert_eq!(beyond.0, 416);
    let manifest = json_of(&ask(&config, &format!("GET /jobs/{id}/manifest"), b""));
    assert_eq!(manifest["job"], job["id"]);

    std::fs::remove_file(job["output"]["path"].as_str().unwrap()).unwrap();
    assert_eq!(ask(&config, &format!("GET /jobs/{id}/output"), b"").0, 404);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_become_a_job_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.upload_bytes = 5000;
    let host = host::attach_or_host(&config).await.unwrap();
    let refused = |fields: &[(&str, &[u8])], status: u16, words: &str| {
        let (head, body) = form(fields);
        let answer = ask(&config, &head, &body);
        let problem = json_of(&answer);
        assert_eq!(answer.0, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
        assert_eq!(uploads(&config), 0, "{problem}");
    };
    let film: (&str, &[u8]) = ("file/a.mp4", b"no film");
    refused(&[("task", b"convert")], 400, "no field file");
    refused(&[("file/a.exe", b"x"), ("task", b"convert")], 415, "no film by its name");
    refused(&[film], 400, "task is missing");
    refused(&[film, film], 400, "twice");
    refused(&[film, ("tusk", b"convert")], 400, "'tusk'");
    refused(&[film, ("task", b"convert"), ("params", b"{")], 400, "params is no JSON");
    refused(&[film, ("task", b"cnvert")], 400, "convert");
    refused(&[("file/a.mp4", &[0; 6000]), ("task", b"convert")], 413, "upload_gib");
    let (head, body) = form(&[film]);
    assert_eq!(ask(&config, &head, &body[..60]).0, 400);
    assert_eq!(uploads(&config), 0);
    assert_eq!(ask(&config, "GET /jobs", b"").2, b"[]");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_goes_up_in_pieces_and_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let host = host::attach_or_host(&config).await.unwrap();
    let at = "/uploads/0188a9a0-0000-4000-8000-000000000000";
    let begin = || json_of(&ask(&config, &format!("POST {at}"), br#"{"name": "a.mp4"}"#));
    let end = |bytes: u64| {
        let body = json!({ "name": "a.mp4", "bytes": bytes }).to_string();
        ask(&config, &format!("POST {at}/end"), body.as_bytes())
    };
    let send =
        |from: u64, bytes: &[u8]| ask(&config, &format!("PUT {at}?name=a.mp4&at={from}"), bytes);
    assert_eq!(begin(), json!({ "received": 0, "path": null }));
    assert_eq!(json_of(&send(0, b"abc"))["received"], 3);
    assert_eq!(send(0, b"abc").0, 409);
    assert_eq!(begin()["received"], 3);
    assert_eq!(end(5).0, 409);
    assert_eq!(json_of(&send(3, b"de"))["received"], 5);
    let path = json_of(&end(5))["path"].as_str().unwrap().to_owned();
    assert_eq!(std::fs::read(Path::new(&path)).unwrap(), b"abcde");
    assert_eq!(json_of(&end(5))["path"], path, "a second time is no harm");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_film_is_removed_a_while_after_its_jobs_end_and_its_output_stays() {
    use dvp_engine::jobs::submit;
    use dvp_engine::{Engine, Settings, Timings};
    use dvp_model::JobId;
    use dvp_model::job::{StateName, Submission};

    let bench = Bench::new();
    let id = JobId(uuid::Uuid::new_v4());
    let folder = bench.folder.path().join("data/uploads").join(id.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let film = folder.join("a.mp4");
    std::fs::copy(&bench.input, &film).unwrap();
    let timings = Timings { keep_failed: std::time::Duration::ZERO, ..Timings::default() };
    let settings = || Settings { timings, ..bench.settings() };
    let engine = Engine::start(settings()).await.unwrap();
    let submission = Submission {
        input: film.clone().into(),
        output: None,
        id: Some(id),
        ..bench.submission("", &[])
    };
    submit::submit(engine.store(), submission).await.unwrap();
    crate::run::bench::end(engine.store(), id, StateName::Completed).await;
    assert!(film.exists());
    engine.shutdown(LIMIT).await;
    // It is looked at once an hour, and at the start.
    let engine = Engine::start(settings()).await.unwrap();
    let begun = std::time::Instant::now();
    while film.exists() {
        assert!(begun.elapsed() < LIMIT, "it stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(folder.join("a.convert.mp4").exists());
    engine.shutdown(LIMIT).await;
}
