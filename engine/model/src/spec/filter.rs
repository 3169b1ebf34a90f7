//! Reads a filter graph that a user wrote, checks it against the table of allowed filters, and says what
//! it means for cutting the film into chunks. Text only: libavfilter never sees a graph that is not
//! written anew from the table's own names.

use std::fmt::Write;

use crate::error::Reason;
use crate::spec::allow::{FILTERS, Filter, Opt, REFUSED, Reach, Value};
use crate::spec::value::{did_you_mean, parse_time, quoted};

/// A graph has at most so many filters.
const MOST_FILTERS: usize = 16;
/// A graph is at most so many bytes long.
const MOST_BYTES: usize = 1000;

/// A checked graph and what it means for chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The graph, written anew: every option by its name, no quotes, no blanks.
    pub graph: String,
    /// Frames that it needs before a chunk's window, and after it.
    pub margin: (u32, u32),
    /// Why the film must run in one chunk, if so.
    pub one_chunk: Option<String>,
    /// Its floats differ between CPU generations: the CPU class belongs to the fingerprint.
    pub cpu_dependent: bool,
    /// Frames at the start of what it is given for which it gives none.
    pub swallowed: u32,
    /// It must be given so many frames, or it never ends (atadenoise of FFmpeg 5.1).
    pub least: u32,
}

/// Checks a graph: a chain of filters joined by commas, each `name=value:key=value`.
///
/// # Errors
/// One sentence of kind [`crate::error::Kind::Spec`]: which filter or option, and what is allowed.
pub fn check(graph: &str) -> Result<Checked, Reason> {
    if graph.len() > MOST_BYTES {
        return Err(wrong(format!("the graph is longer than {MOST_BYTES} bytes")));
    }
    let mut checked = Checked {
        graph: String::new(),
        margin: (0, 0),
        one_chunk: None,
        cpu_dependent: false,
        swallowed: 0,
        least: 1,
    };
    let chain = split_chain(graph)?;
    if chain.len() > MOST_FILTERS {
        return Err(wrong(format!("the graph has more than {MOST_FILTERS} filters")));
    }
    for link in &chain {
        let (row, options) = check_link(link)?;
        if !checked.graph.is_empty() {
            checked.graph.push(',');
        }
        checked.graph.push_str(row.name);
        for (at, (option, value)) in options.iter().enumerate() {
            let separator = if at == 0 { '=' } else { ':' };
            let _ = write!(checked.graph, "{separator}{}={value}", option.names[0]);
        }
        let number = |name: &str, default: u32| {
            let given = options.iter().find(|(option, _)| option.names[0] == name);
            given.and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
        };
        let (before, after) = match row.reach {
            Reach::Frame => (0, 0),
            Reach::Window(before, after) => (before, after),
            Reach::Around(option, default) => {
                let half = number(option, default) / 2;
                checked.least = checked.least.max(half);
                (half, half)
            }
            Reach::Trailing(option, default) => (number(option, default).saturating_sub(1), 0),
            Reach::Pairs => {
                checked.swallowed += 1;
                (1, 0)
            }
            Reach::Recursive => {
                checked.one_chunk = Some(format!("{} depends on all frames before", row.name));
                (0, 0)
            }
        };
        checked.margin = (checked.margin.0 + before, checked.margin.1 + after);
        checked.cpu_dependent |= row.cpu_dependent;
    }
    Ok(checked)
}

/// Size of the pictures that a checked graph gives for pictures of `width` by `height`.
///
/// # Errors
/// A crop beyond the picture, or a pad smaller than it.
pub fn size_after(graph: &str, width: u32, height: u32) -> Result<(u32, u32), Reason> {
    let (mut width, mut height) = (width, height);
    for link in split_chain(graph)? {
        let (row, options) = check_link(&link)?;
        let number = |name: &str| {
            let given = options.iter().find(|(option, _)| option.names[0] == name);
            given.and_then(|(_, value)| value.parse::<u32>().ok())
        };
        let (x, y) = (number("x").unwrap_or(0), number("y").unwrap_or(0));
        match row.name {
            "transpose" => (width, height) = (height, width),
            "crop" => {
                let (to_width, to_height) =
                    (number("w").unwrap_or(width), number("h").unwrap_or(height));
                if to_width.saturating_add(x) > width || to_height.saturating_add(y) > height {
                    return Err(wrong(format!(
                        "crop can't take {to_width}x{to_height} at {x},{y} out of pictures of {width}x{height}"
                    )));
                }
                (width, height) = (to_width, to_height);
            }
            "pad" => {
                let (to_width, to_height) =
                    (number("width").unwrap_or(width), number("height").unwrap_or(height));
                if width.saturating_add(x) > to_width || height.saturating_add(y) > to_height {
                    return Err(wrong(format!(
                        "pad can't put pictures of {width}x{height} at {x},{y} into {to_width}x{to_height}"
                    )));
                }
                (width, height) = (to_width, to_height);
            }
            _ => {}
        }
    }
    Ok((width, height))
}

fn wrong(text: impl AsRef<str>) -> Reason {
    Reason::spec(format!("filter.graph: {}", text.as_ref()))
}

/// A filter as written: its name, and its options as (key, value).
struct Link {
    name: String,
    options: Vec<(Option<String>, String)>,
}

/// Splits a linear chain. Quotes may surround what the table allows, which never needs them.
fn split_chain(graph: &str) -> Result<Vec<Link>, Reason> {
    if let Some(c) = graph.chars().find(|c| c.is_control() || "\\[];@".contains(*c)) {
        let why = match c {
            '[' | ']' | ';' => "a graph is one chain, without labels and ';'",
            '@' => "filters have no instance names",
            '\\' => "nothing that is allowed needs a backslash",
            _ => "control characters are not allowed",
        };
        return Err(wrong(why));
    }
    if graph.trim().is_empty() {
        return Err(wrong("it is empty: write filters joined by commas, such as unsharp,hflip"));
    }
    let mut chain = Vec::new();
    for link in split_outside_quotes(graph, ',')? {
        let link = link.trim();
        if link.is_empty() {
            return Err(wrong("there is no filter between two commas, or at an end"));
        }
        let (name, rest) = match link.split_once('=') {
            Some((name, rest)) => (name, Some(rest)),
            None => (link, None),
        };
        let mut options = Vec::new();
        for text in rest.map_or(Ok(vec![]), |rest| split_outside_quotes(unquoted(rest), ':'))? {
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (Some(unquoted(key).to_owned()), value),
                None => (None, text.as_str()),
            };
            let value = unquoted(value);
            if value.contains('\'') {
                return Err(wrong(format!("{} has a quote in its middle", quoted(value))));
            }
            options.push((key, value.to_owned()));
        }
        chain.push(Link { name: unquoted(name).to_owned(), options });
    }
    Ok(chain)
}

/// Without blanks around it, and without one pair of quotes around the whole.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    match text.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')) {
        Some(inner) if !inner.contains('\'') => inner.trim(),
        _ => text,
    }
}

fn split_outside_quotes(text: &str, separator: char) -> Result<Vec<String>, Reason> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for c in text.chars() {
        inside ^= c == '\'';
        match parts.last_mut() {
            Some(part) if c != separator || inside => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    if inside { Err(wrong("a quote is not closed")) } else { Ok(parts) }
}

/// Options as they are written into the graph.
type Options = Vec<(&'static Opt, String)>;

fn check_link(link: &Link) -> Result<(&'static Filter, Options), Reason> {
    let Some(row) = FILTERS.iter().find(|row| row.name == link.name) else {
        return Err(unknown_filter(&link.name));
    };
    let mut options = Options::new();
    let mut named = false;
    for (at, (key, value)) in link.options.iter().enumerate() {
        let option = match key {
            Some(key) => {
                named = true;
                row.options.iter().find(|option| option.names.contains(&key.as_str()))
            }
            None if named => {
                return Err(wrong(format!(
                    "{} has the value {} without a key after one with a key",
                    row.name,
                    quoted(value)
                )));
            }
            None => row.options.get(at),
        };
        let Some(option) = option else {
            return Err(unknown_option(row, key.as_deref(), value));
        };
        if options.iter().any(|(other, _)| std::ptr::eq(*other, option)) {
            return Err(wrong(format!("{} has {} twice", row.name, option.names[0])));
        }
        let value = option.value.check(value).map_err(|why| {
            let sentence = if matches!(row.name, "yadif" | "bwdif") && option.names[0] == "mode" {
                "other modes change the number of frames or are unknown: use send_frame".to_owned()
            } else {
                why
            };
            wrong(format!("{}={} is {}: {sentence}", row.name, option.names[0], quoted(value)))
        })?;
        options.push((option, value));
    }
    let has = |name: &str| options.iter().any(|(option, _)| option.names[0] == name);
    match row.name {
        "bwdif" if !has("mode") => {
            return Err(wrong("bwdif doubles the frames by itself: write bwdif=mode=send_frame"));
        }
        "hue" if has("h") && has("H") => {
            return Err(wrong("hue takes h (degrees) or H (radians), not both"));
        }
        "fade" if !has("duration") => {
            return Err(wrong("fade needs its length in seconds: write fade=t=in:d=1"));
        }
        "format" if !has("pix_fmts") => {
            return Err(wrong("format needs a pixel format: write format=yuv420p"));
        }
        "nlmeans" | "edgedetect" | "limiter" => check_order(row, &options)?,
        _ => {}
    }
    Ok((row, options))
}

/// Pairs of bounds that must not cross.
fn check_order(row: &Filter, options: &[(&'static Opt, String)]) -> Result<(), Reason> {
    let number = |name: &str, default: f64| {
        let given = options.iter().find(|(option, _)| option.names[0] == name);
        given.and_then(|(_, value)| value.parse::<f64>().ok()).unwrap_or(default)
    };
    let pair = match row.name {
        "edgedetect" => [("low", 20.0 / 255.0), ("high", 50.0 / 255.0)],
        "limiter" => [("min", 0.0), ("max", 65535.0)],
        _ => return Ok(()),
    };
    let [(low, low_default), (high, high_default)] = pair;
    if number(low, low_default) > number(high, high_default) {
        return Err(wrong(format!("{}: {low} is above {high}", row.name)));
    }
    Ok(())
}

fn unknown_filter(name: &str) -> Reason {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return wrong(format!("{name} is not allowed: {why}"));
    }
    let names: Vec<&str> = FILTERS.iter().map(|row| row.name).collect();
    wrong(format!(
        "{} is no allowed filter{}; allowed are {}",
        quoted(name),
        did_you_mean(name, names.iter().copied()),
        names.join(", ")
    ))
}

fn unknown_option(row: &Filter, key: Option<&str>, value: &str) -> Reason {
    let names: Vec<&str> = row
        .options
        .iter()
        .filter(|option| !matches!(option.value, Value::Refused(_)))
        .map(|option| option.names[0])
        .collect();
    let allowed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match key {
        Some(key) => wrong(format!(
            "{} has no allowed option {}{}; allowed are: {allowed}",
            row.name,
            quoted(key),
            did_you_mean(key, names.iter().copied()),
        )),
        None => wrong(format!(
            "{} has no place for the value {}; its options are: {allowed}",
            row.name,
            quoted(value)
        )),
    }
}

impl Value {
    /// The value as it is written into the graph.
    fn check(&self, text: &str) -> Result<String, String> {
        let whole = |low: i64, high: i64, every: i64, rest: i64, kind: &str| match integer(text) {
            Some(n) if (low..=high).contains(&n) && n.rem_euclid(every) == rest => {
                Ok(n.to_string())
            }
            _ => Err(format!("it is {kind} from {low} to {high}")),
        };
        match self {
            Value::Int(low, high) => whole(*low, *high, 1, 0, "a whole number"),
            Value::Odd(low, high) => whole(*low, *high, 2, 1, "an odd number"),
            Value::Even(low, high) => whole(*low, *high, 2, 0, "an even number"),
            Value::Num(low, high) => match decimal(text) {
                Some(number) if (*low..=*high).contains(&number) => Ok(text.to_owned()),
                _ => Err(format!("it is a number from {low} to {high}")),
            },
            Value::Word(words) => words
                .iter()
                .find(|(word, number)| *word == text || integer(text) == Some(*number))
                .map(|(word, _)| (*word).to_owned())
                .ok_or_else(|| {
                    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                    format!("it is one of {}", names.join(", "))
                }),
            Value::Bool => match text {
                "0" | "false" => Ok("0".to_owned()),
                "1" | "true" => Ok("1".to_owned()),
                _ => Err("it is 0 or 1".to_owned()),
            },
            Value::Seconds => match parse_time(text) {
                Ok(us) if !text.contains(':') && us <= 360_000_000_000 => Ok(text.to_owned()),
                _ => Err("it is seconds, such as 1.5".to_owned()),
            },
            Value::Color => {
                let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix('#'));
                let good = match hex {
                    Some(hex) => hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
                    None => COLORS.contains(&text.to_ascii_lowercase().as_str()),
                };
                let sentence = "it is six hex digits such as 0x20a0ff, or a colour's name";
                if good { Ok(text.replace('#', "0x")) } else { Err(sentence.to_owned()) }
            }
            Value::Numbers => {
                let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
                let good = !parts.is_empty() && parts.iter().all(|part| decimal(part).is_some());
                if good { Ok(parts.join(" ")) } else { Err("it is numbers between blanks".into()) }
            }
            Value::Format(names) if names.contains(&text) => Ok(text.to_owned()),
            Value::Format(names) => Err(format!("it is one of {}", names.join(", "))),
            Value::Refused(why) => Err(format!("not allowed, {why}")),
        }
    }
}

/// Colours by name, out of libavutil's.
const COLORS: &[&str] = &[
    "black", "white", "gray", "red", "green", "blue", "yellow", "cyan", "magenta", "orange",
    "purple", "brown", "pink", "navy", "silver",
];

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A plain decimal: no exponent, no infinity, at most six decimals.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit());
    let good = whole.len() + fraction.len() > 0 && plain(whole) && plain(fraction);
    if good { text.parse().ok() } else { None }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
