//! Where a value comes from: one layer over the other, the highest that speaks wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use dvp_model::error::Reason;
use dvp_model::path::printable;
use dvp_model::wire::api::Errors;

use super::keys::{KEYS, Key};
use super::{Flags, places};

/// Environment variables, read once.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Those that the caller lists.
    pub fn of(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty())
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path) => f.write_str(&printable(&path.to_string_lossy())),
            Source::Env(name) => f.write_str(name),
            Source::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One value with its source.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name of the setting.
    pub key: &'static str,
    /// Its value as given; empty means not set.
    pub value: OsString,
    /// Where it comes from.
    pub source: Source,
    /// It may hold a password.
    pub secret: bool,
}

impl Entry {
    /// The value for a person: cleaned, a password masked.
    pub fn shown(&self) -> String {
        let text = printable(&self.value.to_string_lossy());
        if self.secret { masked(&text) } else { text }
    }
}

/// `scheme://user:password@rest` without the password; other text with a password in it is hidden whole.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return if text.is_empty() { String::new() } else { "***".to_owned() };
    };
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            format!("{scheme}://{user}:***@{host}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

/// Every setting of [`KEYS`] with the value of the highest layer that has one.
pub(super) fn entries(flags: &Flags, env: &Environment, file: &Path) -> Result<Vec<Entry>, Errors> {
    let from_file = read_file(file, flags.file.is_some())?;
    let mut entries = Vec::new();
    for key in KEYS {
        let (value, source) = match layered(key, flags, env, &from_file, file) {
            Some(found) => found,
            None if key.name == "data_dir" => {
                (places::data_dir(env)?.into_os_string(), Source::Default)
            }
            None => (key.default.into(), Source::Default),
        };
        entries.push(Entry { key: key.name, value, source, secret: key.secret });
    }
    Ok(entries)
}

fn layered(
    key: &Key,
    flags: &Flags,
    env: &Environment,
    from_file: &BTreeMap<String, String>,
    file: &Path,
) -> Option<(OsString, Source)> {
    let from_flag = match key.flag {
        Some("--data-dir") => flags.data_dir.clone(),
        Some("--connect") => flags.connect.clone(),
        _ => None,
    };
    if let (Some(value), Some(flag)) = (from_flag, key.flag) {
        return Some((value, Source::Flag(flag)));
    }
    let variable = key.variable();
    if let Some(value) = env.get(&variable) {
        return Some((value.clone(), Source::Env(variable)));
    }
    let value = from_file.get(key.name)?;
    Some((value.into(), Source::File(file.to_owned())))
}

/// The file's keys as text. A file that nobody named may be missing.
fn read_file(file: &Path, named: bool) -> Result<BTreeMap<String, String>, Errors> {
    let at = printable(&file.to_string_lossy());
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
            return Ok(BTreeMap::new());
        }
        Err(error) => {
            return Err(Reason::spec(format!("cannot read the configuration {at}: {error}")).into());
        }
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Reason::spec(format!("{at}, line {line}: {}", error.message()))
    })?;
    let (mut values, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, value) in table {
        let text = match value {
            toml::Value::String(text) => Some(text),
            toml::Value::Integer(number) => Some(number.to_string()),
            toml::Value::Boolean(value) => Some(value.to_string()),
            _ => None,
        };
        match text {
            _ if !KEYS.iter().any(|key| key.name == name) => {
                let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
                errors.push(Reason::spec(format!(
                    "{at}: there is no setting '{name}'; there are {}",
                    known.join(", ")
                )));
            }
            Some(text) => drop(values.insert(name, text)),
            None => errors.push(Reason::spec(format!("{at}: give {name} a text or a number"))),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(Errors { errors }) }
}
