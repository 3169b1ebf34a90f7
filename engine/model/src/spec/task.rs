//! The task table: one row a parameter. Command line, form, messages and docs all read it.

use crate::error::Reason;
use crate::spec::value::{did_you_mean, parse_milli, parse_time, quoted};

/// One task that a chain may name.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// As users write it.
    pub name: &'static str,
    /// What it does, one line.
    pub about: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
}

/// One parameter of a task, written `task.key=value`.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// The key without the task.
    pub key: &'static str,
    /// What it means, one line, with its unit.
    pub about: &'static str,
    /// Its values.
    pub kind: ParamKind,
    /// Value when not set; empty means none.
    pub default: &'static str,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum ParamKind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in a range, ends included.
    Integer(i64, i64),
    /// A decimal number in a range, ends included.
    Decimal(f64, f64),
    /// A moment: seconds or h:mm:ss(.fff).
    Time,
    /// A filter graph.
    Graph,
}

/// Shortest and longest side of a picture that is written, pixels.
pub const SIDE: (i64, i64) = (16, 8192);

/// Every task. `plan` and `input` are none: their keys go with any chain.
pub const TASKS: &[Task] = &[
    Task {
        name: "convert",
        about: "choose container, codec and sound of the output",
        params: &[
            Param {
                key: "container",
                about: "container; by the output's extension when not set",
                kind: ParamKind::Choice(super::container::NAMES),
                default: "",
            },
            Param {
                key: "codec",
                about: "video codec",
                kind: ParamKind::Choice(super::codec::NAMES),
                default: "h264",
            },
            Param {
                key: "preset",
                about: "faster or smaller, prores: its profile; by the codec when not set",
                kind: ParamKind::Choice(super::codec::PRESETS),
                default: "",
            },
            Param {
                key: "crf",
                about: "quality, lower is better and larger; by the codec when not set",
                kind: ParamKind::Decimal(0.0, 63.0),
                default: "",
            },
            Param {
                key: "pixels",
                about: "chroma and depth; auto stays as near to the film as the codec can",
                kind: ParamKind::Choice(super::codec::PIXEL_CHOICES),
                default: "auto",
            },
            Param {
                key: "audio",
                about: "sound: auto copies where it can and else encodes to aac",
                kind: ParamKind::Choice(&["auto", "copy", "aac", "flac", "none"]),
                default: "auto",
            },
        ],
    },
    Task {
        name: "resize",
        about: "scale the pictures; with one side set the other follows the aspect",
        params: &[
            Param {
                key: "width",
                about: "pixels across",
                kind: ParamKind::Integer(SIDE.0, SIDE.1),
                default: "",
            },
            Param {
                key: "height",
                about: "pixels down",
                kind: ParamKind::Integer(SIDE.0, SIDE.1),
                default: "",
            },
        ],
    },
    Task {
        name: "cut",
        about: "keep the part from start to end, exact to the frame",
        params: &[
            Param {
                key: "start",
                about: "first moment kept, seconds or h:mm:ss",
                kind: ParamKind::Time,
                default: "0",
            },
            Param {
                key: "end",
                about: "first moment no longer kept; the film's end when not set",
                kind: ParamKind::Time,
                default: "",
            },
        ],
    },
    Task {
        name: "compress",
        about: "make the file smaller: a lower quality",
        params: &[Param {
            key: "crf",
            about: "quality, lower is better and larger; by the codec when not set",
            kind: ParamKind::Decimal(0.0, 63.0),
            default: "",
        }],
    },
    Task {
        name: "filter",
        about: "pass the pictures through a preset or a filter graph",
        params: &[
            Param {
                key: "preset",
                about: "a ready-made graph",
                kind: ParamKind::Choice(super::preset::NAMES),
                default: "",
            },
            Param {
                key: "graph",
                about: "libavfilter graph out of the allowed filters, joined by commas",
                kind: ParamKind::Graph,
                default: "",
            },
        ],
    },
];

/// The `plan.*` keys.
const PLAN: &[Param] = &[
    Param {
        key: "chunk_frames",
        about: "frames a chunk; chosen by the film when not set",
        kind: ParamKind::Integer(1, 1_000_000),
        default: "",
    },
    Param {
        key: "threads_per_chunk",
        about: "encoder threads a chunk",
        kind: ParamKind::Integer(1, 16),
        default: "1",
    },
];

/// The `input.*` keys.
const INPUT: &[Param] = &[Param {
    key: "tolerate",
    about: "errors: go on where the file is damaged, in one chunk, and say what was",
    kind: ParamKind::Choice(&["nothing", "errors"]),
    default: "nothing",
}];

/// Keys that go with any chain, by their first word.
pub const GENERAL: &[(&str, &[Param])] = &[("plan", PLAN), ("input", INPUT)];

/// Tasks and general keys: first word, parameters.
fn owners() -> impl Iterator<Item = (&'static str, &'static [Param])> {
    TASKS.iter().map(|task| (task.name, task.params)).chain(GENERAL.iter().copied())
}

/// The task of that name.
pub fn task(name: &str) -> Option<&'static Task> {
    TASKS.iter().find(|task| task.name == name)
}

/// The parameters of a task, or the general ones with that first word.
pub fn params(name: &str) -> Option<&'static [Param]> {
    owners().find(|(known, _)| *known == name).map(|(_, params)| params)
}

/// The row of `task.key`.
///
/// # Errors
/// A sentence that says which part is unknown, and what was probably meant.
pub fn param(key: &str) -> Result<(&'static str, &'static Param), Reason> {
    let Some((owner, name)) = key.split_once('.') else {
        let homes: Vec<String> = owners()
            .filter(|(_, params)| params.iter().any(|param| param.key == key))
            .map(|(owner, _)| format!("{owner}.{key}"))
            .collect();
        let hint = if homes.is_empty() { "task.key".to_owned() } else { homes.join(" or ") };
        return Err(Reason::spec(format!("{} names no task: write {hint}", quoted(key))));
    };
    let Some((owner, params)) = owners().find(|(known, _)| *known == owner) else {
        return Err(Reason::spec(format!(
            "{} belongs to no task{}; tasks are {}; plan and input go with any",
            quoted(key),
            did_you_mean(owner, owners().map(|(name, _)| name)),
            names(),
        )));
    };
    params.iter().find(|param| param.key == name).map(|param| (owner, param)).ok_or_else(|| {
        let keys: Vec<&str> = params.iter().map(|param| param.key).collect();
        Reason::spec(format!(
            "{owner} has no parameter {}{}; it has {}",
            quoted(name),
            did_you_mean(name, keys.iter().copied()),
            keys.join(", "),
        ))
    })
}

/// The names of all tasks, joined by commas.
pub fn names() -> String {
    TASKS.iter().map(|task| task.name).collect::<Vec<_>>().join(", ")
}

impl ParamKind {
    /// The values that are allowed, for a person: `16 to 8192`, `mp4, mkv`.
    pub fn allowed(&self) -> String {
        match self {
            ParamKind::Choice(words) => words.join(", "),
            ParamKind::Integer(low, high) => format!("{low} to {high}"),
            ParamKind::Decimal(low, high) => format!("{low} to {high}"),
            ParamKind::Time => "seconds or h:mm:ss".to_owned(),
            ParamKind::Graph => "filters joined by commas, such as unsharp,hflip".to_owned(),
        }
    }

    /// Whether `value` is allowed for `key`, by itself.
    ///
    /// # Errors
    /// One sentence: what, and what is allowed.
    pub fn check(&self, key: &str, value: &str) -> Result<(), Reason> {
        let shown = quoted(value);
        let value = value.trim();
        let outside = || Reason::spec(format!("{key} is {shown}: it goes from {}", self.allowed()));
        match *self {
            ParamKind::Choice(words) if words.contains(&value) => Ok(()),
            ParamKind::Choice(words) => Err(Reason::spec(format!(
                "{key} is {shown}{}; it is one of {}",
                did_you_mean(value, words.iter().copied()),
                self.allowed()
            ))),
            ParamKind::Integer(low, high) => {
                let digits = value.strip_prefix('-').unwrap_or(value);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Reason::spec(format!(
                        "{key} is {shown}: it is a whole number from {low} to {high}"
                    )));
                }
                match value.parse::<i64>() {
                    Ok(number) if (low..=high).contains(&number) => Ok(()),
                    _ => Err(outside()),
                }
            }
            ParamKind::Decimal(low, high) => {
                if value.starts_with('-') {
                    return Err(outside());
                }
                match parse_milli(value) {
                    None => Err(Reason::spec(format!(
                        "{key} is {shown}: it is a number from {low} to {high}, with up to three decimals"
                    ))),
                    Some(milli) if (low..=high).contains(&(milli as f64 / 1000.0)) => Ok(()),
                    Some(_) => Err(outside()),
                }
            }
            ParamKind::Time => parse_time(value)
                .map(drop)
                .map_err(|wrong| Reason::spec(format!("{key} is {shown}, which {wrong}"))),
            ParamKind::Graph => super::filter::check(value).map(drop),
        }
    }
}

/// The parameters of all tasks, and the general keys, as README shows them.
pub fn as_markdown() -> String {
    let mut text =
        String::from("| parameter | values | default | means |\n| --- | --- | --- | --- |\n");
    for (task, params) in owners() {
        for param in params {
            let values = param.kind.allowed();
            text += &format!(
                "| `{task}.{}` | {values} | {} | {} |\n",
                param.key, param.default, param.about
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed() {
        for (owner, params) in owners() {
            for row in params {
                let key = format!("{owner}.{}", row.key);
                if !row.default.is_empty() {
                    row.kind.check(&key, row.default).unwrap();
                }
                assert_eq!(param(&key).unwrap().1.key, row.key);
            }
        }
    }

    #[test]
    fn unknown_keys_say_what_was_meant() {
        let text = |key: &str| param(key).unwrap_err().text;
        assert!(text("width").contains("resize.width"), "{}", text("width"));
        assert!(text("crf").contains("convert.crf or compress.crf"));
        assert!(text("rezise.width").contains("did you mean 'resize'"));
        assert!(text("resize.widht").contains("did you mean 'width'"));
        assert!(text("plan.chunkframes").contains("did you mean 'chunk_frames'"));
        assert!(text("").contains("task.key"));
    }

    #[test]
    fn values_outside_are_named_with_their_range() {
        let wrong = |key: &str, value: &str| {
            let (_, row) = param(key).unwrap();
            row.kind.check(key, value).unwrap_err().text
        };
        assert!(wrong("resize.width", "8193").contains("16 to 8192"));
        assert!(wrong("resize.width", "99999999999999999999").contains("16 to 8192"));
        assert!(wrong("resize.width", "-2").contains("16 to 8192"));
        assert!(wrong("resize.width", "640.5").contains("whole number"));
        assert!(wrong("convert.crf", "NaN").contains("0 to 63"));
        assert!(wrong("convert.crf", "63.001").contains("0 to 63"));
        assert!(wrong("convert.crf", "-1").contains("0 to 63"));
        assert!(wrong("convert.codec", "h24").contains("did you mean 'h264'"));
        assert!(wrong("cut.start", "-3").contains("negative"));
        assert!(wrong("plan.chunk_frames", "0").contains("1 to 1000000"));
    }
}
