//! One machine, nothing else: fewer checks, each that is left out named, and a job by the API.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn validate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dvp-validate"));
    let bin = testbed::mpi::bin_dir();
    command.args(arguments).current_dir(folder).env("DVP_DATA_DIR", folder.join("data"));
    command.env("DVP_ENGINE", bin.join("dvp-engine")).env("DVP_WORKER", bin.join("dvp-worker"));
    command.env("XDG_CONFIG_HOME", folder).env("DVP_LINGER_S", "2");
    command
}

#[track_caller]
fn out(output: Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn one_machine_is_checked_and_a_job_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let text = out(validate(dir.path(), &["--job"]).output().unwrap(), 0);
    for line in [
        "DVP System Validation Script",
        "Step 1: Checking Machines and Services",
        "Checking API Server... ✓ RUNNING",
        "Checking SQLite Database... ✓ RUNNING",
        "Checking RabbitMQ Queue... - SKIPPED: no RabbitMQ is set up (RMQ_HOST)",
        "Checking SSH keys... - SKIPPED: no nodes: this machine needs no SSH",
        "Testing Storage Connection... ✓ PASSED",
        "Testing MPI hostname command... ✓ PASSED (2 processes)",
        "Passed: 8",
        "Failed: 0",
        "Skipped: 4",
        "✓ All checks passed! System is ready.",
    ] {
        assert!(text.lines().any(|own| own == line), "no '{line}' in:\n{text}");
    }
    assert!(text.contains("Testing a job through the API... ✓ PASSED (132 frames on "), "{text}");
}

#[test]
fn a_fault_is_named_with_what_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mpirun = dir.path().join("mpirun");
    std::fs::write(&mpirun, "#!/bin/sh\necho broken >&2; exit 1\n").unwrap();
    std::fs::set_permissions(&mpirun, PermissionsExt::from_mode(0o755)).unwrap();
    let json = validate(dir.path(), &["--json"]).env("DVP_MPIRUN", &mpirun).output().unwrap();
    let all: Value = serde_json::from_str(&out(json, 1)).unwrap();
    assert_eq!((&all["passed"], &all["failed"]), (&5.into(), &2.into()), "{all}");
    let checks = all["checks"].as_array().unwrap();
    let mpi = checks.iter().find(|check| check["name"] == "Testing MPI Connection").unwrap();
    assert_eq!(mpi["found"]["word"], "FAILED");
    assert!(mpi["found"]["seen"].as_str().unwrap().contains("broken"), "{mpi}");
    assert!(!mpi["found"]["mend"].as_str().unwrap().is_empty());
}

#[test]
fn without_an_engine_every_container_check_is_told_and_all_else_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let facts = "/mpi-master running healthy\n/api exited -\n";
    std::fs::write(dir.path().join("facts"), facts).unwrap();
    let facts = std::fs::File::open(dir.path().join("facts")).unwrap();
    let mut command = validate(dir.path(), &["--containers", "--connect", &url]);
    let text = out(command.stdin(facts).output().unwrap(), 1);
    for line in [
        "Checking MPI Master Node... ✓ RUNNING",
        "Checking API Server... ✗ NOT RUNNING",
        "    expected running and healthy; saw: exited",
        "Testing Worker 2 to Worker 2 (localhost)... ✗ FAILED",
        "Passed: 1",
        "Failed: 25",
    ] {
        assert!(text.lines().any(|own| own == line), "no '{line}' in:\n{text}");
    }
}
