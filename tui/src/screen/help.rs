//! The keys: all of them in a place of their own, or over any place those that work there. Both are the
//! table.

use ratatui::layout::Rect;

use crate::command::{Group, Row, TABLE};
use crate::keymap;
use crate::state::State;
use crate::theme::Tone;
use crate::update::allowed;
use crate::widget::fit;
use crate::widget::hints::{hint, hints};
use crate::widget::pen::{Line, Pen, below, bit, middle, row_of};

/// Keys of fields and of the form, which are no commands of the table.
const TYPING: &[(&str, &str)] = &[
    ("tab, down, up", "from row to row; tab completes a path first"),
    ("left, right, space", "change a choice, add a task or take it out"),
    ("ctrl-o", "browse for the input"),
    ("ctrl-s", "start the job from any row"),
    ("ctrl-a e u k w", "start, end, clear to the left, to the right, one word"),
];

fn grouped(wanted: impl Fn(&Row) -> bool) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for group in Group::ALL {
        let rows: Vec<&Row> =
            TABLE.iter().filter(|row| row.group == group && wanted(row)).collect();
        if rows.is_empty() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(vec![]);
        }
        lines.push(vec![bit(group.title(), Tone::Accent)]);
        for row in rows {
            let keys: Vec<String> = row.keys.iter().map(|key| keymap::name(*key)).collect();
            lines.push(entry(&keys.join(" "), row.about, row.name));
        }
    }
    lines
}

fn entry(keys: &str, about: &'static str, name: &'static str) -> Line {
    let gap = 16_usize.saturating_sub(fit::width(keys)).max(1);
    let mut line =
        vec![bit(format!("  {keys}{}", " ".repeat(gap)), Tone::Key), bit(about, Tone::Text)];
    if !name.is_empty() {
        line.push(bit(format!("  :{name}"), Tone::Dim));
    }
    line
}

fn all(state: &State) -> Vec<Line> {
    let demo = state.tour.is_some();
    let mut lines = grouped(|row| demo || row.cmd != crate::command::Cmd::KillRank);
    lines.push(vec![]);
    lines.push(vec![bit("In the form and in fields", Tone::Accent)]);
    lines.extend(TYPING.iter().map(|(keys, about)| {
        let gap = 20_usize.saturating_sub(fit::width(keys)).max(1);
        vec![bit(format!("  {keys}{}", " ".repeat(gap)), Tone::Key), bit(*about, Tone::Text)]
    }));
    lines
}

fn here(state: &State) -> Vec<Line> {
    grouped(|row| allowed(state, row.cmd))
}

/// Lines of the place: as many as it can be scrolled by.
pub fn lines(state: &State) -> usize {
    all(state).len()
}

/// Lines of the overlay.
pub fn lines_here(state: &State) -> usize {
    here(state).len()
}

/// Draws the place.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let lines = all(state);
    let inner = pen.boxed(
        area,
        &[bit("Keys", Tone::Title)],
        &more(&lines, area.height.saturating_sub(2), state.help_top),
        Tone::Focus,
    );
    put(pen, inner, &lines, state.help_top);
}

/// Draws the overlay of the keys that work here.
pub(super) fn overlay(state: &State, pen: &mut Pen<'_>, area: Rect, top: usize) {
    let lines = here(state);
    let height = (lines.len() as u16 + 3).min(area.height.saturating_sub(2));
    let place = middle(area, 86.min(area.width.saturating_sub(2)), height);
    pen.clear_apart(place);
    let title = format!("Keys here: {}", state.place.title());
    let inner = pen.boxed(
        place,
        &[bit(title, Tone::Title)],
        &more(&lines, place.height.saturating_sub(3), top),
        Tone::Focus,
    );
    let list = Rect { height: inner.height.saturating_sub(1), ..inner };
    put(pen, list, &lines, top);
    let foot = row_of(inner, inner.height.saturating_sub(1));
    hints(
        pen,
        foot,
        &[hint("esc", "close"), hint("j k", "scroll"), hint("7", "all keys, after esc")],
    );
}

/// Says when there are more lines than are seen.
fn more(lines: &[Line], height: u16, top: usize) -> Line {
    let height = usize::from(height);
    if lines.len() > height {
        vec![bit(
            format!("{} to {} of {}", top + 1, (top + height).min(lines.len()), lines.len()),
            Tone::Dim,
        )]
    } else {
        vec![]
    }
}

fn put(pen: &mut Pen<'_>, area: Rect, lines: &[Line], top: usize) {
    for (row, line) in lines.iter().skip(top).take(area.height.into()).enumerate() {
        pen.line(row_of(below(area, 0), row as u16), line);
    }
}
