//! Key hints: a key and its word. Those that fit are shown whole, the others not at all.

use ratatui::layout::Rect;

use super::pen::{Line, Pen, bit};
use crate::theme::Tone;

/// A hint.
pub fn hint(key: impl Into<String>, word: &'static str) -> Line {
    vec![bit(key.into(), Tone::Key), bit(" ", Tone::Dim), bit(word, Tone::Dim)]
}

/// Draws the hints that fit.
pub fn hints(pen: &mut Pen<'_>, area: Rect, hints: &[Line]) {
    pen.pieces(area, hints, 2);
}
