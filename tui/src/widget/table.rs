//! A table: columns with their widths, some dropped where it is narrow, rows built only when they are
//! seen. Knows nothing of what is in it.

use ratatui::layout::Rect;

use super::bar::bar;
use super::pen::{Bit, Line, Pen, bit, row_of, width};
use crate::state::cursor::window;
use crate::theme::Tone;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Cells it takes; of a flexible one, at least.
    pub cells: u16,
    /// Takes what is left.
    pub flexible: bool,
    /// Figures stand at its right end.
    pub right: bool,
    /// Dropped where it is narrow: the highest first; 0 never.
    pub drop: u8,
}

impl Column {
    /// A column of text.
    pub const fn text(title: &'static str, cells: u16, drop: u8) -> Self {
        Self { title, cells, flexible: false, right: false, drop }
    }

    /// A column of figures.
    pub const fn figure(title: &'static str, cells: u16, drop: u8) -> Self {
        Self { title, cells, flexible: false, right: true, drop }
    }

    /// The column that takes what is left.
    pub const fn rest(title: &'static str, cells: u16) -> Self {
        Self { title, cells, flexible: true, right: false, drop: 0 }
    }
}

/// What stands in a cell.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Text.
    Line(Line),
    /// A share and its figure behind it.
    Bar(f64, Tone, String),
}

impl From<Line> for Cell {
    fn from(line: Line) -> Self {
        Cell::Line(line)
    }
}

impl From<Bit> for Cell {
    fn from(bit: Bit) -> Self {
        Cell::Line(vec![bit])
    }
}

/// A row.
pub struct Row {
    /// Its cells, one a column.
    pub cells: Vec<Cell>,
    /// It is marked.
    pub marked: bool,
}

/// A table to draw.
pub struct Table<'a> {
    /// Its columns.
    pub columns: &'a [Column],
    /// Its rows in all.
    pub len: usize,
    /// The row with the cursor.
    pub selected: Option<usize>,
    /// The cursor is in this table.
    pub focus: bool,
    /// Has a line of headings.
    pub headings: bool,
}

/// Cells left of the first column: the cursor's and a mark's.
const MARGIN: u16 = 2;
/// Cells between columns.
const GAP: u16 = 2;

/// Places of the columns that are shown: index, x within the area, cells.
fn places(columns: &[Column], area_width: u16) -> Vec<(usize, u16, u16)> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let needed = |shown: &[usize]| -> u16 {
        let cells: u16 = shown.iter().map(|at| columns[*at].cells).sum();
        MARGIN + cells + GAP * (shown.len().saturating_sub(1)) as u16
    };
    while needed(&shown) > area_width {
        let worst = shown.iter().copied().filter(|at| columns[*at].drop > 0);
        match worst.max_by_key(|at| columns[*at].drop) {
            Some(worst) => shown.retain(|at| *at != worst),
            None => break,
        }
    }
    let spare = area_width.saturating_sub(needed(&shown));
    let flexible = shown.iter().filter(|at| columns[**at].flexible).count() as u16;
    let mut x = MARGIN;
    let mut places = Vec::new();
    for at in shown {
        let mut cells = columns[at].cells;
        if columns[at].flexible {
            cells += spare / flexible.max(1);
        }
        let cells = cells.min(area_width.saturating_sub(x));
        places.push((at, x, cells));
        x = (x + cells + GAP).min(area_width);
    }
    places
}

/// Rows that fit below the headings.
pub fn visible_rows(area: Rect, headings: bool) -> usize {
    usize::from(area.height.saturating_sub(u16::from(headings)))
}

/// Draws a table; `row` is asked for the rows that are seen, and no others.
pub fn table(pen: &mut Pen<'_>, area: Rect, table: &Table<'_>, row: impl Fn(usize) -> Row) {
    if area.is_empty() {
        return;
    }
    let places = places(table.columns, area.width);
    let mut body = area;
    if table.headings {
        for (at, x, cells) in &places {
            let column = table.columns[*at];
            let heading = vec![bit(column.title, Tone::Dim)];
            put(
                pen,
                Rect { x: area.x + x, width: *cells, ..row_of(area, 0) },
                &heading,
                column.right,
            );
        }
        body = super::pen::below(area, 1);
    }
    let height = visible_rows(area, table.headings);
    let top = window(table.selected.unwrap_or(0), table.len, height);
    for line in 0..height.min(table.len.saturating_sub(top)) {
        let here = row_of(body, line as u16);
        let built = row(top + line);
        let selected = table.selected == Some(top + line);
        for (at, x, cells) in &places {
            let place = Rect { x: here.x + x, width: *cells, ..here };
            match &built.cells[*at] {
                Cell::Line(text) => put(pen, place, text, table.columns[*at].right),
                Cell::Bar(share, tone, figure) => bar_cell(pen, place, *share, *tone, figure),
            }
        }
        if built.marked {
            let sign = pen.glyphs().mark();
            pen.cell(here.x + 1, here.y, sign, Tone::Accent);
        }
        if selected {
            if table.focus {
                pen.repaint(here, Tone::Select);
            } else {
                pen.tint(here, Tone::SelectFaint);
            }
            let sign = pen.glyphs().cursor();
            pen.cell(here.x, here.y, sign, if table.focus { Tone::Select } else { Tone::Dim });
        }
    }
}

fn put(pen: &mut Pen<'_>, area: Rect, line: &Line, right: bool) {
    if right && width(line) <= area.width {
        pen.right(area, line);
    } else {
        pen.line(area, line);
    }
}

/// A bar with its figure at the right; the figure alone where there is no room for both.
fn bar_cell(pen: &mut Pen<'_>, area: Rect, share: f64, tone: Tone, figure: &str) {
    let figure = vec![bit(figure.to_owned(), Tone::Text)];
    let cells = width(&figure).max(4);
    if area.width < cells + 4 {
        put(pen, area, &figure, true);
        return;
    }
    bar(pen, Rect { width: area.width - cells - 1, ..area }, share, tone);
    put(pen, Rect { x: area.right() - cells, width: cells, ..area }, &figure, true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_columns_before_it_squeezes_any() {
        let columns =
            [Column::rest("NAME", 10), Column::text("STATE", 9, 1), Column::figure("ETA", 6, 2)];
        assert_eq!(places(&columns, 60), [(0, 2, 39), (1, 43, 9), (2, 54, 6)]);
        assert_eq!(places(&columns, 30), [(0, 2, 17), (1, 21, 9)]);
        assert_eq!(places(&columns, 15), [(0, 2, 13)]);
        assert_eq!(places(&columns, 6), [(0, 2, 4)]);
    }
}
