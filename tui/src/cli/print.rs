//! What commands write: aligned tables, times and sizes for people, one JSON shape for programs. A reader
//! that goes away (`| head`) is no error.

use std::io::{ErrorKind, Write};

use dvp_model::error::Reason;
use dvp_model::job::Job;
use dvp_model::path::printable;
use dvp_model::time::Millis;
use dvp_model::wire::api::JobDetail;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

/// Writes a line to standard output. False: nobody reads any more.
///
/// # Errors
/// When it can't be written for another reason.
pub(super) fn out(text: &str) -> Result<bool, Reason> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Reason::machine(format!("cannot write the result: {error}"))),
    }
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// As [`out`].
pub(super) fn out_json(value: &Value) -> Result<bool, Reason> {
    out(&value.to_string())
}

/// Writes a sentence to standard error, by whose it is.
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "dvp-console: {text}");
}

/// Writes a remark to standard error.
pub(super) fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A table with a header, columns as wide as their widest cell, numbers to the right.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// With these column titles; a title that begins with `>` is a column of numbers.
    pub(super) fn new(titles: &[&str]) -> Self {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let titles = titles.iter().map(|title| title.trim_start_matches('>').to_owned()).collect();
        Self { rows: vec![titles], right }
    }

    /// Adds a row; text from outside is cleaned.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell)).collect());
    }

    /// Every line, without spaces at its end.
    pub(super) fn lines(&self) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let pad = " ".repeat(width.saturating_sub(cell.width()));
                match right {
                    true => line.extend([pad.as_str(), cell.as_str(), "  "]),
                    false => line.extend([cell.as_str(), pad.as_str(), "  "]),
                }
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }

    /// Writes it.
    ///
    /// # Errors
    /// As [`out`].
    pub(super) fn print(&self) -> Result<(), Reason> {
        for line in self.lines() {
            if !out(&line)? {
                break;
            }
        }
        Ok(())
    }
}

/// `2026-11-25T02:03:04.123Z`.
pub(super) fn timestamp(at: Millis) -> String {
    let (days, ms) = (at.0.div_euclid(86_400_000), at.0.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let ms = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant's days-to-civil).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `45 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`.
pub(super) fn span(ms: i64) -> String {
    let seconds = (ms.max(0) + 500) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A job as `--json` shows it, without chunks.
pub(super) fn job_json(job: &Job) -> Value {
    let output = job.output.as_ref();
    json!({
        "id": job.id,
        "state": job.state.name(),
        "phase": job.phase(),
        "reason": job.state.reason().map(|reason| &reason.text),
        "reason_kind": job.state.reason().map(|reason| reason.kind),
        "input": job.input,
        "output": {
            "path": output.map_or(&job.output_path, |output| &output.path),
            "sha256": output.map(|output| &output.sha256),
            "bytes": output.map(|output| output.bytes),
            "frames": output.map(|output| output.frames),
        },
        "ranks": job.ranks,
        "attempts": job.epoch,
        "chunks_total": job.chunks_total(),
        "chunks_done": job.chunks_done,
        "frames_total": job.plan.as_ref().map(|plan| plan.frames),
        "frames_done": job.frames_done,
        "priority": job.priority,
        "batch": job.batch,
        "spec": job.asked,
        "carried": job.plan.as_ref().map(|plan| &plan.carried),
        "notes": job.plan.as_ref().map(|plan| &plan.notes),
        "created_at": timestamp(job.created_at),
        "started_at": job.started_at.map(timestamp),
        "finished_at": job.finished_at.map(timestamp),
    })
}

/// A job as `--json` shows it, with its chunks.
pub(super) fn detail_json(detail: &JobDetail) -> Value {
    let mut value = job_json(&detail.job);
    value["chunks"] = json!(detail.chunks);
    value["sound"] = json!(detail.sound);
    value["eta_ms"] = json!(detail.eta_ms);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(timestamp(Millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(Millis(951_827_696_123)), "2000-02-29T12:34:56.123Z");
        assert_eq!(timestamp(Millis(1_796_083_384_000)), "2026-12-01T00:03:04.000Z");
        assert_eq!(timestamp(Millis(-1)), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn spans_are_short() {
        let spans = [-5, 45_400, 200_000, 7_500_000, 273_600_000].map(span);
        assert_eq!(spans, ["0 s", "45 s", "3 min 20 s", "2 h 05 min", "3 d 4 h"]);
    }

    #[test]
    fn columns_are_as_wide_as_what_is_seen_and_cleaned() {
        let mut table = Table::new(&["NAME", ">N"]);
        table.row(["a\nb".to_owned(), "7".to_owned()]);
        table.row(["日本".to_owned(), "12".to_owned()]);
        assert_eq!(table.lines(), ["NAME   N", "a\\nb   7", "日本  12"]);
    }
}
