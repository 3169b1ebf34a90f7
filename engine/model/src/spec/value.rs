//! Values as users write them, read exactly: times to the microsecond, decimals to the thousandth, never
//! through a float. Knows no task.

use std::fmt::Write;

/// The longest moment that can be written: 1,000 hours, in microseconds.
pub const LONGEST_US: i64 = 1_000 * 3_600 * 1_000_000;

/// Reads a moment: seconds (`90`, `1.5`) or `h:mm:ss`, `m:ss` with up to six decimals; microseconds.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub fn parse_time(text: &str) -> Result<i64, String> {
    let form = || "is no time: write seconds (90.5) or h:mm:ss (0:01:30.5)".to_owned();
    let text = text.trim();
    if text.starts_with('-') {
        return Err("is negative: times count from the start of the film".to_owned());
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(form());
    }
    let mut us: i64 = 0;
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        let value = if last {
            parse_fixed(part, 6).ok_or_else(form)?
        } else {
            parse_fixed(part, 0).and_then(|whole| whole.checked_mul(1_000_000)).ok_or_else(form)?
        };
        if at > 0 && value >= 60_000_000 {
            return Err("has 60 or more after a colon: minutes and seconds go to 59".to_owned());
        }
        us = us.checked_mul(60).and_then(|us| us.checked_add(value)).ok_or_else(form)?;
    }
    if us > LONGEST_US {
        return Err("is beyond 1000 hours".to_owned());
    }
    Ok(us)
}

/// A moment as [`parse_time`] reads it: seconds below a minute, else `h:mm:ss`.
pub fn format_time(us: i64) -> String {
    let (seconds, micros) = (us.max(0) / 1_000_000, us.max(0) % 1_000_000);
    let mut out = if seconds < 60 {
        format!("{seconds}")
    } else {
        format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    };
    if micros > 0 {
        let _ = write!(out, ".{}", format!("{micros:06}").trim_end_matches('0'));
    }
    out
}

/// Reads a decimal number without sign or exponent, in thousandths.
pub fn parse_milli(text: &str) -> Option<i64> {
    parse_fixed(text.trim(), 3)
}

/// Thousandths as [`parse_milli`] reads them.
pub fn format_milli(milli: i64) -> String {
    let mut out = format!("{}", milli / 1000);
    if milli % 1000 > 0 {
        let _ = write!(out, ".{}", format!("{:03}", milli % 1000).trim_end_matches('0'));
    }
    out
}

/// Digits with at most `decimals` of them behind a point, times 10 to the power of `decimals`.
fn parse_fixed(text: &str, decimals: u32) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > 12 || fraction.len() > decimals as usize {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scaled: i64 = format!("{fraction:0<width$}0", width = decimals as usize).parse().ok()?;
    whole.checked_mul(10i64.pow(decimals))?.checked_add(scaled / 10)
}

/// The name among `names` that `typed` was probably meant to be.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    if typed.is_empty() || typed.len() > 40 {
        return None;
    }
    names
        .into_iter()
        .map(|name| (distance(&typed, name), name))
        .filter(|(distance, name)| {
            *distance <= name.len().max(typed.len()).div_ceil(3)
                || (typed.len() >= 3 && name.starts_with(&typed))
        })
        .min()
        .map(|(_, name)| name)
}

/// How many letters to insert, remove, replace or swap to get from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// `typed` between quotes, cut to a length that fits a line.
pub fn quoted(typed: &str) -> String {
    let mut out: String = typed.chars().take(60).collect();
    if out.len() < typed.len() {
        out.push('…');
    }
    format!("'{out}'")
}

/// `, did you mean 'x'?`, or nothing.
pub fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, names).map(|name| format!(", did you mean '{name}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_exactly() {
        for (text, us) in [
            ("0", 0),
            ("1.5", 1_500_000),
            (".25", 250_000),
            ("0.000001", 1),
            ("90", 90_000_000),
            ("1:30", 90_000_000),
            ("0:01:30.250", 90_250_000),
            ("100:00:00", 360_000_000_000),
            ("2.10000000", 2_100_000),
        ] {
            assert_eq!(parse_time(text), Ok(us), "{text}");
        }
        for text in [
            "",
            ".",
            ":",
            "1:",
            "nan",
            "NaN",
            "inf",
            "1e3",
            "-1",
            "1:60",
            "1:2:3:4",
            "1.0000001",
            "9999999999999",
            "1001:00:00",
            "1:1.5:3",
            "+1",
            "１",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_nearest_name() {
        let names = ["convert", "resize", "cut", "compress", "filter"];
        assert_eq!(nearest("rezise", names), Some("resize"));
        assert_eq!(nearest("CUT", names), Some("cut"));
        assert_eq!(nearest("compres", names), Some("compress"));
        assert_eq!(nearest("conv", names), Some("convert"));
        assert_eq!(nearest("xylophone", names), None);
        assert_eq!(nearest("", names), None);
    }

    proptest! {
        #[test]
        fn times_survive_display(us in 0..LONGEST_US) {
            prop_assert_eq!(parse_time(&format_time(us)), Ok(us));
        }

        #[test]
        fn decimals_survive_display(milli in 0i64..10_000_000) {
            prop_assert_eq!(parse_milli(&format_milli(milli)), Some(milli));
        }

        #[test]
        fn nothing_typed_panics(text in "\\PC{0,30}") {
            let _ = (parse_time(&text), parse_milli(&text), nearest(&text, ["cut"]), quoted(&text));
        }
    }
}
