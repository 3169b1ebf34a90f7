//! How a shell reaches the same data folder again: the command with the options that this process was given,
//! and words quoted so that a shell gives back their very bytes. Knows no screen and no network.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use dvp_engine::config::{Config, Source};

/// `program`, with the data folder and the engine elsewhere where a flag named them.
pub fn command(program: &OsStr, config: &Config) -> String {
    let mut command = quote(program);
    let entry = config.entries.iter().find(|entry| entry.key == "data_dir");
    if entry.is_some_and(|entry| matches!(entry.source, Source::Flag(_))) {
        command.push_str(" --data-dir ");
        command.push_str(&quote(config.data_dir.as_os_str()));
    }
    let entry = config.entries.iter().find(|entry| entry.key == "connect");
    if let Some(entry) = entry.filter(|entry| matches!(entry.source, Source::Flag(_))) {
        command.push_str(" --connect ");
        command.push_str(&quote(&entry.value));
    }
    command
}

/// A word as a shell must have it: plain, in quotes, or byte by byte where it is no printable text.
pub fn quote(word: &OsStr) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
        _ => {
            let mut quoted = "$'".to_owned();
            for byte in word.as_bytes() {
                match byte {
                    b'\'' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => quoted.push(char::from(*byte)),
                    // Three octal digits: a figure behind them is never read as one of theirs.
                    _ => drop(write!(quoted, "\\{byte:03o}")),
                }
            }
            quoted.push('\'');
            quoted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_engine::config::{Environment, Flags};

    #[test]
    fn words_survive_a_shell() {
        let quoted = |bytes: &[u8]| quote(OsStr::from_bytes(bytes));
        assert_eq!(quoted(b"/v/a.mp4"), "/v/a.mp4");
        assert_eq!(quoted(b""), "''");
        assert_eq!(quoted(b"it's"), r"'it'\''s'");
        assert_eq!(quoted(b"a\nb"), r"$'a\012b'");
        assert_eq!(quoted(b"\xff1 '\\"), r"$'\3771 \'\\'");
    }

    #[test]
    fn a_data_folder_that_was_named_is_named_again() {
        let env = Environment::of([("HOME".into(), "/home/x".into())]);
        let with = |data_dir: Option<&str>| {
            let flags = Flags { data_dir: data_dir.map(Into::into), ..Flags::default() };
            let config = Config::load_from(&flags, &env).expect("settings");
            command(OsStr::new("dvp-console"), &config)
        };
        assert_eq!(with(None), "dvp-console");
        assert_eq!(with(Some("/my data")), "dvp-console --data-dir '/my data'");
        let flags = Flags { connect: Some("http://api:8000".into()), ..Flags::default() };
        let config = Config::load_from(&flags, &env).expect("settings");
        let again = command(OsStr::new("dvp-console"), &config);
        assert_eq!(again, "dvp-console --connect http://api:8000");
    }
}
