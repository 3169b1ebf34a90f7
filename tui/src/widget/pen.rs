//! The one way to the screen's cells: cleans text from outside, cuts with an ellipsis, draws boxes. Knows
//! no state.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{fit, words};
use crate::glyph::{Corners, Glyphs};
use crate::state::Look;
use crate::theme::Tone;

/// A piece of a line, in one tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bit {
    /// Its text.
    pub text: Cow<'static, str>,
    /// Its tone.
    pub tone: Tone,
}

/// A line of such pieces.
pub type Line = Vec<Bit>;

/// A piece.
pub fn bit(text: impl Into<Cow<'static, str>>, tone: Tone) -> Bit {
    Bit { text: text.into(), tone }
}

/// A line of plain text.
pub fn plain(text: impl Into<Cow<'static, str>>) -> Line {
    vec![bit(text, Tone::Text)]
}

/// Cells that a line takes.
pub fn width(line: &Line) -> u16 {
    let cells: usize = line.iter().map(|bit| fit::width(&words::clean(&bit.text))).sum();
    u16::try_from(cells).unwrap_or(u16::MAX)
}

/// Draws into a buffer.
pub struct Pen<'a> {
    buffer: &'a mut Buffer,
    look: Look,
}

impl<'a> Pen<'a> {
    /// A pen for this buffer.
    pub fn new(buffer: &'a mut Buffer, look: Look) -> Self {
        Self { buffer, look }
    }

    /// The signs in use.
    pub fn glyphs(&self) -> Glyphs {
        self.look.glyphs
    }

    /// Seconds east of UTC.
    pub fn utc_offset_s(&self) -> i32 {
        self.look.utc_offset_s
    }

    /// A tone's style.
    pub fn style(&self, tone: Tone) -> Style {
        self.look.palette.style(tone)
    }

    /// Writes a line into the area's first row; what does not fit ends with an ellipsis. Tells the cells used.
    pub fn line(&mut self, area: Rect, line: &[Bit]) -> u16 {
        let area = area.intersection(self.buffer.area);
        if area.is_empty() {
            return 0;
        }
        let cleaned: Vec<(Cow<'_, str>, Tone)> =
            line.iter().map(|bit| (words::clean(&bit.text), bit.tone)).collect();
        let total: usize = cleaned.iter().map(|(text, _)| fit::width(text)).sum();
        let room = usize::from(area.width);
        let ellipsis = self.glyphs().ellipsis();
        let mut x = area.x;
        let mut left = room;
        let mut following = total;
        for (text, tone) in cleaned {
            let cells = fit::width(&text);
            following -= cells;
            let style = self.style(tone);
            // Where what follows has no room at all, this piece carries the ellipsis.
            let cut = cells > left || (following > 0 && cells + 1 > left);
            let shown = if cut {
                let forced = format!("{text}{}", " ".repeat(left + 1));
                Cow::Owned(fit::end(&forced, left, ellipsis))
            } else {
                text
            };
            let shown_cells = fit::width(&shown);
            self.buffer.set_stringn(x, area.y, &shown, left, style);
            x += shown_cells as u16;
            left -= shown_cells;
            if cut {
                break;
            }
        }
        x - area.x
    }

    /// Writes a line at the right end of the area's first row; nothing when it does not fit.
    pub fn right(&mut self, area: Rect, line: &Line) -> u16 {
        let cells = width(line);
        if cells > area.width {
            return 0;
        }
        let x = area.right() - cells;
        self.line(Rect { x, width: cells, ..area }, line);
        cells
    }

    /// Writes text at the middle of the area's first row.
    pub fn center(&mut self, area: Rect, line: &Line) {
        let gap = area.width.saturating_sub(width(line)) / 2;
        self.line(Rect { x: area.x + gap, width: area.width - gap, ..area }, line);
    }

    /// Writes wrapped text; tells the rows used.
    pub fn wrapped(&mut self, area: Rect, text: &str, tone: Tone) -> u16 {
        let text = words::clean(text).into_owned();
        let ellipsis = self.glyphs().ellipsis();
        let lines = fit::wrap(&text, area.width.into(), area.height.into(), ellipsis);
        for (row, line) in lines.iter().enumerate() {
            self.line(row_of(area, row as u16), &[bit(line.clone(), tone)]);
        }
        lines.len() as u16
    }

    /// Writes the pieces that fit whole, from the left, with a gap between them; tells the cells used.
    pub fn pieces(&mut self, area: Rect, pieces: &[Line], gap: u16) -> u16 {
        let mut used = 0;
        for piece in pieces {
            let cells = width(piece);
            let before = if used == 0 { 0 } else { gap };
            if used + before + cells > area.width {
                break;
            }
            let x = area.x + used + before;
            self.line(Rect { x, width: cells, ..area }, piece);
            used += before + cells;
        }
        used
    }

    /// One cell.
    pub fn cell(&mut self, x: u16, y: u16, sign: &str, tone: Tone) {
        let style = self.style(tone);
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_symbol(sign).set_style(style);
        }
    }

    /// Gives cells a tone, their text as it is.
    pub fn tint(&mut self, area: Rect, tone: Tone) {
        let style = self.style(tone);
        self.buffer.set_style(area, style);
    }

    /// Gives cells this tone and nothing else of what they had.
    pub fn repaint(&mut self, area: Rect, tone: Tone) {
        let style = self.style(tone);
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.set_style(Style::reset()).set_style(style);
                }
            }
        }
    }

    /// Empties an area.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// Empties an area and a column to both of its sides: what lies over the screen stands apart from it.
    pub fn clear_apart(&mut self, area: Rect) {
        let x = area.x.saturating_sub(1);
        self.clear(Rect { x, width: area.right() + 1 - x, ..area });
    }

    /// Draws a box with a title, and a remark at its right; tells the area inside, a cell from the lines.
    pub fn boxed(&mut self, area: Rect, title: &[Bit], remark: &Line, tone: Tone) -> Rect {
        if area.width < 4 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let Corners([top_left, top_right, bottom_left, bottom_right, across, down]) =
            self.glyphs().corners();
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        for x in area.x + 1..right {
            self.cell(x, area.y, across, tone);
            self.cell(x, bottom, across, tone);
        }
        for y in area.y + 1..bottom {
            self.cell(area.x, y, down, tone);
            self.cell(right, y, down, tone);
        }
        self.cell(area.x, area.y, top_left, tone);
        self.cell(right, area.y, top_right, tone);
        self.cell(area.x, bottom, bottom_left, tone);
        self.cell(right, bottom, bottom_right, tone);
        let room = Rect { x: area.x + 2, y: area.y, width: area.width - 4, height: 1 };
        let mut used = 0;
        if !title.is_empty() {
            let mut line = vec![bit(" ", Tone::Title)];
            line.extend_from_slice(title);
            line.push(bit(" ", Tone::Title));
            used = self.line(room, &line);
        }
        let remark_cells = width(remark) + 2;
        if !remark.is_empty() && used + remark_cells < room.width {
            let mut line = vec![bit(" ", Tone::Dim)];
            line.extend_from_slice(remark);
            line.push(bit(" ", Tone::Dim));
            self.right(room, &line);
        }
        Rect { x: area.x + 2, y: area.y + 1, width: area.width - 4, height: area.height - 2 }
    }
}

/// One row of an area; empty when it has no such row.
pub fn row_of(area: Rect, row: u16) -> Rect {
    if row >= area.height {
        return Rect { height: 0, ..area };
    }
    Rect { y: area.y + row, height: 1, ..area }
}

/// The area without its first rows.
pub fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// An area of this size in the middle of another.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bits: &[Bit], cells: u16, expect: &str) {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        Pen::new(&mut buffer, Look::default()).line(Rect::new(0, 0, cells, 1), bits);
        let text: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
        assert_eq!(text.trim_end(), expect, "{bits:?} in {cells}");
    }

    #[test]
    fn lines_of_pieces_are_cut_once_and_show_it() {
        let bits = [bit("abc", Tone::Text), bit("def", Tone::Dim)];
        check(&bits, 20, "abcdef");
        check(&bits, 6, "abcdef");
        check(&bits, 5, "abcd…");
        check(&bits, 4, "abc…");
        check(&bits, 3, "ab…");
        check(&bits, 1, "…");
        check(&bits, 0, "");
        check(&[bit("a\x1b[1mb", Tone::Text)], 20, "a\\u{1b}[1mb");
    }
}
