//! Whole jobs from the command line: waited for, interrupted, killed, handed over, cancelled.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;
use testbed::clip::Clip;
use testbed::faults;
use testbed::wait::wait_for;

use super::{LIMIT, Place, finish, is_gone};

fn small(place: &Place, name: &str) -> PathBuf {
    Clip::new(&format!("{name}.mp4")).frames(96).audio("aac").make(place.folder())
}

/// A film that takes a while: ten chunks of [`long`]'s slow preset.
fn longer(place: &Place) {
    Clip::new("longer.mp4").size(640, 360).frames(240).audio("aac").make(place.folder());
}

/// Work that takes a while: a slow preset, many chunks.
fn long<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["submit"];
    line.extend(more);
    line.extend(["--set", "plan.chunk_frames=24", "--set", "convert.preset=slow"]);
    line
}

#[test]
fn a_job_from_submit_to_a_verified_output() {
    let place = Place::new();
    small(&place, "film");
    let line =
        ["submit", "film.mp4", "--wait", "--json", "--ranks", "2", "--set", "plan.chunk_frames=24"];
    let ran = place.run(&line).expect(0);
    let job = ran.json();
    assert_eq!(job["state"], "completed");
    assert!(job["reason"].is_null() && job["phase"].is_null(), "{job}");
    assert_eq!((&job["chunks_total"], &job["chunks_done"]), (&4.into(), &4.into()));
    assert_eq!((&job["ranks"], &job["attempts"]), (&2.into(), &1.into()));
    let chunks = job["chunks"].as_array().expect("chunks");
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk["index"], index);
        assert_eq!(chunk["state"], "done");
        assert_eq!((&chunk["frames"], &chunk["attempts"]), (&24.into(), &1.into()), "{chunk}");
        assert_eq!(chunk["accepted"], 1);
        assert_eq!(chunk["sha256"].as_str().map(str::len), Some(64), "{chunk}");
    }
    let output = place.folder().join("film.convert.mp4");
    assert_eq!(job["output"]["path"], output.to_str().unwrap());
    assert_eq!(job["output"]["frames"], 96);
    let bytes = std::fs::read(&output).unwrap();
    assert_eq!(job["output"]["bytes"], bytes.len());
    let sum = testbed::reference::run("sha256sum", [&output]);
    let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
    assert!(sum.starts_with(job["output"]["sha256"].as_str().unwrap()), "{sum}");
    // Afterwards: the same from the store, without anybody hosting.
    assert_eq!(place.engine(), None);
    let id = job["id"].as_str().unwrap();
    let mut again = place.job(&id[..6]);
    again["eta_ms"] = job["eta_ms"].clone();
    assert_eq!(again, job);
    let listed = place.run(&["jobs", "--json"]).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert!(listed[0]["chunks"].is_null());
    let log = place.run(&["log", id]).expect(0).out;
    for word in ["submitted", "planned", "launch 1: ", "accepted chunk 3", "completed"] {
        assert!(log.contains(word), "'{word}' in {log}");
    }
    // Again without --force: the output stays.
    place.run(&line).expect(3);
    place.run(&[&line[..], &["--force"]].concat()).expect(0);
    assert_eq!(std::fs::read(&output).unwrap(), bytes, "the same bytes");
}

#[test]
fn several_inputs_go_into_a_folder() {
    let place = Place::new();
    small(&place, "one");
    small(&place, "two");
    std::fs::create_dir(place.folder().join("out")).unwrap();
    let ran = place
        .run(&[
            "submit",
            "one.mp4",
            "two.mp4",
            "-o",
            "out",
            "--wait",
            "--json",
            "--task",
            "resize",
            "--set",
            "resize.height=90",
        ])
        .expect(0);
    let jobs: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0]["batch"], jobs[1]["batch"]);
    for name in ["out/one.resize.mp4", "out/two.resize.mp4"] {
        assert!(place.folder().join(name).is_file(), "{name}");
    }
    // All or none: a folder among the inputs refuses both.
    let ran = place.run(&["submit", "one.mp4", "out", "--wait"]).expect(3);
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    assert_eq!(place.ids().len(), 2);
}

#[test]
fn submit_without_wait_leaves_the_job_to_a_background_engine() {
    let place = Place::new();
    small(&place, "film");
    let job = place.run(&["submit", "film.mp4", "--json"]).expect(0).json();
    let id = job["id"].as_str().unwrap();
    let pid = place.engine().expect("an engine was started");
    let job = place.run(&["job", id, "--wait", "--json"]).expect(0).json();
    assert_eq!(job["state"], "completed");
    wait_for("the engine's end", LIMIT, || match is_gone(pid) {
        true => Ok(()),
        false => Err(format!("process {pid} lives")),
    });
}

#[test]
fn ctrl_c_hands_the_job_over_and_says_so() {
    let place = Place::new();
    longer(&place);
    let waiting = place.start(&long(&["longer.mp4", "--wait", "--json"]));
    let id = wait_for("the job", LIMIT, || place.ids().pop().ok_or("no job".to_owned()));
    place.wait_for_job("a chunk", &id, |job| job["chunks_done"].as_u64() > Some(0));
    faults::signal(waiting.id(), Signal::INT);
    let ran = finish(waiting).expect(130);
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    assert!(ran.err.contains(&id[..8]) && ran.err.contains("goes on"), "{ran:?}");
    let engine = place.engine().expect("a background engine has it");
    assert!(ran.err.contains(&engine.to_string()), "{ran:?}");
    let job = place.run(&["job", &id, "--wait", "--json"]).expect(0).json();
    let again: u64 = attempts(&job).iter().filter(|tries| **tries > 1).count() as u64;
    assert!(again <= 4, "only what was in flight is done again: {job}");
    assert!(attempts(&job).contains(&1), "{job}");
}

#[test]
fn ctrl_c_at_a_wait_for_several_jobs_names_them_all() {
    let place = Place::new();
    longer(&place);
    std::fs::copy(place.folder().join("longer.mp4"), place.folder().join("other.mp4")).unwrap();
    let waiting = place.start(&long(&["longer.mp4", "other.mp4", "--wait"]));
    let ids = wait_for("both jobs", LIMIT, || match place.ids() {
        ids if ids.len() == 2 => Ok(ids),
        ids => Err(format!("{ids:?}")),
    });
    faults::signal(waiting.id(), Signal::INT);
    let ran = finish(waiting).expect(130);
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    for word in [&ids[0][..8], &ids[1][..8], "go on in a background engine", "jobs` lists them"] {
        assert!(ran.err.contains(word), "'{word}': {ran:?}");
    }
    for id in &ids {
        place.run(&["cancel", id]).expect(0);
        place.wait_for_job("its end", id, |job| job["state"] == "cancelled");
    }
}

#[test]
fn a_killed_host_loses_nothing_and_the_next_one_goes_on() {
    let place = Place::new();
    longer(&place);
    let mut waiting = place.start(&long(&["longer.mp4", "--wait"]));
    let id = wait_for("the job", LIMIT, || place.ids().pop().ok_or("no job".to_owned()));
    let before = place.wait_for_job("two chunks", &id, |job| job["chunks_done"].as_u64() > Some(1));
    faults::kill(waiting.id());
    waiting.wait().unwrap();
    let after = place.run(&["job", &id, "--wait", "--json"]).expect(0).json();
    assert_eq!(after["state"], "completed");
    let done = |job: &Value| -> Vec<(u64, String)> {
        let chunks = job["chunks"].as_array().unwrap().iter();
        chunks
            .filter(|chunk| chunk["accepted"] == 1)
            .map(|chunk| (chunk["index"].as_u64().unwrap(), chunk.to_string()))
            .collect()
    };
    let after_all = done(&after);
    for chunk in done(&before) {
        assert!(after_all.contains(&chunk), "an accepted chunk was done again: {chunk:?}");
    }
    // The bytes of an undisturbed run.
    let undisturbed = long(&["longer.mp4", "--wait", "--json", "-o", "second.mp4"]);
    let second = place.run(&undisturbed).expect(0).json();
    assert_eq!(second["output"]["sha256"], after["output"]["sha256"]);
    assert!(attempts(&second).iter().all(|tries| *tries == 1), "{second}");
}

#[test]
fn cancel_ends_the_wait_with_its_own_code() {
    let place = Place::new();
    longer(&place);
    let waiting = place.start(&long(&["longer.mp4", "--wait", "--json"]));
    let id = wait_for("the job", LIMIT, || place.ids().pop().ok_or("no job".to_owned()));
    place.wait_for_job("work", &id, |job| job["state"] == "running");
    place.run(&["cancel", &id]).expect(0);
    let job = finish(waiting).expect(5).json();
    assert_eq!(job["state"], "cancelled");
    assert!(!place.folder().join("longer.convert.mp4").exists());
    wait_for("the end of its processes", LIMIT, || match faults::tagged(&id).as_slice() {
        [] => Ok(()),
        left => Err(format!("{left:?}")),
    });
    place.run(&["cancel", &id]).expect(0);
    let ran = place.run(&["release", &id]).expect(4);
    assert!(ran.err.contains("cancelled"), "{ran:?}");
}

#[test]
fn held_jobs_wait_for_their_release() {
    let place = Place::new();
    longer(&place);
    let job = place.run(&long(&["longer.mp4", "--json"])).expect(0).json();
    let id = job["id"].as_str().unwrap();
    place.wait_for_job("a chunk", id, |job| job["chunks_done"].as_u64() > Some(0));
    place.run(&["hold", id]).expect(0);
    let held = place.wait_for_job("the hold", id, |job| job["state"] == "held");
    assert!(held["chunks_done"].as_u64() > Some(0), "what was accepted stays: {held}");
    // Whoever waits is told, once, and at Ctrl-C that nothing goes on.
    let said = place.folder().join("said");
    let mut waiting = place.command(&["job", id, "--wait"]);
    waiting.stderr(std::fs::File::create(&said).unwrap());
    let waiting = waiting.spawn().unwrap();
    let read = || std::fs::read_to_string(&said).unwrap();
    wait_for("the remark", LIMIT, || match read() {
        text if text.contains("is held by a person") => Ok(()),
        text => Err(text),
    });
    faults::signal(waiting.id(), Signal::INT);
    finish(waiting).expect(130);
    let text = read();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains(&format!("release {}", &id[..8])), "{text}");
    assert!(lines[1].contains("stays held") && !lines[1].contains("goes on"), "{text}");
    place.run(&["release", id]).expect(0);
    let job = place.run(&["job", id, "--wait", "--json"]).expect(0).json();
    assert_eq!(job["state"], "completed");
}

#[test]
fn what_is_said_names_the_data_folder_that_was_given() {
    let place = Place::new();
    longer(&place);
    let data = place.data();
    let data = data.to_str().expect("the test's folder is UTF-8");
    let waiting =
        place.start(&[&["--data-dir", data][..], &long(&["longer.mp4", "--wait"])[..]].concat());
    let id = wait_for("the job", LIMIT, || place.ids().pop().ok_or("no job".to_owned()));
    faults::signal(waiting.id(), Signal::INT);
    let ran = finish(waiting).expect(130);
    let follow = format!("`dvp-console --data-dir {data} job {} --wait`", &id[..8]);
    assert!(ran.err.contains(&follow), "{ran:?}");
    place.run(&["cancel", &id]).expect(0);
    place.wait_for_job("its end", &id, |job| job["state"] == "cancelled");
}

#[test]
fn settings_that_nobody_set_are_shown_as_they_work() {
    let place = Place::new();
    for line in place.run(&["config", "--json"]).expect(0).out.lines() {
        let setting: Value = serde_json::from_str(line).unwrap();
        if ["worker", "engine", "slots", "database", "data_dir"]
            .contains(&setting["key"].as_str().unwrap())
        {
            assert_ne!(setting["value"], "", "{setting}");
        }
    }
    let ran = place.run(&["job", "zzz"]).expect(3);
    assert!(ran.err.contains("dvp-console jobs"), "{ran:?}");
}

fn attempts(job: &Value) -> Vec<u64> {
    let chunks = job["chunks"].as_array().expect("chunks");
    chunks.iter().map(|chunk| chunk["attempts"].as_u64().expect("a count")).collect()
}
