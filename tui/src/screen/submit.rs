//! The submit form: its rows with what is wrong beside them, and what a dry run says.

use dvp_model::spec::task::{ParamKind, TASKS};
use ratatui::layout::{Position, Rect};

use super::{job, plan, typed};
use crate::state::State;
use crate::state::cursor::window;
use crate::state::form::{Dry, Form, Slot};
use crate::theme::Tone;
use crate::widget::pen::{Line, Pen, below, bit, row_of};
use crate::widget::{fit, words};

/// Columns of a row's label.
const LABEL: u16 = 20;

/// Draws the place; tells where the typing is.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) -> Option<Position> {
    let wide = area.width >= 110;
    let (left, right) = if wide {
        let width = area.width * 5 / 8;
        (Rect { width, ..area }, Rect { x: area.x + width, width: area.width - width, ..area })
    } else {
        let dry = (area.height / 3).clamp(4, 9);
        (
            Rect { height: area.height - dry, ..area },
            Rect { y: area.bottom() - dry, height: dry, ..area },
        )
    };
    draw_dry(state, pen, right);
    draw_rows(state, pen, left)
}

/// A line of the form as it is drawn: a row, what is wrong with it, or a candidate for its path.
enum Shown {
    Row(Slot),
    Fault(String),
    Candidates(String),
    Gap,
}

fn shown(form: &Form, width: usize, ellipsis: &str) -> Vec<Shown> {
    let mut lines = Vec::new();
    for slot in form.slots() {
        if slot == Slot::Start {
            lines.push(Shown::Gap);
        }
        let fault = form.fault(&slot);
        let here = slot == form.at;
        let path = matches!(slot, Slot::Input | Slot::Output);
        lines.push(Shown::Row(slot));
        if let Some(fault) = fault {
            let most = if here { 6 } else { 1 };
            let wrapped = fit::wrap(&words::clean(&fault), width, most, ellipsis);
            lines.extend(wrapped.into_iter().map(Shown::Fault));
        }
        if here && path {
            let candidates = form.candidates();
            if candidates.len() > 1 {
                lines.push(Shown::Candidates(candidates.join("  ")));
            }
        }
    }
    lines
}

fn draw_rows(state: &State, pen: &mut Pen<'_>, area: Rect) -> Option<Position> {
    let form = &state.form;
    let width = area.width.saturating_sub(4);
    let label = LABEL.min(width / 3);
    let value_width = width.saturating_sub(label + 2);
    let lines = shown(form, value_width.into(), pen.glyphs().ellipsis());
    let at = lines.iter().position(|line| matches!(line, Shown::Row(slot) if *slot == form.at));
    let height = usize::from(area.height.saturating_sub(2));
    let top = window(at.unwrap_or(0), lines.len(), height);
    let remark = match form.sent {
        true => vec![bit("sent, no answer yet", Tone::Warn)],
        false if lines.len() > height => {
            let last = (top + height).min(lines.len());
            vec![bit(format!("{} to {last} of {}", top + 1, lines.len()), Tone::Dim)]
        }
        false => vec![],
    };
    let inner = pen.boxed(area, &[bit("Submit a job", Tone::Title)], &remark, Tone::Focus);
    let mut cursor = None;
    for (row, line) in lines.iter().skip(top).take(inner.height.into()).enumerate() {
        let place = row_of(inner, row as u16);
        let value = Rect { x: place.x + label + 2, width: value_width, ..place };
        match line {
            Shown::Row(slot) => {
                let at = draw_row(state, pen, place, value, slot);
                cursor = cursor.or(at);
            }
            Shown::Fault(text) => {
                pen.line(value, &[bit(text.clone(), Tone::Bad)]);
            }
            Shown::Candidates(text) => {
                pen.line(value, &[bit(text.clone(), Tone::Dim)]);
            }
            Shown::Gap => {}
        }
    }
    cursor
}

fn draw_row(
    state: &State,
    pen: &mut Pen<'_>,
    place: Rect,
    value: Rect,
    slot: &Slot,
) -> Option<Position> {
    let form = &state.form;
    let here = *slot == form.at;
    let wrong = form.fault(slot).is_some();
    if *slot == Slot::Start {
        let tone = if here { Tone::Select } else { Tone::Strong };
        pen.line(value, &[bit(" Start the job ", tone)]);
        return None;
    }
    let (label, ghost): (String, String) = match slot {
        Slot::Input => ("Input".into(), "path of a film; ctrl-o browses".into()),
        Slot::Tasks => ("Tasks".into(), String::new()),
        Slot::Param(key) => (key.clone(), ghost(form, key)),
        Slot::Output => ("Output".into(), output_ghost(form)),
        Slot::Ranks => ("Ranks".into(), "as the scheduler sees fit".into()),
        Slot::Priority => ("Priority".into(), "0".into()),
        Slot::Force => ("Replace output".into(), String::new()),
        Slot::Start => (String::new(), String::new()),
    };
    let tone = match (wrong, here) {
        (true, _) => Tone::Bad,
        (_, true) => Tone::Accent,
        _ => Tone::Dim,
    };
    if here {
        let sign = pen.glyphs().cursor();
        pen.cell(place.x, place.y, sign, Tone::Accent);
    }
    let label_place = Rect { x: place.x + 2, width: value.x.saturating_sub(place.x + 3), ..place };
    pen.line(label_place, &[bit(label, tone)]);
    match slot {
        Slot::Tasks => {
            pen.line(value, &chain(form, here));
            None
        }
        Slot::Force => {
            let (text, tone) = match form.force {
                true => {
                    ("yes: an existing output is replaced once the new one is verified", Tone::Warn)
                }
                false => ("no: an existing output is an error", Tone::Text),
            };
            pen.line(value, &[bit(text, tone)]);
            None
        }
        Slot::Param(key) => match form.param(key).map(|param| param.kind) {
            Some(ParamKind::Choice(options)) => {
                pen.line(value, &choice(form, key, options, here));
                None
            }
            _ => {
                let field = form.set.get(key).cloned().unwrap_or_default();
                let ghost = if field.text.is_empty() { ghost.as_str() } else { "" };
                typed(pen, value, &field, ghost, here)
            }
        },
        _ => {
            let field = match slot {
                Slot::Input => &form.input,
                Slot::Output => &form.output,
                Slot::Ranks => &form.ranks,
                _ => &form.priority,
            };
            let ghost = if field.text.is_empty() { ghost.as_str() } else { "" };
            typed(pen, value, field, ghost, here)
        }
    }
}

/// What an empty parameter shows: its default and what it means.
fn ghost(form: &Form, key: &str) -> String {
    let Some(param) = form.param(key) else { return String::new() };
    let default = if param.default.is_empty() { "not set" } else { param.default };
    format!("{default}   {}", param.about)
}

/// Where the output goes when nothing is typed.
fn output_ghost(form: &Form) -> String {
    match &form.dry {
        Dry::Planned(reply) => reply.output.to_string(),
        _ if form.sends() => "there, beside the film that is sent; `download` fetches it".into(),
        _ => "beside the input, named after it and the task".into(),
    }
}

/// The tasks: those of the chain with their number, the others dim.
fn chain(form: &Form, here: bool) -> Line {
    let mut line: Line = Vec::new();
    for (at, task) in TASKS.iter().enumerate() {
        if at > 0 {
            line.push(bit(" ", Tone::Dim));
        }
        let number = form.chain.iter().position(|name| name == task.name);
        let text = match number {
            Some(number) if form.chain.len() > 1 => format!("{}.{}", number + 1, task.name),
            _ => task.name.to_owned(),
        };
        let tone = match (here && form.chain_at == at, number.is_some()) {
            (true, _) => Tone::Select,
            (false, true) => Tone::Strong,
            (false, false) => Tone::Dim,
        };
        let text = if number.is_some() { format!("[{text}]") } else { format!(" {text} ") };
        line.push(bit(text, tone));
    }
    line
}

/// A choice: its value between arrows where the cursor is, then what it means.
fn choice(form: &Form, key: &str, options: &[&str], here: bool) -> Line {
    let param = form.param(key);
    let chosen = form.set.get(key).map(|field| field.text.clone()).unwrap_or_default();
    let default = param.map_or("", |param| param.default);
    let (text, tone) = match (chosen.is_empty(), default.is_empty()) {
        (false, _) => (chosen, Tone::Strong),
        (true, false) => (default.to_owned(), Tone::Text),
        (true, true) => ("not set".to_owned(), Tone::Dim),
    };
    let mut line: Line = Vec::new();
    if here {
        line.push(bit("< ", Tone::Key));
        line.push(bit(text, Tone::Strong));
        line.push(bit(" >", Tone::Key));
        line.push(bit(format!("   {}", options.join(" ")), Tone::Dim));
    } else {
        line.push(bit(text, tone));
        line.push(bit(format!("   {}", param.map_or("", |param| param.about)), Tone::Dim));
    }
    line
}

fn draw_dry(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let form = &state.form;
    let title = [bit("Dry run", Tone::Title)];
    let inner = pen.boxed(area, &title, &vec![], Tone::Border);
    match &form.dry {
        Dry::None => {
            let text = if form.input.text.is_empty() {
                "Name an input: its plan and an estimate appear here."
            } else if form.first_fault().is_some() {
                "Not planned: see the line in red."
            } else if form.sends() {
                "Sent to the engine when you submit, and planned there."
            } else {
                "Planned as soon as you stop typing."
            };
            pen.wrapped(inner, text, Tone::Dim);
        }
        Dry::Asked => {
            let frames = pen.glyphs().spinner();
            let at = state.now.0.div_euclid(1000).rem_euclid(frames.len() as i64) as usize;
            let text = format!("{} Reading the film's index", frames[at]);
            pen.line(inner, &[bit(text, Tone::Busy)]);
        }
        Dry::Refused => {
            let elsewhere = form.errors.iter().filter(|reason| form.slot_of(reason) == Slot::Start);
            let texts: Vec<String> = elsewhere.map(|reason| reason.text.clone()).collect();
            pen.line(row_of(inner, 0), &[bit("The engine refuses this.", Tone::Bad)]);
            pen.wrapped(below(inner, 1), &texts.join("; "), Tone::Bad);
        }
        Dry::Planned(reply) => {
            let mut lines: Vec<plan::Labelled> = vec![
                (
                    "Estimate",
                    vec![bit(
                        format!(
                            "{}{} on {}",
                            pen.glyphs().about(),
                            words::span(reply.wall_ms as i64),
                            words::count(reply.parallelism as usize, "rank")
                        ),
                        Tone::Accent,
                    )],
                ),
                ("To", vec![bit(reply.output.to_string(), Tone::Text)]),
            ];
            lines.extend(plan::lines(&reply.plan));
            job::labelled(pen, inner, &lines, 0);
        }
    }
}
