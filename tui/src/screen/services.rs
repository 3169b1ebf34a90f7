//! The queue and the services that the engine uses, each with its age; the engine itself.

use dvp_model::job::StateName;
use dvp_model::time::Millis;
use dvp_model::wire::api::QueueFigures;
use ratatui::layout::Rect;

use crate::state::State;
use crate::theme::Tone;
use crate::widget::pen::{Line, Pen, below, bit, row_of};
use crate::widget::table::{Cell, Column, Row, Table, table};
use crate::widget::words::{age, number, span};

const COLUMNS: &[Column] = &[
    Column::text("SERVICE", 10, 0),
    Column::rest("WHAT", 12),
    Column { title: "STANDS", cells: 20, flexible: true, right: false, drop: 1 },
    Column::figure("ASKED", 6, 0),
];

/// Rows of the short form: the queue, and a row a service.
pub(super) fn short_rows(state: &State) -> u16 {
    1 + state.data().status.as_ref().map_or(1, |status| status.value.services.len() as u16)
}

/// Queue and services in a box, a row each.
pub(super) fn boxed_short(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let data = state.data();
    let now = state.shown_now();
    let mut remark: Line = Vec::new();
    if let Some(status) = data.status.as_ref().filter(|status| status.is_stale(now)) {
        remark.push(bit(format!("{} old", age(status.age(now))), Tone::Warn));
    }
    let title = [bit("Queue and services", Tone::Title)];
    let inner = pen.boxed(area, &title, &remark, Tone::Border);
    let Some(status) = &data.status else {
        pen.line(inner, &[bit("Waiting for the engine.", Tone::Dim)]);
        return;
    };
    pen.line(row_of(inner, 0), &queue_line(state));
    for (at, service) in status.value.services.iter().enumerate() {
        let place = row_of(inner, at as u16 + 1);
        let glyphs = pen.glyphs();
        let old = vec![bit(age(now.since(service.at)), Tone::Dim)];
        let used = pen.right(place, &old);
        let text = Rect { width: place.width.saturating_sub(used + 1), ..place };
        let line = match &service.fault {
            None => vec![
                bit(format!("{} ", glyphs.good()), Tone::Good),
                bit(format!("{:<8} ", service.name), Tone::Text),
                bit(service.what.clone(), Tone::Dim),
            ],
            Some(fault) => vec![
                bit(format!("{} ", glyphs.bad()), Tone::Bad),
                bit(format!("{:<8} ", service.name), Tone::Text),
                bit(fault.text.clone(), Tone::Bad),
            ],
        };
        pen.line(text, &line);
    }
}

fn queue_line(state: &State) -> Line {
    let data = state.data();
    let waiting = data.count(StateName::Queued) + data.count(StateName::Waiting);
    let mut line = vec![
        bit("queue      ", Tone::Text),
        bit(number(waiting), if waiting > 0 { Tone::Strong } else { Tone::Dim }),
        bit(" deep, ", Tone::Dim),
        bit(number(data.count(StateName::Running)), Tone::Strong),
        bit(" in work", Tone::Dim),
    ];
    let held = data.count(StateName::Held);
    if held > 0 {
        line.extend([bit(", ", Tone::Dim), bit(number(held), Tone::Warn), bit(" held", Tone::Dim)]);
    }
    if let Some(queue) = data.status.as_ref().and_then(|status| status.value.queue.as_ref()) {
        line.push(bit("; broker ", Tone::Dim));
        line.extend(broker_line(queue));
    }
    line
}

/// What the broker counts: not the jobs that wait, but the messages that are no jobs yet.
fn broker_line(queue: &QueueFigures) -> Line {
    let strong = |count: u64| if count > 0 { Tone::Strong } else { Tone::Dim };
    let mut line = vec![
        bit(number(queue.ready), strong(queue.ready)),
        bit(" ready, ", Tone::Dim),
        bit(number(queue.unacked), strong(queue.unacked)),
        bit(" unacked", Tone::Dim),
    ];
    if queue.dead > 0 {
        let dead = bit(number(queue.dead), Tone::Warn);
        line.extend([bit(", ", Tone::Dim), dead, bit(" dead", Tone::Dim)]);
    }
    line
}

/// The broker's figures in full, with their age.
fn broker_row(queue: &QueueFigures, now: Millis) -> Line {
    let mut line = broker_line(queue);
    let consumers = match queue.consumers {
        1 => "1 consumer".to_owned(),
        count => format!("{} consumers", number(count)),
    };
    line.push(bit(
        format!(
            ", {consumers}, {:.1}/s in, {:.1}/s out, {} old",
            queue.in_per_s,
            queue.out_per_s,
            age(now.since(queue.at))
        ),
        if queue.consumers == 0 { Tone::Warn } else { Tone::Dim },
    ));
    line
}

/// Draws the place.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let data = state.data();
    let now = state.shown_now();
    let queue = data.status.as_ref().and_then(|status| status.value.queue.as_ref());
    let engine_rows = (6 + u16::from(queue.is_some())).min(area.height / 2);
    let engine = Rect { height: engine_rows, ..area };
    let inner = pen.boxed(engine, &[bit("Engine", Tone::Title)], &vec![], Tone::Border);
    let Some(status) = &data.status else {
        pen.line(inner, &[bit("Waiting for the engine.", Tone::Dim)]);
        return;
    };
    let stale = status.is_stale(now);
    let value = &status.value;
    let kind = if value.background { "in the background" } else { "in a console or command" };
    let mut rows: Vec<(&'static str, Line)> = vec![
        (
            "Process",
            vec![bit(
                format!(
                    "{} {kind}, version {}, up {}",
                    value.pid,
                    value.version,
                    span(now.since(value.started_at))
                ),
                Tone::Text,
            )],
        ),
        ("Data", vec![bit(value.data_dir.to_string(), Tone::Text)]),
        ("Queue", queue_line(state).split_off(1)),
        (
            "Figures",
            vec![bit(
                match status.age(now) {
                    0..1000 => "of this moment".to_owned(),
                    old => format!("{} old", age(old)),
                },
                if stale { Tone::Warn } else { Tone::Dim },
            )],
        ),
    ];
    if let Some(queue) = queue {
        rows.insert(3, ("Broker", broker_row(queue, now)));
    }
    for (at, (label, line)) in rows.into_iter().enumerate() {
        let place = row_of(inner, at as u16);
        pen.line(place, &[bit(label, Tone::Dim)]);
        pen.line(Rect { x: place.x + 9, width: place.width.saturating_sub(9), ..place }, &line);
    }
    let list = below(area, engine_rows);
    let inner = pen.boxed(list, &[bit("Services", Tone::Title)], &vec![], Tone::Focus);
    let names: Vec<String> = value.services.iter().map(|service| service.name.clone()).collect();
    let selected = state.services.position(&names);
    let glyphs = pen.glyphs();
    let reason_rows = 3.min(inner.height / 2);
    let rows = Rect { height: inner.height - reason_rows, ..inner };
    let wanted =
        Table { columns: COLUMNS, len: names.len(), selected, focus: true, headings: true };
    table(pen, rows, &wanted, |at| {
        let service = &value.services[at];
        let (sign, tone, stands) = match &service.fault {
            None => (glyphs.good(), Tone::Good, "well".to_owned()),
            Some(fault) => (glyphs.bad(), Tone::Bad, fault.text.clone()),
        };
        let cells: Vec<Cell> = vec![
            vec![bit(format!("{sign} "), tone), bit(service.name.clone(), Tone::Text)].into(),
            bit(service.what.clone(), Tone::Text).into(),
            bit(stands, tone).into(),
            bit(age(now.since(service.at)), Tone::Dim).into(),
        ];
        Row { cells, marked: false }
    });
    let chosen = selected.and_then(|at| value.services[at].fault.as_ref());
    if let Some(fault) = chosen {
        pen.wrapped(below(inner, rows.height), &fault.text, Tone::Bad);
    }
}
