//! Bars and curves: a share as a line of eighths, a history as heights.

use ratatui::layout::Rect;

use super::pen::Pen;
use crate::theme::Tone;

/// Draws a share, 0 to 1, over the area's first row.
pub fn bar(pen: &mut Pen<'_>, area: Rect, share: f64, tone: Tone) {
    if area.is_empty() {
        return;
    }
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * f64::from(area.width) * 8.0).floor() as u16;
    let signs = pen.glyphs().eighths();
    let track = pen.glyphs().track();
    for at in 0..area.width {
        let filled = eighths.saturating_sub(at * 8).min(8);
        let (sign, tone) = match filled {
            0 => (track, Tone::Border),
            // Something is there, though it is less than an eighth.
            _ => (signs[usize::from(filled)], tone),
        };
        let (sign, tone) = if sign == " " { (track, Tone::Border) } else { (sign, tone) };
        pen.cell(area.x + at, area.y, sign, tone);
    }
}

/// Draws the newest samples, 0 to 1, at the right end of the area's first row; given newest first.
pub fn curve(pen: &mut Pen<'_>, area: Rect, newest_first: impl Iterator<Item = f64>, tone: Tone) {
    let heights = pen.glyphs().heights();
    for (at, sample) in newest_first.take(area.width.into()).enumerate() {
        let height = (sample.clamp(0.0, 1.0) * 7.0).round() as usize;
        pen.cell(area.right() - 1 - at as u16, area.y, heights[height], tone);
    }
}

/// The tone of a load: plain until it is full.
pub fn load_tone(share: f64) -> Tone {
    if share >= 0.95 { Tone::Warn } else { Tone::Busy }
}
