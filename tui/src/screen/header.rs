//! The top: places with their digits, how the engine is reached, how many jobs are in which state.

use dvp_model::job::StateName;
use ratatui::layout::Rect;

use crate::event::Contact;
use crate::state::{Place, State};
use crate::theme::Tone;
use crate::widget::pen::{Line, Pen, bit, row_of, width};
use crate::widget::words::{age, clean, number, span};

/// Rows of the header.
pub(super) fn rows(area: Rect) -> u16 {
    if area.height >= 20 { 3 } else { 2 }
}

/// Draws it.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) {
    tabs(state, pen, row_of(area, 0));
    let line = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..row_of(area, 1) };
    let counts = counts(state);
    let mut kept = counts;
    let contact = contact(state, pen);
    let first = contact.first().map_or(0, width);
    // The engine's standing comes before the counts, the counts before its details.
    while kept.len() > 1 && first + 3 + total(&kept) > line.width {
        kept.pop();
    }
    let right = total(&kept);
    let left = Rect { width: line.width.saturating_sub(right + 2), ..line };
    pen.pieces(left, &contact, 2);
    let right = right.min(line.width);
    pen.pieces(Rect { x: line.right() - right, width: right, ..line }, &kept, 2);
}

fn total(pieces: &[Line]) -> u16 {
    pieces.iter().map(width).sum::<u16>() + 2 * (pieces.len().saturating_sub(1)) as u16
}

fn tabs(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let here = match state.place {
        Place::Job(_) => Place::Jobs,
        place => place,
    };
    let full = area.width >= 76;
    let mut pieces: Vec<Line> = vec![vec![bit(" DVP ", Tone::Accent)]];
    for (at, place) in Place::NUMBERED.iter().enumerate() {
        let digit = (at + 1).to_string();
        let active = *place == here;
        let mut line = vec![bit(digit, if active { Tone::Accent } else { Tone::Key })];
        if active {
            line.push(bit(format!(" {}", place.title()), Tone::Accent));
        } else if full {
            line.push(bit(format!(" {}", place.title()), Tone::Dim));
        }
        pieces.push(line);
    }
    pen.pieces(area, &pieces, 2);
}

/// How the engine is reached, the weightiest piece first.
fn contact(state: &State, pen: &Pen<'_>) -> Vec<Line> {
    let glyphs = pen.glyphs();
    let now = state.shown_now();
    let data = state.data();
    let mut pieces: Vec<Line> = Vec::new();
    if let Some(at) = state.frozen_at {
        let text = format!(" FROZEN {} ago: F goes on ", span(state.now.since(at)));
        pieces.push(vec![bit(text, Tone::Banner)]);
    }
    if state.leaving {
        pieces.push(vec![bit(" leaves when the jobs are done: esc stays ", Tone::Banner)]);
    }
    match &data.contact {
        Contact::Connecting => pieces.push(vec![
            bit(format!("{} ", glyphs.unknown()), Tone::Warn),
            bit("looking for the engine", Tone::Warn),
        ]),
        Contact::Lost { since, .. } => pieces.push(vec![
            bit(format!("{} ", glyphs.bad()), Tone::Bad),
            bit(format!("engine lost {} ago, trying again", span(now.since(*since))), Tone::Bad),
        ]),
        Contact::Hosting | Contact::Attached { .. } => {
            let stale = data.status.as_ref().is_some_and(|status| status.is_stale(now));
            let old = data.status.as_ref().map_or(0, |status| status.age(now));
            if stale {
                pieces.push(vec![
                    bit(format!("{} ", glyphs.bad()), Tone::Warn),
                    bit(format!("engine silent for {}", age(old)), Tone::Warn),
                ]);
            } else {
                let text = match (&data.contact, &state.form.remote) {
                    (Contact::Hosting, _) => "engine here".to_owned(),
                    (_, Some(url)) => format!("engine at {}", clean(url)),
                    _ => "engine attached".to_owned(),
                };
                pieces.push(vec![
                    bit(format!("{} ", glyphs.good()), Tone::Good),
                    bit(text, Tone::Text),
                ]);
            }
        }
    }
    if let Some(status) = &data.status {
        let tone = if status.is_stale(now) { Tone::Stale } else { Tone::Dim };
        let status = &status.value;
        let kind = if status.background { "background pid" } else { "pid" };
        pieces.push(vec![bit(format!("{kind} {}", status.pid), tone)]);
        pieces.push(vec![bit(format!("up {}", span(now.since(status.started_at))), tone)]);
        pieces.push(vec![bit(format!("v{}", clean(&status.version)), tone)]);
        pieces.push(vec![bit(status.data_dir.to_string(), tone)]);
    }
    pieces
}

/// Jobs by state, the ones that matter most first.
fn counts(state: &State) -> Vec<Line> {
    let data = state.data();
    let stale = data.status.as_ref().is_some_and(|status| status.is_stale(state.shown_now()));
    let shown = [
        (StateName::Failed, Tone::Bad),
        (StateName::Running, Tone::Busy),
        (StateName::Queued, Tone::Text),
        (StateName::Waiting, Tone::Warn),
        (StateName::Held, Tone::Warn),
        (StateName::Completed, Tone::Good),
    ];
    let mut pieces = Vec::new();
    for (name, tone) in shown {
        let count = data.count(name);
        if count > 0 || matches!(name, StateName::Running | StateName::Queued) {
            let quiet = count == 0 || stale;
            pieces.push(vec![
                bit(number(count), if quiet { Tone::Dim } else { tone }),
                bit(format!(" {}", name.as_str()), Tone::Dim),
            ]);
        }
    }
    pieces
}
