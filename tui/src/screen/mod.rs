//! What the console looks like: one function of the state, which it changes nothing of. Knows no
//! terminal and no engine.

mod dashboard;
mod dialogs;
mod events;
pub mod foot;
mod header;
pub mod help;
pub mod job;
mod jobs;
mod nodes;
mod picker;
mod plan;
mod services;
mod submit;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use crate::state::{Place, State};
use crate::theme::Tone;
use crate::widget::pen::{Pen, bit, middle};

/// The least that a screen needs, columns and rows.
pub const LEAST: (u16, u16) = (40, 12);

/// Draws the whole screen.
pub fn view(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut pen = Pen::new(frame.buffer_mut(), state.look);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        too_small(&mut pen, area);
        return;
    }
    let head = header::rows(area);
    let foot = foot::rows(state);
    let body = Rect { y: area.y + head, height: area.height - head - foot, ..area };
    header::draw(state, &mut pen, Rect { height: head, ..area });
    let mut typing = match state.place {
        Place::Dashboard => {
            dashboard::draw(state, &mut pen, body);
            None
        }
        Place::Jobs => jobs::draw(state, &mut pen, body),
        Place::Job(id) => {
            job::draw(state, &mut pen, body, id);
            None
        }
        Place::Nodes => {
            nodes::draw(state, &mut pen, body);
            None
        }
        Place::Services => {
            services::draw(state, &mut pen, body);
            None
        }
        Place::Events => events::draw(state, &mut pen, body),
        Place::Submit => submit::draw(state, &mut pen, body),
        Place::Help => {
            help::draw(state, &mut pen, body);
            None
        }
    };
    foot::draw(state, &mut pen, Rect { y: area.bottom() - foot, height: foot, ..area });
    if let Some(overlay) = &state.overlay {
        typing = dialogs::draw(state, overlay, &mut pen, area);
    }
    if let Some(at) = typing {
        frame.set_cursor_position(at);
    }
}

fn too_small(pen: &mut Pen<'_>, area: Rect) {
    let text =
        format!("{}x{} is too small: DVP needs {}x{}", area.width, area.height, LEAST.0, LEAST.1);
    let lines = u16::try_from(text.len()).unwrap_or(40).div_ceil(area.width.max(1)) + 1;
    pen.wrapped(middle(area, area.width, lines), &text, Tone::Warn);
}

/// Draws a line being typed so that its cursor is in sight; tells where the terminal's cursor goes.
pub(crate) fn typed(
    pen: &mut Pen<'_>,
    area: Rect,
    field: &crate::state::field::Field,
    ghost: &str,
    focus: bool,
) -> Option<Position> {
    use crate::widget::{fit, words};
    if area.is_empty() {
        return None;
    }
    let room = usize::from(area.width);
    let before = words::clean(&field.text[..field.at]).into_owned();
    let after = words::clean(&field.text[field.at..]).into_owned();
    if !focus {
        let whole = fit::start(&format!("{before}{after}"), room, pen.glyphs().ellipsis());
        if whole.is_empty() {
            pen.line(area, &[bit(ghost.to_owned(), Tone::Dim)]);
        } else {
            pen.line(area, &[bit(whole, Tone::Text)]);
        }
        return None;
    }
    // One cell stays for the cursor behind the last letter.
    let left = fit::start(&before, room.saturating_sub(1), pen.glyphs().ellipsis());
    let at = fit::width(&left) as u16;
    let mut line = vec![bit(left, Tone::Strong)];
    if after.is_empty() {
        line.push(bit(ghost.to_owned(), Tone::Dim));
    } else {
        line.push(bit(after, Tone::Strong));
    }
    pen.line(area, &line);
    Some(Position { x: (area.x + at).min(area.right() - 1), y: area.y })
}
