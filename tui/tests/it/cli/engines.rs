//! Who hosts: one engine a data folder, whoever starts first, whatever way the last one ended.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use rustix::process::Signal;
use testbed::faults;
use testbed::wait::wait_for;

use super::{LIMIT, Place, finish, is_gone};

#[test]
fn starters_that_race_get_one_engine() {
    let place = Place::new();
    let started: Vec<_> = (0..6).map(|_| place.start(&["engine", "start", "--json"])).collect();
    let pids: Vec<u64> = started
        .into_iter()
        .map(|child| finish(child).expect(0).json()["pid"].as_u64().expect("a pid"))
        .collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    let socket = std::fs::symlink_metadata(place.data().join("engine.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    place.run(&["engine", "stop"]).expect(0);
    assert!(is_gone(pids[0] as u32));
    assert_eq!(place.engine(), None);
}

#[test]
fn a_background_engine_ends_when_nobody_needs_it() {
    let place = Place::new();
    place.run(&["engine", "start"]).expect(0);
    let pid = place.engine().expect("it runs");
    wait_for("the engine's end", LIMIT, || match is_gone(pid) {
        true => Ok(()),
        false => Err(format!("process {pid} lives")),
    });
    assert!(!place.data().join("engine.sock").exists());
}

#[test]
fn a_background_engine_has_no_terminal_and_a_session_of_its_own() {
    let place = Place::new();
    place.run(&["engine", "start"]).expect(0);
    let pid = place.engine().expect("it runs");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    assert_eq!(fields[3], pid.to_string(), "session: {stat}");
    assert_eq!(fields[4], "0", "terminal: {stat}");
    for fd in [0, 1, 2] {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
        let own = target == place.data().join("engine.log") || target.ends_with("null");
        assert!(own, "fd {fd} is {}", target.display());
    }
    place.run(&["engine", "stop"]).expect(0);
}

#[test]
fn a_killed_engine_is_replaced_at_once() {
    let place = Place::new();
    place.run(&["engine", "start"]).expect(0);
    let first = place.engine().expect("it runs");
    faults::kill(first);
    assert!(place.data().join("engine.sock").exists(), "its socket is left behind");
    place.run(&["engine", "start"]).expect(0);
    let second = place.engine().expect("another runs");
    assert_ne!(first, second);
    place.run(&["engine", "stop"]).expect(0);
}

#[test]
fn an_engine_that_does_not_answer_is_named() {
    let place = Place::new();
    place.run(&["engine", "start"]).expect(0);
    let pid = place.engine().expect("it runs");
    faults::freeze(pid);
    let ran = place.run(&["jobs"]).expect(6);
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    assert!(ran.err.contains(&pid.to_string()), "{ran:?}");
    faults::signal(pid, Signal::CONT);
    place.run(&["jobs"]).expect(0);
    place.run(&["engine", "stop"]).expect(0);
}

#[test]
fn looking_starts_nothing() {
    let place = Place::new();
    for line in [
        vec!["jobs"],
        vec!["nodes"],
        vec!["events"],
        vec!["tasks"],
        vec!["config"],
        vec!["engine", "status"],
    ] {
        place.run(&line).expect(0);
        assert_eq!(place.engine(), None, "{line:?}");
    }
}

#[test]
fn a_deep_data_folder_has_its_socket_elsewhere() {
    let place = Place::new();
    let deep = place.folder().join("d".repeat(100)).join("e".repeat(100));
    let runtime = place.folder().join("run");
    std::fs::create_dir(&runtime).unwrap();
    let engine = |what: &str| {
        let mut command = place.command(&["engine", what, "--json", "--data-dir"]);
        command.arg(&deep).env("XDG_RUNTIME_DIR", &runtime);
        finish(command.spawn().unwrap()).expect(0).json()
    };
    let started = engine("start");
    assert_eq!(started["running"], true);
    assert_eq!(engine("status")["pid"], started["pid"]);
    let sockets = || {
        let all = std::fs::read_dir(runtime.join("dvp")).unwrap();
        all.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "sock").count()
    };
    assert_eq!(sockets(), 1);
    engine("stop");
    assert_eq!(sockets(), 0);
}
