//! The dashboard: what needs a person, the jobs, the nodes, the queue and the services.

use dvp_model::job::StateName;
use ratatui::layout::Rect;

use super::{jobs, nodes, services};
use crate::state::cursor::window;
use crate::state::needs::{Need, needs};
use crate::state::{Spot, State};
use crate::theme::Tone;
use crate::widget::pen::{Line, Pen, bit, row_of, width};
use crate::widget::{fit, words};
use crate::{command, keymap};

/// Draws it.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let needs = needs(state.data(), state.shown_now());
    let wanted = needs.len().max(1) as u16 * if area.height >= 20 { 2 } else { 1 };
    let wanted = if needs.is_empty() { 1 } else { wanted };
    let needs_height = (wanted + 2).min((area.height / 3).max(3));
    let node_count = state.data().nodes.as_ref().map_or(0, |nodes| nodes.value.len()) as u16;
    let side_by_side = area.width >= 100;
    let services_height = 2 + services::short_rows(state);
    let nodes_height = 3 + node_count.max(1);
    let rest = area.height.saturating_sub(needs_height);
    let bottom = if side_by_side {
        nodes_height.max(services_height).min((rest / 2).max(4))
    } else {
        nodes_height.min((rest / 3).max(4))
    };
    // Where both don't fit below each other, the services have their own place.
    let services_below = !side_by_side && rest >= bottom + services_height + 7;
    let below = bottom + if services_below { services_height } else { 0 };
    let (needs_area, left) = split(area, needs_height);
    let (jobs_area, left) = split(left, left.height.saturating_sub(below));
    draw_needs(state, pen, needs_area, &needs);
    draw_jobs(state, pen, jobs_area);
    if side_by_side {
        let width = area.width * 3 / 5;
        nodes::boxed(state, pen, Rect { width, ..left }, None);
        let right = Rect { x: left.x + width, width: left.width - width, ..left };
        services::boxed_short(state, pen, right);
    } else {
        let (nodes_area, services_area) = split(left, bottom);
        nodes::boxed(state, pen, nodes_area, None);
        if services_below {
            services::boxed_short(state, pen, services_area);
        }
    }
}

fn split(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
}

fn draw_needs(state: &State, pen: &mut Pen<'_>, area: Rect, needs: &[Need]) {
    let data = state.data();
    if needs.is_empty() {
        let inner = pen.boxed(area, &[bit("Needs you", Tone::Title)], &vec![], Tone::Border);
        let mut line: Line = vec![bit("Nothing needs you. ", Tone::Good)];
        let done = data.count(StateName::Completed);
        if data.jobs.is_some() {
            line.push(bit(
                format!("{} of {} done", words::number(done), words::number(data.total())),
                Tone::Text,
            ));
            let last = data.all_jobs().iter().filter(|job| job.output.is_some());
            if let Some(at) = last.filter_map(|job| job.finished_at).max() {
                let at = words::clock(at, state.shown_now(), pen.utc_offset_s());
                line.push(bit(format!("; last at {at}"), Tone::Text));
            }
            line.push(bit(".", Tone::Text));
        }
        pen.line(inner, &line);
        return;
    }
    let remark = vec![bit(words::count(needs.len(), "cause"), Tone::Bad)];
    let inner = pen.boxed(area, &[bit("Needs you", Tone::Bad)], &remark, Tone::Bad);
    let selected =
        needs.iter().position(|need| state.spot.id == Some(Spot::Need(need.key.clone())));
    // Two rows each where all have room for them.
    let each = if usize::from(inner.height) >= needs.len() * 2 { 2 } else { 1 };
    let height = usize::from(inner.height / each);
    let top = window(selected.unwrap_or(0), needs.len(), height);
    for (row, need) in needs.iter().skip(top).take(height).enumerate() {
        let place = Rect { y: inner.y + row as u16 * each, height: each, ..inner };
        draw_need(state, pen, place, need, selected == Some(top + row));
    }
}

fn draw_need(state: &State, pen: &mut Pen<'_>, area: Rect, need: &Need, selected: bool) {
    let glyphs = pen.glyphs();
    let mut mends: Line = Vec::new();
    for (cmd, what) in &need.mends {
        if !mends.is_empty() {
            mends.push(bit("  ", Tone::Dim));
        }
        mends.push(bit(keymap::name(command::of(*cmd).keys[0]), Tone::Key));
        mends.push(bit(format!(" {what}"), Tone::Dim));
    }
    let mut since: Line = Vec::new();
    if let Some(at) = need.since {
        let at = words::clock(at, state.shown_now(), pen.utc_offset_s());
        since.push(bit(format!("since {at}  "), Tone::Dim));
    }
    since.extend(mends);
    let sign = Rect { width: 2, height: 1, ..area };
    let text_x = area.x + 4;
    let room = area.width.saturating_sub(4);
    let what = words::clean(&need.what).into_owned();
    let cells = width(&since);
    if area.height >= 2 {
        let lines = fit::wrap(&what, room.into(), 2, glyphs.ellipsis());
        let one_line = lines.len() == 1;
        if one_line {
            pen.line(Rect { x: text_x, width: room, ..row_of(area, 0) }, &[bit(what, Tone::Text)]);
            pen.line(Rect { x: text_x, width: room, ..row_of(area, 1) }, &since);
        } else {
            let second = room.saturating_sub(cells + 2);
            let first = lines.first().cloned().unwrap_or_default();
            pen.line(
                Rect { x: text_x, width: room, ..row_of(area, 0) },
                &[bit(first.clone(), Tone::Text)],
            );
            let rest = what.strip_prefix(first.as_str()).unwrap_or(&what).trim_start().to_owned();
            pen.line(
                Rect { x: text_x, width: second, ..row_of(area, 1) },
                &[bit(rest, Tone::Text)],
            );
            pen.right(Rect { x: text_x, width: room, ..row_of(area, 1) }, &since);
        }
    } else {
        let fits = cells + 20 < room;
        let text = if fits { room - cells - 2 } else { room };
        pen.line(Rect { x: text_x, width: text, ..row_of(area, 0) }, &[bit(what, Tone::Text)]);
        if fits {
            pen.right(Rect { x: text_x, width: room, ..row_of(area, 0) }, &since);
        }
    }
    pen.line(Rect { x: area.x + 2, ..sign }, &[bit(glyphs.bad(), Tone::Bad)]);
    if selected {
        pen.repaint(area, Tone::Select);
        for row in 0..area.height {
            pen.cell(area.x, area.y + row, glyphs.cursor(), Tone::Select);
        }
    }
}

fn draw_jobs(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let data = state.data();
    let list = data.dashboard_jobs();
    let mut remark: Line = Vec::new();
    if let Some(jobs) = data.jobs.as_ref().filter(|jobs| jobs.is_stale(state.shown_now())) {
        remark.push(bit(format!("{} old", words::age(jobs.age(state.shown_now()))), Tone::Warn));
    } else if !list.is_empty() {
        remark.push(bit(words::number(data.total()), Tone::Dim));
    }
    let on_job = matches!(state.spot.id, Some(Spot::Job(_)));
    let tone = if on_job { Tone::Focus } else { Tone::Border };
    let inner = pen.boxed(area, &[bit("Jobs", Tone::Title)], &remark, tone);
    if list.is_empty() {
        let text = match data.jobs {
            Some(_) => "No job yet. s submits the first one.",
            None => "Waiting for the engine.",
        };
        pen.line(inner, &[bit(text, Tone::Dim)]);
        return;
    }
    let selected = match &state.spot.id {
        Some(Spot::Job(id)) => list.iter().position(|job| job.id == *id),
        _ => None,
    };
    jobs::rows(state, pen, inner, &list, selected, on_job, &Default::default());
}
