//! What lies over the screen: confirmations, the question before leaving, the palette, the copy menu.

use ratatui::layout::{Position, Rect};

use super::{help, picker, typed};
use crate::command;
use crate::keymap;
use crate::state::State;
use crate::state::cursor::window;
use crate::state::field::Field;
use crate::state::overlay::{Confirm, CopyLine, LeaveDialog, Overlay};
use crate::theme::Tone;
use crate::update::allowed;
use crate::widget::hints::{hint, hints};
use crate::widget::pen::{Pen, below, bit, middle, row_of};
use crate::widget::{fit, words};

/// Draws it; tells where the typing is.
pub(super) fn draw(
    state: &State,
    overlay: &Overlay,
    pen: &mut Pen<'_>,
    area: Rect,
) -> Option<Position> {
    match overlay {
        Overlay::Confirm(dialog) => confirm(pen, area, dialog),
        Overlay::Leaving(dialog) => leaving(pen, area, dialog),
        Overlay::Palette { typed, row } => return palette(state, pen, area, typed, *row),
        Overlay::CopyMenu { lines, row } => copy_menu(pen, area, lines, *row),
        Overlay::Picker(state) => return picker::draw(state, pen, area),
        Overlay::Keys { top } => help::overlay(state, pen, area, *top),
    }
    None
}

/// Cells across of a dialog here.
fn dialog_width(area: Rect) -> u16 {
    area.width.saturating_sub(4).min(72)
}

fn confirm(pen: &mut Pen<'_>, area: Rect, dialog: &Confirm) {
    let width = dialog_width(area);
    let room = usize::from(width.saturating_sub(4));
    let question = fit::wrap(&words::clean(&dialog.question), room, 3, pen.glyphs().ellipsis());
    let about = fit::wrap(&dialog.about, room, 3, pen.glyphs().ellipsis());
    let several = if dialog.names.len() > 1 { dialog.names.len() } else { 0 };
    let names = several.min(usize::from(area.height).saturating_sub(12).clamp(1, 8));
    let names = if several == 0 { 0 } else { names };
    let height = (question.len() + about.len() + names + 5) as u16;
    let place = middle(area, width, height.min(area.height));
    pen.clear_apart(place);
    let inner = pen.boxed(place, &[bit("Are you sure?", Tone::Warn)], &vec![], Tone::Warn);
    let mut y = 0;
    for line in question {
        pen.line(row_of(inner, y), &[bit(line, Tone::Strong)]);
        y += 1;
    }
    for (at, name) in dialog.names.iter().take(names).enumerate() {
        let more = dialog.names.len() - names;
        let text = if at + 1 == names && more > 0 {
            format!("  and {} more", more + 1)
        } else {
            format!("  {name}")
        };
        pen.line(row_of(inner, y), &[bit(text, Tone::Text)]);
        y += 1;
    }
    for line in about {
        pen.line(row_of(inner, y), &[bit(line, Tone::Dim)]);
        y += 1;
    }
    let buttons = row_of(inner, inner.height.saturating_sub(2));
    let (cancel, yes) = match dialog.on_yes {
        false => (Tone::Select, Tone::Text),
        true => (Tone::Text, Tone::Select),
    };
    let back = if dialog.by == command::Cmd::Cancel { " Leave it be " } else { " Cancel " };
    let pieces = vec![
        vec![bit(back, cancel)],
        vec![bit(" y ", Tone::Key), bit(format!(" {} ", dialog.yes), yes)],
    ];
    pen.pieces(buttons, &pieces, 3);
    let foot = row_of(inner, inner.height.saturating_sub(1));
    hints(pen, foot, &[hint("y", "yes"), hint("esc", "no"), hint("tab", "other button")]);
}

fn leaving(pen: &mut Pen<'_>, area: Rect, dialog: &LeaveDialog) {
    let place = middle(area, dialog_width(area), 9.min(area.height));
    pen.clear_apart(place);
    let inner = pen.boxed(place, &[bit("Leave?", Tone::Warn)], &vec![], Tone::Warn);
    let text = format!(
        "{} need{} the engine that this console hosts.",
        words::count(dialog.open, "open job"),
        if dialog.open == 1 { "s" } else { "" }
    );
    pen.line(row_of(inner, 0), &[bit(text, Tone::Strong)]);
    for (at, (key, _, text)) in LeaveDialog::CHOICES.iter().enumerate() {
        let line = row_of(inner, at as u16 + 2);
        pen.line(line, &[bit(format!(" {key}  "), Tone::Key), bit(*text, Tone::Text)]);
        if at == dialog.row {
            pen.repaint(line, Tone::Select);
        }
    }
    let foot = row_of(inner, 6);
    hints(pen, foot, &[hint("enter", "choose"), hint("esc", "stay")]);
}

fn palette(
    state: &State,
    pen: &mut Pen<'_>,
    area: Rect,
    field: &Field,
    row: usize,
) -> Option<Position> {
    let found = command::completions(&field.text);
    let rows = (found.len() as u16).clamp(1, 12).min(area.height.saturating_sub(6));
    let place = middle(area, dialog_width(area), rows + 4);
    pen.clear_apart(place);
    let inner = pen.boxed(place, &[bit("Commands", Tone::Title)], &vec![], Tone::Focus);
    let line = row_of(inner, 0);
    pen.line(line, &[bit(": ", Tone::Accent)]);
    let ghost = found.first().map_or("", |row| row.name);
    let ghost = ghost.strip_prefix(field.text.as_str()).unwrap_or("");
    let text = Rect { x: line.x + 2, width: line.width.saturating_sub(2), ..line };
    let cursor = typed(pen, text, field, ghost, true);
    let list = Rect { height: rows, ..below(inner, 1) };
    if found.is_empty() {
        pen.line(list, &[bit("No such command.", Tone::Bad)]);
    }
    let row = row.min(found.len().saturating_sub(1));
    let top = window(row, found.len(), rows.into());
    for (at, entry) in found.iter().skip(top).take(rows.into()).enumerate() {
        let here = row_of(list, at as u16);
        let works = allowed(state, entry.cmd);
        let tone = if works { Tone::Text } else { Tone::Dim };
        let key = keymap::name(entry.keys[0]);
        pen.line(
            here,
            &[
                bit(format!("  {:<14}", entry.name), tone),
                bit(format!("{key:<10}"), if works { Tone::Key } else { Tone::Dim }),
                bit(entry.about, Tone::Dim),
            ],
        );
        if top + at == row && !found.is_empty() {
            pen.repaint(here, Tone::Select);
        }
    }
    let foot = row_of(inner, inner.height.saturating_sub(1));
    hints(pen, foot, &[hint("enter", "run"), hint("up down", "choose"), hint("esc", "close")]);
    cursor
}

fn copy_menu(pen: &mut Pen<'_>, area: Rect, lines: &[CopyLine], row: usize) {
    let place = middle(area, area.width.saturating_sub(4).min(100), lines.len() as u16 + 3);
    pen.clear_apart(place);
    let inner = pen.boxed(place, &[bit("Copy", Tone::Title)], &vec![], Tone::Focus);
    for (at, line) in lines.iter().enumerate() {
        let here = row_of(inner, at as u16);
        pen.line(
            here,
            &[
                bit(format!(" {}  ", line.key), Tone::Key),
                bit(format!("{:<25}", line.label), Tone::Text),
                bit(line.text.clone(), Tone::Dim),
            ],
        );
        if at == row {
            pen.repaint(here, Tone::Select);
        }
    }
    let foot = row_of(inner, inner.height.saturating_sub(1));
    hints(pen, foot, &[hint("enter", "copy"), hint("esc", "close")]);
}
