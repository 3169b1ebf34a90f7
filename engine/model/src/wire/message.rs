//! The message on `video_jobs`: `{"job_id": .., "video_path": "bucket/key", "task": "resize", "params":
//! {"resolution": "720p"}}`. A producer's names for parameters are aliases of the task table's. Everything
//! that is wrong with a message is said at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::Reason;
use crate::id::JobId;
use crate::job::Submission;
use crate::path::FilePath;
use crate::spec::SpecText;
use crate::spec::task::{self, GENERAL};
use crate::spec::value::{did_you_mean, quoted};
use crate::wire::api::Errors;

/// The longest message, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// The longest text in it, in bytes: longer than an S3 key and a file's usual path.
const LONGEST_TEXT: usize = 2000;

/// The fields of a message.
pub const FIELDS: &[&str] = &["job_id", "video_path", "task", "params", "output", "priority"];

/// Other names of parameters: `(name in a message, ours)`.
pub const ALIASES: &[(&str, &str)] = &[
    ("output_format", "convert.container"),
    ("codec", "convert.codec"),
    ("start_time", "cut.start"),
    ("end_time", "cut.end"),
];

/// Other names of codecs: `(name in a message, ours)`.
const CODECS: &[(&str, &str)] = &[
    ("libx264", "h264"),
    ("x264", "h264"),
    ("avc", "h264"),
    ("libx265", "hevc"),
    ("h265", "hevc"),
];

/// Reads a message.
///
/// # Errors
/// All that is wrong with its form. Whether its tasks and parameters fit together, and whether the video
/// is there, is for the door to say.
pub fn parse(bytes: &[u8]) -> Result<Submission, Errors> {
    if bytes.len() > LONGEST {
        let text = format!("the message has {} bytes: {LONGEST} are the most", bytes.len());
        return Err(Reason::spec(text).into());
    }
    let fields = match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(Reason::spec("the message is no JSON object").into()),
        Err(error) => {
            return Err(Reason::spec(format!("the message is no JSON: {error}")).into());
        }
    };
    let mut reading = Reading { fields, wrong: Vec::new() };
    reading.check_names();
    let id = reading.job_id();
    let input = reading.place("video_path", true);
    let output = reading.place("output", false);
    let priority = reading.priority();
    let tasks = reading.tasks();
    let spec = reading.spec(tasks);
    match (id, input) {
        (Some(id), Some(input)) if reading.wrong.is_empty() => Ok(Submission {
            input,
            spec,
            output,
            ranks: None,
            priority,
            force: false,
            batch: None,
            id: Some(id),
        }),
        _ => Err(Errors { errors: reading.wrong }),
    }
}

struct Reading {
    fields: Map<String, Value>,
    wrong: Vec<Reason>,
}

impl Reading {
    fn refuse(&mut self, text: impl AsRef<str>) {
        self.wrong.push(Reason::spec(text));
    }

    fn check_names(&mut self) {
        let unknown: Vec<String> =
            self.fields.keys().filter(|name| !FIELDS.contains(&name.as_str())).cloned().collect();
        for name in unknown {
            self.refuse(format!(
                "the message has no field {}{}; there are {}",
                quoted(&name),
                did_you_mean(&name, FIELDS.iter().copied()),
                FIELDS.join(", ")
            ));
        }
    }

    /// A field's text; null is as good as nothing.
    fn text(&mut self, name: &str, needed: bool) -> Option<String> {
        match self.fields.get(name).cloned() {
            Some(Value::String(text)) => match unfit(&text) {
                None if text.trim().is_empty() => self.refuse(format!("{name} is empty")),
                None => return Some(text),
                Some(why) => self.refuse(format!("{name} {why}")),
            },
            None | Some(Value::Null) if needed => self.refuse(format!("{name} is missing")),
            None | Some(Value::Null) => {}
            Some(_) => self.refuse(format!("{name} is no text")),
        }
        None
    }

    fn job_id(&mut self) -> Option<JobId> {
        let text = self.text("job_id", true)?;
        let id = text.parse().ok();
        if id.is_none() {
            self.refuse(format!("job_id {} is no UUID", quoted(&text)));
        }
        id
    }

    /// `bucket/key` or `s3://bucket/key` on S3, or an absolute path of a file.
    fn place(&mut self, name: &str, needed: bool) -> Option<FilePath> {
        let text = self.text(name, needed)?;
        let on_s3 = |rest: &str| {
            let (bucket, key) = rest.split_once('/')?;
            let is_bucket = (3..=63).contains(&bucket.len())
                && bucket.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
                });
            (is_bucket && !key.is_empty()).then(|| format!("s3://{rest}"))
        };
        let place = match text.strip_prefix("s3://") {
            Some(rest) => on_s3(rest),
            None if text.starts_with('/') => Some(text.clone()),
            None if text.contains("://") => None,
            None => on_s3(&text),
        };
        let climbs = text.split('/').any(|part| part == "..");
        match place {
            Some(_) if climbs => {
                self.refuse(format!("{name} {} holds ..: name the place itself", quoted(&text)));
                None
            }
            Some(place) => Some(FilePath::from(place)),
            None => {
                self.refuse(format!(
                    "{name} {} is neither bucket/key on S3 nor the absolute path of a file",
                    quoted(&text)
                ));
                None
            }
        }
    }

    fn priority(&mut self) -> i32 {
        match self.fields.get("priority") {
            None | Some(Value::Null) => 0,
            Some(value) => match value.as_i64().and_then(|number| i32::try_from(number).ok()) {
                Some(number) => number,
                None => {
                    self.refuse("priority is no whole number");
                    0
                }
            },
        }
    }

    /// One task, or a list of them.
    fn tasks(&mut self) -> Vec<String> {
        let values = match self.fields.get("task").cloned() {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(value) => vec![value],
        };
        if values.is_empty() {
            self.refuse(format!("task is missing: name one of {}", task::names()));
        }
        let mut tasks = Vec::new();
        for value in values {
            match value {
                Value::String(text) => match unfit(&text) {
                    None => tasks.push(text.trim().to_lowercase()),
                    Some(why) => self.refuse(format!("task {why}")),
                },
                _ => self.refuse("task is neither a text nor a list of texts"),
            }
        }
        tasks
    }

    fn spec(&mut self, mut tasks: Vec<String>) -> SpecText {
        let params = match self.fields.get("params").cloned() {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => {
                self.refuse("params is no JSON object");
                Map::new()
            }
        };
        let mut set = BTreeMap::new();
        for (name, value) in params {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => {
                    self.refuse(format!("params: {} is no text or number", quoted(&name)));
                    continue;
                }
            };
            if let Some(why) = unfit(&name).or_else(|| unfit(&text)) {
                self.refuse(format!("params: {} {why}", quoted(&name)));
                continue;
            }
            match translated(&name, &text, &tasks) {
                Ok(pairs) => {
                    for (key, value) in pairs {
                        if set.insert(key.clone(), value).is_some() {
                            self.refuse(format!("params set {key} twice, under two names"));
                        }
                    }
                }
                Err(reason) => self.wrong.push(reason),
            }
        }
        // Codec and container go with any task; the chain's last one names the output.
        if set.keys().any(|key| key.starts_with("convert."))
            && !tasks.iter().any(|it| it == "convert")
        {
            tasks.insert(0, "convert".to_owned());
        }
        SpecText { tasks, set }
    }
}

/// Why a text can't be taken, whatever it should mean.
fn unfit(text: &str) -> Option<String> {
    if text.chars().any(char::is_control) {
        return Some("holds a control character".to_owned());
    }
    (text.len() > LONGEST_TEXT)
        .then(|| format!("has {} bytes: {LONGEST_TEXT} are the most", text.len()))
}

/// What a parameter means in the task table's keys.
fn translated(name: &str, value: &str, tasks: &[String]) -> Result<Vec<(String, String)>, Reason> {
    let one = |key: &str, value: &str| Ok(vec![(key.to_owned(), value.to_owned())]);
    if name.contains('.') {
        return one(name, value);
    }
    if name == "resolution" {
        return resolution(value);
    }
    if let Some((_, key)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return match *key {
            "convert.container" => one(key, &value.trim_start_matches('.').to_lowercase()),
            "convert.codec" => {
                let lower = value.to_lowercase();
                let ours = CODECS.iter().find(|(alias, _)| *alias == lower);
                one(key, ours.map_or(lower.as_str(), |(_, ours)| ours))
            }
            _ => one(key, value),
        };
    }
    // A task of the chain that has such a parameter, else convert, which goes with any.
    let owners = tasks.iter().map(String::as_str).chain(["convert"]);
    for owner in owners {
        let params = task::task(owner).map_or(&[][..], |task| task.params);
        if params.iter().any(|param| param.key == name) {
            return one(&format!("{owner}.{name}"), value);
        }
    }
    let general = GENERAL.iter().find(|(_, params)| params.iter().any(|param| param.key == name));
    if let Some((owner, _)) = general {
        return one(&format!("{owner}.{name}"), value);
    }
    match name {
        "bitrate" | "video_bitrate" => Err(Reason::spec(format!(
            "params: {name} is not taken, since DVP keeps a quality and not a size: give crf (0 to 51, \
             lower is better; compress takes 28 unless told)"
        ))),
        "duration" => Err(Reason::spec(
            "params: duration is not taken: give end_time, the first moment no longer kept",
        )),
        _ => {
            let in_chain = tasks.iter().filter_map(|name| task::task(name));
            let known = in_chain.flat_map(|task| task.params.iter().map(|param| param.key));
            let known: Vec<&str> = known
                .chain(ALIASES.iter().map(|(alias, _)| *alias))
                .chain(["resolution"])
                .collect();
            Err(Reason::spec(format!(
                "params: no task of this message has the parameter {}{}; there are {}",
                quoted(name),
                did_you_mean(name, known.iter().copied()),
                known.join(", ")
            )))
        }
    }
}

/// `720p` and `720` are heights, `1280x720` is both sides.
fn resolution(value: &str) -> Result<Vec<(String, String)>, Reason> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let lower = value.to_lowercase();
    let height = lower.strip_suffix('p').unwrap_or(&lower);
    if is_number(height) {
        return Ok(vec![("resize.height".to_owned(), height.to_owned())]);
    }
    match lower.split_once('x') {
        Some((width, height)) if is_number(width) && is_number(height) => Ok(vec![
            ("resize.width".to_owned(), width.to_owned()),
            ("resize.height".to_owned(), height.to_owned()),
        ]),
        _ => Err(Reason::spec(format!(
            "params: resolution {} is not understood: write 720p or 1280x720",
            quoted(value)
        ))),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
