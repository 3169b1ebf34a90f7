//! The foot: hints of the keys that work here, or what was just said; above it, in the demo, the coach.

use ratatui::layout::Rect;

use crate::command::{self, Cmd, TABLE};
use crate::demo::tour;
use crate::keymap;
use crate::state::form::Slot;
use crate::state::{Place, State};
use crate::theme::Tone;
use crate::update::allowed;
use crate::widget::hints::{hint, hints};
use crate::widget::pen::{Line, Pen, bit, row_of, width};
use crate::widget::words;

/// Rows of the foot.
pub(super) fn rows(state: &State) -> u16 {
    if state.tour.is_some() { 3 } else { 1 }
}

/// Draws it.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    if let Some(hint) = tour::hint(state) {
        let tone = if hint.bad { Tone::Bad } else { Tone::Accent };
        let rows = Rect { height: 2, ..inner };
        let text = format!("{} {}", if hint.bad { "!" } else { ">" }, hint.text);
        pen.wrapped(rows, &text, tone);
    }
    let last = row_of(inner, area.height.saturating_sub(1));
    // What lies over the screen has hints of its own.
    if state.overlay.is_some() {
        return;
    }
    if state.going {
        pen.line(last, &[bit("Leaving: the jobs are being looked after first", Tone::Warn)]);
        return;
    }
    if let Some(toast) = &state.toast {
        let tone = if toast.bad { Tone::Bad } else { Tone::Good };
        let text = words::clean(&toast.text).replace("\\n", "; ");
        pen.line(last, &[bit(text, tone)]);
        return;
    }
    let mut shown = here(state);
    // Help stays in sight, whatever else has to go.
    let help = hint("?", "help");
    let needs_help = !state.typing();
    if needs_help {
        let room = last.width.saturating_sub(width(&help) + 2);
        let mut used = 0;
        shown.retain(|piece| {
            let cells = width(piece) + 2;
            let fits = used + cells <= room + 2;
            used += if fits { cells } else { 0 };
            fits
        });
        shown.push(help);
    }
    hints(pen, last, &shown);
}

/// The hints of this place, the most useful first.
pub fn here(state: &State) -> Vec<Line> {
    if state.filtering {
        return vec![hint("enter", "keep"), hint("esc", "drop the filter")];
    }
    if state.place == Place::Submit {
        return form(state);
    }
    let first: &[Cmd] = match state.place {
        Place::Dashboard => &[Cmd::KillRank, Cmd::Submit, Cmd::Open, Cmd::Retry],
        Place::Jobs => &[Cmd::KillRank, Cmd::Open, Cmd::Submit, Cmd::Filter, Cmd::Sort, Cmd::Mark],
        Place::Job(_) => &[Cmd::KillRank, Cmd::Back, Cmd::NextPane, Cmd::Cancel, Cmd::Retry],
        Place::Events => &[Cmd::Open, Cmd::Filter, Cmd::Follow],
        _ => &[Cmd::Submit],
    };
    let rest = TABLE.iter().map(|row| row.cmd).filter(|cmd| !first.contains(cmd));
    first
        .iter()
        .copied()
        .chain(rest)
        .filter(|cmd| *cmd != Cmd::Help && allowed(state, *cmd))
        .map(command::of)
        .filter(|row| !row.hint.is_empty())
        .map(|row| hint(keymap::name(row.keys[0]), row.hint))
        .collect()
}

/// Hints of the form: its keys are no commands.
fn form(state: &State) -> Vec<Line> {
    let mut shown = Vec::new();
    match &state.form.at {
        Slot::Start => shown.push(hint("enter", "start the job")),
        Slot::Tasks => shown.extend([hint("left right", "choose"), hint("space", "add or remove")]),
        Slot::Force => shown.push(hint("space", "switch")),
        Slot::Input | Slot::Output if state.form.can_complete() => {
            shown.push(hint("tab", "complete"));
        }
        Slot::Param(_) if state.form.field().is_none() => shown.push(hint("left right", "change")),
        _ => {}
    }
    shown.push(hint("up down", "line"));
    if state.form.at == Slot::Input {
        shown.push(hint("ctrl-o", "browse"));
    }
    if state.form.at != Slot::Start {
        shown.push(hint("ctrl-s", "start"));
    }
    shown.push(hint("esc", "back"));
    shown
}
