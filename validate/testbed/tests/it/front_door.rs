//! `./dvp` answers wrong words with its usage and exit code 2, leaves nothing of a build that is broken
//! off, and stays short.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use testbed::wait::wait_for;

use crate::root;

fn dvp(arguments: &[&str]) -> Output {
    Command::new(root().join("dvp")).args(arguments).output().expect("the script runs")
}

#[test]
fn unknown_words_are_answered_with_the_usage() {
    for arguments in [&["frobnicate"][..], &["test", "--everything"]] {
        let output = dvp(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(
            errors.contains("./dvp COMMAND") && errors.contains(arguments[arguments.len() - 1]),
            "{errors}"
        );
    }
}

#[test]
fn help_names_every_command() {
    let output = dvp(&["help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for word in ["demo", "console", "engine", "test --all", "build"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
}

#[test]
fn the_script_stays_short_and_without_loops() {
    let script = std::fs::read_to_string(root().join("dvp")).expect("the script is text");
    assert!(script.lines().count() < 150);
    let looping = |line: &&str| {
        ["for ", "while ", "until "].iter().any(|word| line.trim_start().starts_with(word))
    };
    assert_eq!(script.lines().find(looping), None);
}

/// A workspace of one program that is built by `build`, with the script at its root.
fn small_workspace(at: &Path, build: &str) {
    for folder in ["engine/src", "mpi-worker", "tui", "validate"] {
        fs::create_dir_all(at.join(folder)).expect("a folder");
    }
    let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"engine\"]\n[workspace.package]\n\
                    rust-version = \"1.85\"\n";
    let package = "[package]\nname = \"small\"\nversion = \"1.0.0\"\nedition = \"2024\"\n";
    for (name, text) in [
        ("Cargo.toml", manifest),
        ("Cargo.lock", "version = 4\n[[package]]\nname = \"small\"\nversion = \"1.0.0\"\n"),
        ("engine/Cargo.toml", package),
        ("engine/src/main.rs", "fn main() {}\n"),
        ("engine/build.rs", build),
    ] {
        fs::write(at.join(name), text).expect("a file");
    }
    fs::copy(root().join("dvp"), at.join("dvp")).expect("the script");
}

#[test]
fn ctrl_c_during_a_build_leaves_nothing_and_the_next_build_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let started = at.join("started");
    let forever = format!(
        "fn main() {{ std::fs::write({started:?}, \"\").unwrap(); loop {{ std::thread::park() }} }}\n"
    );
    small_workspace(at, &forever);
    let build = || {
        let mut command = Command::new(at.join("dvp"));
        command.arg("build").env("CARGO_TARGET_DIR", at.join("target")).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the script runs")
    };
    let building = build();
    wait_for("the build's start", Duration::from_secs(120), || match started.exists() {
        true => Ok(()),
        false => Err("no build script runs".to_owned()),
    });
    let group = Pid::from_child(&building);
    kill_process_group(group, Signal::INT).expect("a signal");
    let ended = building.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    let left = || {
        let names = fs::read_dir(at.join("target/debug")).expect("a folder").flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".dvp")).collect::<Vec<_>>()
    };
    assert_eq!(left(), Vec::<String>::new(), "{said}");

    fs::write(at.join("engine/build.rs"), "fn main() {}\n").expect("a file");
    let ended = build().wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(left(), [".dvp-stamp"]);
    // Nothing changed: nothing is said, because nothing is done.
    let ended = build().wait_with_output().expect("it ends");
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}
