//! The nodes: duty, SSH connectivity, load, memory, slots, each with its age.

use dvp_model::node::{Duty, Link, Node};
use ratatui::layout::Rect;

use crate::glyph::Glyphs;
use crate::state::State;
use crate::state::data::STALE_MS;
use crate::theme::Tone;
use crate::widget::bar::{curve, load_tone};
use crate::widget::pen::{Line, Pen, below, bit, row_of};
use crate::widget::table::{Cell, Column, Row, Table, table};
use crate::widget::words::{age, bytes, clean};

const COLUMNS: &[Column] = &[
    Column::rest("NODE", 10),
    Column::text("SSH", 9, 0),
    // Narrow enough that the figures stand on a dashboard of 80 and of 100 columns; wider ones draw more bar.
    Column { title: "CPU", cells: 9, flexible: true, right: false, drop: 1 },
    Column { title: "MEMORY", cells: 9, flexible: true, right: false, drop: 2 },
    Column::figure("SLOTS", 6, 0),
    Column::figure("LOAD", 5, 6),
    Column::figure("DISK FREE", 9, 4),
    Column::figure("AGE", 6, 3),
    Column::text("MPI", 20, 7),
];

/// Draws the place.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) {
    let known = state.data().nodes.as_ref();
    let selected = state.nodes.id.as_ref();
    let chosen =
        known.and_then(|nodes| nodes.value.iter().find(|node| Some(&node.name) == selected));
    let detail = if area.height >= 16 { 9 } else { 0 };
    let list = Rect { height: area.height - detail, ..area };
    boxed(state, pen, list, Some(()));
    if let (Some(node), true) = (chosen, detail > 0) {
        draw_one(state, pen, below(area, list.height), node);
    }
}

/// Draws the box of nodes; with a cursor where it is a place of its own.
pub(super) fn boxed(state: &State, pen: &mut Pen<'_>, area: Rect, focus: Option<()>) {
    let data = state.data();
    let now = state.shown_now();
    let mut remark: Line = Vec::new();
    let mut slots = (0, 0);
    if let Some(nodes) = &data.nodes {
        for node in &nodes.value {
            slots = (slots.0 + node.slots_used, slots.1 + node.slots);
        }
        if nodes.is_stale(now) {
            remark.push(bit(format!("{} old", age(nodes.age(now))), Tone::Warn));
        } else {
            remark.push(bit(format!("{} of {} slots in use", slots.0, slots.1), Tone::Dim));
        }
    }
    let tone = if focus.is_some() { Tone::Focus } else { Tone::Border };
    let inner = pen.boxed(area, &[bit("Nodes", Tone::Title)], &remark, tone);
    let Some(nodes) = &data.nodes else {
        pen.line(inner, &[bit("Waiting for the engine.", Tone::Dim)]);
        return;
    };
    let ids: Vec<_> = nodes.value.iter().map(|node| node.name.clone()).collect();
    let selected = focus.and_then(|()| state.nodes.position(&ids));
    let glyphs = pen.glyphs();
    let wanted = Table {
        columns: COLUMNS,
        len: ids.len(),
        selected,
        focus: focus.is_some(),
        headings: true,
    };
    table(pen, inner, &wanted, |at| Row {
        cells: cells(state, &nodes.value[at], glyphs),
        marked: false,
    });
}

fn cells(state: &State, node: &Node, glyphs: Glyphs) -> Vec<Cell> {
    let now = state.shown_now();
    let old = node.health.as_ref().map(|health| now.since(health.at).max(0));
    let stale = old.is_none_or(|old| old > STALE_MS * 3);
    let tone = |tone| if stale { Tone::Stale } else { tone };
    let mut cells: Vec<Cell> = vec![
        vec![duty_sign(&node.duty, glyphs), bit(format!(" {}", node.name), Tone::Text)].into(),
        link(&node.link, glyphs).into(),
    ];
    match &node.health {
        Some(health) => {
            let used = health.memory_total.saturating_sub(health.memory_available);
            let share = used as f64 / health.memory_total.max(1) as f64;
            cells.push(Cell::Bar(
                health.cpu,
                tone(load_tone(health.cpu)),
                format!("{:.0}%", health.cpu * 100.0),
            ));
            cells.push(Cell::Bar(share, tone(load_tone(share)), format!("{:.0}%", share * 100.0)));
        }
        None => cells.extend([bit("unknown", Tone::Dim).into(), bit("unknown", Tone::Dim).into()]),
    }
    cells.push(bit(format!("{}/{}", node.slots_used, node.slots), Tone::Text).into());
    match &node.health {
        Some(health) => cells.extend([
            bit(format!("{:.1}", health.load1), tone(Tone::Text)).into(),
            bit(bytes(health.disk_free), tone(Tone::Text)).into(),
            bit(age(old.unwrap_or(0)), if stale { Tone::Warn } else { Tone::Dim }).into(),
            bit(clean(&health.mpi).into_owned(), tone(Tone::Dim)).into(),
        ]),
        None => {
            for text in ["", "", "never", ""] {
                cells.push(bit(text, Tone::Dim).into());
            }
        }
    }
    cells
}

fn duty_sign(duty: &Duty, glyphs: Glyphs) -> crate::widget::pen::Bit {
    match duty {
        Duty::Active => bit(glyphs.good(), Tone::Good),
        Duty::Draining => bit(glyphs.unknown(), Tone::Warn),
        Duty::SetAside(_) => bit(glyphs.bad(), Tone::Bad),
    }
}

fn link(link: &Link, glyphs: Glyphs) -> Line {
    match link {
        Link::Local => vec![bit("local", Tone::Dim)],
        Link::Up { rtt_ms, .. } => {
            vec![
                bit(format!("{} ", glyphs.good()), Tone::Good),
                bit(format!("{rtt_ms} ms"), Tone::Text),
            ]
        }
        Link::Down { .. } => {
            vec![bit(format!("{} ", glyphs.bad()), Tone::Bad), bit("down", Tone::Bad)]
        }
    }
}

/// The selected node, in full.
fn draw_one(state: &State, pen: &mut Pen<'_>, area: Rect, node: &Node) {
    let now = state.shown_now();
    let inner = pen.boxed(area, &[bit(node.name.to_string(), Tone::Title)], &vec![], Tone::Border);
    let mut rows: Vec<(&'static str, Line)> = Vec::new();
    let duty = match &node.duty {
        Duty::Active => vec![bit("given work", Tone::Good)],
        Duty::Draining => vec![bit("draining: finishes what it has", Tone::Warn)],
        Duty::SetAside(reason) => vec![bit(format!("set aside: {}", reason.text), Tone::Bad)],
    };
    rows.push(("Duty", duty));
    let ssh = match &node.link {
        Link::Local => vec![bit("this machine, no SSH needed", Tone::Text)],
        Link::Up { at, rtt_ms } => {
            vec![bit(format!("up, {rtt_ms} ms, tried {} ago", age(now.since(*at))), Tone::Good)]
        }
        Link::Down { at, reason } => {
            vec![bit(
                format!("down, tried {} ago: {}", age(now.since(*at)), reason.text),
                Tone::Bad,
            )]
        }
    };
    rows.push(("SSH", ssh));
    if let Some(health) = &node.health {
        let used = health.memory_total.saturating_sub(health.memory_available);
        rows.push((
            "CPU",
            vec![bit(
                format!(
                    "{:.0}% of {} cores, load {:.2}",
                    health.cpu * 100.0,
                    health.cores,
                    health.load1
                ),
                Tone::Text,
            )],
        ));
        rows.push((
            "Memory",
            vec![bit(
                format!("{} of {} in use", bytes(used), bytes(health.memory_total)),
                Tone::Text,
            )],
        ));
        rows.push((
            "Disk",
            vec![bit(
                format!("{} of {} free", bytes(health.disk_free), bytes(health.disk_total)),
                Tone::Text,
            )],
        ));
        rows.push((
            "MPI",
            vec![bit(
                format!("{}; fingerprint {}", or_none(&health.mpi), or_none(&health.fingerprint)),
                Tone::Text,
            )],
        ));
    }
    for (at, (label, line)) in rows.into_iter().enumerate() {
        let place = row_of(inner, at as u16);
        pen.line(place, &[bit(label, Tone::Dim)]);
        pen.line(Rect { x: place.x + 8, width: place.width.saturating_sub(8), ..place }, &line);
    }
    let place = row_of(inner, 6);
    pen.line(place, &[bit("Lately", Tone::Dim)]);
    let graph = Rect { x: place.x + 8, width: place.width.saturating_sub(8).min(120), ..place };
    curve(pen, graph, state.history.cpu(&node.name).rev(), Tone::Busy);
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}
