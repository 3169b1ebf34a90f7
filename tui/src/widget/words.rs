//! Figures and happenings in words: durations, sizes, times of day, entries of the feed. Text from
//! outside is cleaned of control characters. Pure; knows no colours.

use std::borrow::Cow;

use dvp_model::Millis;
use dvp_model::job::{Job, State};
use dvp_model::path::printable;
use dvp_model::wire::feed::What;

/// Text from outside, fit for a cell: no control characters, nothing that turns the direction of text
/// or takes no width.
pub fn clean(text: &str) -> Cow<'_, str> {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let printable = printable(text);
    Cow::Owned(printable.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect())
}

/// A span of time, short: `0.4s`, `12s`, `3m 05s`, `2h 07m`, `4d 03h`.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let s = ms / 1000;
    match s {
        0 => format!("0.{}s", ms / 100),
        1..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h {:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d {:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// How long something took: with tenths below ten seconds.
pub fn took(ms: u64) -> String {
    if ms < 10_000 { format!("{}.{}s", ms / 1000, ms % 1000 / 100) } else { span(ms as i64) }
}

/// An age: whole seconds, `now` below one.
pub fn age(ms: i64) -> String {
    if ms < 1000 { "now".into() } else { span(ms) }
}

/// A length of film: `1:03.2`, `1:02:03`.
pub fn film(us: i64) -> String {
    let tenths = us.max(0) / 100_000;
    let s = tenths / 10;
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}.{}", s / 60, s % 60, tenths % 10)
    }
}

/// A size in powers of 1000: `813 B`, `12.9 MB`, `1.2 GB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 99.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// A whole number with thin groups: `1 584`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.len() > 4 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// One or many: `1 job`, `3 jobs`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// The time of day: `05:12`, or with the day when it was not today.
pub fn clock(at: Millis, now: Millis, utc_offset_s: i32) -> String {
    let local = |at: Millis| at.0.div_euclid(1000) + i64::from(utc_offset_s);
    let (s, today) = (local(at), local(now).div_euclid(86_400));
    let time = format!("{:02}:{:02}", s.rem_euclid(86_400) / 3600, s.rem_euclid(3600) / 60);
    let days = s.div_euclid(86_400);
    if days == today {
        return time;
    }
    let (_, month, day) = date(days);
    format!("{month:02}-{day:02} {time}")
}

/// The time of day to the second.
pub fn clock_s(at: Millis, utc_offset_s: i32) -> String {
    let s = (at.0.div_euclid(1000) + i64::from(utc_offset_s)).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// Year, month and day of so many days after 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// A job's state and phase in one or two words.
pub fn state(job: &Job) -> String {
    match (&job.state, job.phase()) {
        (State::Running { .. }, Some(phase)) => phase.as_str().to_owned(),
        (State::Queued, Some(dvp_model::job::Phase::Planning)) => "planning".into(),
        (State::Waiting { .. }, _) => "will retry".into(),
        (state, _) => state.name().as_str().to_owned(),
    }
}

/// A job's input's name.
pub fn name(job: &Job) -> String {
    clean(&job.input.file_name().to_string_lossy()).into_owned()
}

/// What happened, in one line.
pub fn happened(what: &What) -> String {
    match what {
        What::Submitted => "submitted".into(),
        What::Planned { frames, chunks } => {
            format!("planned: {} frames in {}", number(*frames), count(*chunks as usize, "chunk"))
        }
        What::Launched { epoch, ranks, nodes, reused } => {
            let nodes: Vec<&str> = nodes.iter().map(|node| node.0.as_str()).collect();
            let on = nodes.join(", ");
            format!(
                "launch {epoch}: {} on {}; reused {}",
                count(*ranks as usize, "rank"),
                clean(&on),
                if *reused == 0 {
                    "nothing".into()
                } else {
                    count(*reused as usize, "accepted item")
                },
            )
        }
        What::Entered { phase } => phase.as_str().into(),
        What::Accepted { item, rank, wall_ms } => {
            format!("{item} accepted from rank {rank} after {}", took(*wall_ms))
        }
        What::Lost { reason, items, .. } => {
            let again: Vec<String> = items.iter().map(ToString::to_string).collect();
            let again = if again.is_empty() {
                "nothing was in flight".into()
            } else {
                format!("to be done again: {}", again.join(", "))
            };
            format!("{}; {again}", clean(&reason.text))
        }
        What::WillRetry { reason, .. } => format!("will be tried again: {}", clean(&reason.text)),
        What::Held { reason: Some(reason) } => format!("held: {}", clean(&reason.text)),
        What::Held { reason: None } => "held by a person".into(),
        What::Released => "released".into(),
        What::Priority { priority } => format!("priority {priority}"),
        What::Retried => "tried again by a person".into(),
        What::CancelAsked => "cancel asked for".into(),
        What::Cancelled => "cancelled".into(),
        What::Failed { reason } => format!("failed: {}", clean(&reason.text)),
        What::Completed { sha256, bytes: size } => {
            format!("completed and verified: {}, sha256 {}", bytes(*size), clean(sha256))
        }
        What::EngineStarted { pid } => format!("engine {pid} started"),
        What::EngineStopped { pid } => format!("engine {pid} stopped"),
        What::Alarm { reason } => format!("ALARM: {}", clean(&reason.text)),
        What::Log { line, .. } => clean(line).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_in_words() {
        assert_eq!(span(450), "0.4s");
        assert_eq!(span(185_000), "3m 05s");
        assert_eq!(span(2 * 3_600_000 + 7 * 60_000), "2h 07m");
        assert_eq!(film(63_240_000), "1:03.2");
        assert_eq!(film(3_723_000_000), "1:02:03");
        assert_eq!(bytes(813), "813 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_023), "1.0 kB");
        assert_eq!(bytes(999_600), "1.0 MB");
        assert_eq!(bytes(12_900_000), "12.9 MB");
        assert_eq!(bytes(1_234_000_000), "1.2 GB");
        assert_eq!(number(1584), "1584");
        assert_eq!(number(1_584_000), "1 584 000");
        let noon = Millis(1_764_072_732_000);
        assert_eq!(clock(noon, noon, 0), "12:12");
        assert_eq!(clock(noon.plus(-86_400_000), noon, 3600), "11-24 13:12");
    }

    #[test]
    fn text_from_outside_can_do_nothing() {
        assert_eq!(clean("plain ünï"), "plain ünï");
        assert_eq!(clean("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert!(!clean("x\u{202e}gpj.exe").contains('\u{202e}'));
    }
}
