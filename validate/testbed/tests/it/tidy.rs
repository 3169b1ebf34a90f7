//! Rules of the house that a compiler doesn't check: what each file opens with, who may use whom, how
//! long a room may grow, and that the documents' links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;

/// Lines without tests that a file may have.
const LONGEST: usize = 500;

/// Tracked and new files (ignored ones left out) whose name ends so.
fn files(ending: &str) -> Vec<PathBuf> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(listing.status.success(), "{listing:?}");
    let files: Vec<PathBuf> = String::from_utf8(listing.stdout)
        .expect("our file names are UTF-8")
        .split_terminator('\0')
        .filter(|name| name.ends_with(ending))
        .map(|name| root().join(name))
        .filter(|path| path.exists())
        .collect();
    assert!(!files.is_empty(), "no file ends with {ending}");
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

#[test]
fn every_file_says_what_it_is_for() {
    let faults: Vec<String> = files(".rs")
        .iter()
        .filter(|path| !read(path).starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    assert_none("files that do not open with //!", &faults);
}

#[test]
fn no_file_is_a_hub() {
    let faults: Vec<String> = files(".rs")
        .iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter_map(|path| {
            let text = read(path);
            let own = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
            (own > LONGEST).then(|| format!("{}: {own} lines", path.display()))
        })
        .collect();
    assert_none("files to split", &faults);
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME")];
    let mut faults = Vec::new();
    for path in files(".rs") {
        for (number, line) in read(&path).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                faults.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none("unfinished", &faults);
}

/// Who must not know whom: (crate folder, crates that its manifest must not name).
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "engine/model",
        &["tokio", "dvp-engine", "dvp-worker", "dvp-console", "sqlx", "mpi", "ffmpeg-next"],
    ),
    ("engine", &["ratatui", "crossterm", "mpi", "ffmpeg-next", "dvp-worker", "dvp-console"]),
    (
        "mpi-worker",
        &["sqlx", "lapin", "aws-sdk-s3", "openssh", "dvp-engine", "dvp-console", "tokio"],
    ),
    ("tui", &["sqlx", "lapin", "aws-sdk-s3", "openssh", "mpi", "ffmpeg-next", "dvp-worker"]),
];

#[test]
fn imports_point_the_right_way() {
    let mut faults = Vec::new();
    for (folder, forbidden) in FORBIDDEN {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let own = manifest.split("[dev-dependencies").next().unwrap_or_default();
        for name in *forbidden {
            if own
                .lines()
                .any(|line| line.split(['=', '.']).next().is_some_and(|key| key.trim() == *name))
            {
                faults.push(format!("{folder} depends on {name}"));
            }
        }
    }
    assert_none("arrows that point the wrong way", &faults);
}

#[test]
fn the_model_is_pure() {
    let impure = [
        "std::fs",
        "std::net",
        "std::process",
        "SystemTime",
        "Instant::now",
        "std::env",
        "async fn",
    ];
    let mut faults = Vec::new();
    for path in files(".rs").iter().filter(|path| path.starts_with(root().join("engine/model/src")))
    {
        for (number, line) in read(path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if impure.iter().any(|word| code.contains(word)) {
                faults.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none("I/O, async or a clock in the model", &faults);
}

/// What may be written only in these files: (crate folder, words, files).
const PLACES: &[(&str, &str, &[&str])] = &[
    ("engine/src", "Command::new", &["exec/local.rs", "host/background.rs"]),
    ("engine/src", "tokio::spawn", &["tasks.rs"]),
    ("engine/src", "env::var", &["config/layers.rs", "exec/local.rs"]),
    ("engine/src", "sqlx::", &["store/db.rs", "store/mod.rs"]),
    ("engine/src", "aws_sdk_s3::", &["objects/s3.rs", "objects/multipart.rs", "objects/health.rs"]),
    ("tui/src", "Command::new", &["demo/clip.rs"]),
    ("tui/src", "env::var", &["demo/clip.rs", "terminal.rs"]),
    ("mpi-worker/src", "Command::new", &[]),
];

#[test]
fn what_touches_the_outside_has_its_place() {
    let mut faults = Vec::new();
    for (folder, words, allowed) in PLACES {
        let folder = root().join(folder);
        for path in files(".rs") {
            let Ok(inside) = path.strip_prefix(&folder) else { continue };
            let text = read(&path);
            let own = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
            let code =
                |line: &&str| line.split("//").next().is_some_and(|code| code.contains(words));
            let is_test = inside.to_string_lossy().ends_with("_tests.rs");
            if !is_test && !allowed.iter().any(|file| inside.ends_with(file)) {
                faults.extend(own.filter(code).map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert_none("out of place", &faults);
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut faults = Vec::new();
    let mut links = 0;
    for path in files(".md") {
        let text = read(&path);
        let folder = path.parent().expect("a file lies in a folder");
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            if !folder.join(target).exists() {
                faults.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(links > 0, "no document has a link");
    assert_none("dead links", &faults);
}
