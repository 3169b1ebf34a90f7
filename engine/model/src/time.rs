//! Moments and rational time. No clock here: whoever owns one passes the moment in.

use std::cmp::Ordering;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01 UTC. JSON: a number.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This moment moved by `ms` milliseconds, which may be negative.
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is later.
    pub fn since(self, earlier: Millis) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A ratio, as libav's `AVRational`: a time base in seconds a tick, or a frame rate in frames a second.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "[i64; 2]", from = "[i64; 2]")]
pub struct Ratio {
    /// Numerator.
    pub num: i64,
    /// Denominator; never 0 in a valid ratio.
    pub den: i64,
}

impl Ratio {
    /// `num / den`.
    pub const fn new(num: i64, den: i64) -> Self {
        Self { num, den }
    }

    /// As a floating-point number, for showing only: never for timestamps.
    pub fn as_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// Whether `ticks` of this base come before, at or after `other_ticks` of `other`.
    pub fn compare(self, ticks: i64, other: Ratio, other_ticks: i64) -> Ordering {
        let left = i128::from(ticks) * i128::from(self.num) * i128::from(other.den);
        let right = i128::from(other_ticks) * i128::from(other.num) * i128::from(self.den);
        left.cmp(&right)
    }

    /// `ticks` of this base in ticks of `to`, to the nearest, halves away from zero (as `av_rescale_q` does).
    pub fn rescale(self, ticks: i64, to: Ratio) -> i64 {
        let num = i128::from(ticks) * i128::from(self.num) * i128::from(to.den);
        let den = i128::from(self.den) * i128::from(to.num);
        let half = den / 2;
        let rounded = if num >= 0 { (num + half) / den } else { (num - half) / den };
        rounded as i64
    }
}

impl From<[i64; 2]> for Ratio {
    fn from([num, den]: [i64; 2]) -> Self {
        Self { num, den }
    }
}

impl From<Ratio> for [i64; 2] {
    fn from(ratio: Ratio) -> Self {
        [ratio.num, ratio.den]
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescales_as_libav_does() {
        let (ms, fps) = (Ratio::new(1, 1000), Ratio::new(1001, 30000));
        assert_eq!(fps.rescale(1, ms), 33);
        assert_eq!(fps.rescale(2, ms), 67);
        assert_eq!(Ratio::new(1, 2000).rescale(1, ms), 1);
        assert_eq!(Ratio::new(1, 2000).rescale(-1, ms), -1);
        assert_eq!(fps.rescale(215_784, Ratio::new(1, 90000)), 215_784 * 3003);
    }
}
