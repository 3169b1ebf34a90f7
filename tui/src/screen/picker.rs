//! The file picker: a folder's entries, films standing out.

use ratatui::layout::{Position, Rect};

use super::typed;
use crate::state::picker::{Picker, is_film};
use crate::theme::Tone;
use crate::widget::hints::{hint, hints};
use crate::widget::pen::{Pen, below, bit, middle, row_of};
use crate::widget::table::{Column, Row, Table, table};
use crate::widget::{fit, words};

const COLUMNS: &[Column] = &[Column::rest("NAME", 16), Column::figure("SIZE", 10, 0)];

/// Draws it; tells where the typing is.
pub(super) fn draw(picker: &Picker, pen: &mut Pen<'_>, area: Rect) -> Option<Position> {
    let width = area.width.saturating_sub(4).min(90);
    let place = middle(area, width, area.height.saturating_sub(2).min(30));
    pen.clear_apart(place);
    let shown = picker.shown();
    let folder = words::clean(&picker.folder.to_string_lossy()).into_owned();
    let folder =
        fit::start(&folder, usize::from(width.saturating_sub(24)), pen.glyphs().ellipsis());
    let remark =
        vec![bit(words::count(shown.len(), "entry").replace("entrys", "entries"), Tone::Dim)];
    let inner = pen.boxed(place, &[bit(folder, Tone::Title)], &remark, Tone::Focus);
    let line = row_of(inner, 0);
    pen.line(line, &[bit("/ ", Tone::Accent)]);
    let text = Rect { x: line.x + 2, width: line.width.saturating_sub(2), ..line };
    let cursor = typed(pen, text, &picker.typed, "type to narrow the list", true);
    let list = Rect { height: inner.height.saturating_sub(2), ..below(inner, 1) };
    match picker.listing.as_ref().map(|listing| &listing.entries) {
        None => {
            pen.line(list, &[bit("Reading the folder.", Tone::Dim)]);
        }
        Some(Err(why)) => {
            pen.wrapped(list, why, Tone::Bad);
        }
        Some(Ok(_)) if shown.is_empty() => {
            pen.line(list, &[bit("Nothing here by that name.", Tone::Dim)]);
        }
        Some(Ok(_)) => {
            let selected = picker.cursor.position(&picker.ids());
            let wanted = Table {
                columns: COLUMNS,
                len: shown.len(),
                selected,
                focus: true,
                headings: false,
            };
            table(pen, list, &wanted, |at| {
                let found = shown[at];
                let name = found.path.file_name().to_string_lossy();
                let (name, tone) = match (found.folder, is_film(&found.path)) {
                    (true, _) => (format!("{name}/"), Tone::Accent),
                    (_, true) => (name.into_owned(), Tone::Strong),
                    _ => (name.into_owned(), Tone::Dim),
                };
                let size = if found.folder { String::new() } else { words::bytes(found.size) };
                Row {
                    cells: vec![bit(name, tone).into(), bit(size, Tone::Dim).into()],
                    marked: false,
                }
            });
        }
    }
    let foot = row_of(inner, inner.height.saturating_sub(1));
    hints(pen, foot, &[hint("enter", "pick"), hint("left", "folder above"), hint("esc", "close")]);
    cursor
}
