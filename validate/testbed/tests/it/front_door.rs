//! `./dvp` answers wrong words with its usage and exit code 2, and stays short.

use std::process::{Command, Output};

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
