//! The jobs' list, and the rows of jobs that the dashboard shows too.

use std::collections::BTreeSet;

use dvp_model::job::{Job, State as JobState, StateName};
use dvp_model::{JobId, Millis};
use ratatui::layout::{Position, Rect};

use crate::state::State;
use crate::state::data::JOBS_POLLED;
use crate::state::jobs::progress;
use crate::theme::Tone;
use crate::widget::pen::{Line, Pen, below, bit, row_of};
use crate::widget::table::{Cell, Column, Row, Table, table};
use crate::widget::words;

const COLUMNS: &[Column] = &[
    Column::rest("NAME", 14),
    Column::text("STATE", 10, 0),
    Column { title: "PROGRESS", cells: 22, flexible: false, right: false, drop: 3 },
    Column::figure("CHUNKS", 7, 4),
    Column::figure("LEFT", 8, 2),
    Column::figure("TOOK", 8, 6),
    Column::figure("RANKS", 5, 7),
    Column::figure("PRIO", 4, 8),
    Column::figure("SUBMITTED", 11, 9),
    Column::text("ID", 8, 10),
];

/// Draws the place; tells where the filter's cursor is.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) -> Option<Position> {
    let data = state.data();
    let list = state.jobs.visible(data);
    let ids: Vec<JobId> = list.iter().map(|job| job.id).collect();
    let marks = state.jobs.marked(&ids);
    let filter = &state.jobs.query;
    let all = data.all_jobs().len();
    let mut title = vec![bit("Jobs", Tone::Title)];
    title.push(bit(format!(" {}", state.jobs.order.name()), Tone::Dim));
    let mut remark: Line = Vec::new();
    if let Some(jobs) = data.jobs.as_ref().filter(|jobs| jobs.is_stale(state.shown_now())) {
        remark.push(bit(format!("{} old  ", words::age(jobs.age(state.shown_now()))), Tone::Warn));
    }
    if !marks.is_empty() {
        remark.push(bit(format!("{} marked  ", marks.len()), Tone::Accent));
    }
    if state.jobs.anchor.is_some() {
        remark.push(bit("range: V ends it  ", Tone::Accent));
    }
    let shown = match list.len() == all {
        true => format!("{all}"),
        false => format!("{} of {all}", list.len()),
    };
    let newest = if all >= JOBS_POLLED as usize { " (the newest)" } else { "" };
    remark.push(bit(format!("{shown}{newest}"), Tone::Dim));
    let inner = pen.boxed(area, &title, &remark, Tone::Focus);
    let mut body = inner;
    let mut cursor = None;
    if state.filtering || !filter.text.is_empty() {
        cursor = filter_line(state, pen, row_of(inner, 0), filter);
        body = below(inner, 1);
    }
    if list.is_empty() {
        let text = match (&data.jobs, all) {
            (None, _) => "Waiting for the engine.",
            (_, 0) => "No job yet. s submits the first one.",
            _ => "No job matches the filter.",
        };
        pen.line(body, &[bit(text, Tone::Dim)]);
        return cursor;
    }
    let selected = state.jobs.cursor.position(&ids);
    rows(state, pen, body, &list, selected, !state.filtering, &marks);
    cursor
}

/// Draws a filter's line.
pub(super) fn filter_line(
    state: &State,
    pen: &mut Pen<'_>,
    area: Rect,
    filter: &crate::state::field::Field,
) -> Option<Position> {
    let tone = if state.filtering { Tone::Accent } else { Tone::Key };
    pen.line(area, &[bit("/ ", tone)]);
    let rest = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    super::typed(pen, rest, filter, "words, state:failed, node:a, !word", state.filtering)
}

/// Draws rows of jobs.
pub(super) fn rows(
    state: &State,
    pen: &mut Pen<'_>,
    area: Rect,
    list: &[&Job],
    selected: Option<usize>,
    focus: bool,
    marks: &BTreeSet<JobId>,
) {
    let offset = pen.utc_offset_s();
    let about = pen.glyphs().about();
    let wanted = Table { columns: COLUMNS, len: list.len(), selected, focus, headings: true };
    table(pen, area, &wanted, |at| {
        let job = list[at];
        Row { cells: cells(state, job, offset, about), marked: marks.contains(&job.id) }
    });
}

fn cells(state: &State, job: &Job, offset: i32, about: &str) -> Vec<Cell> {
    let now = state.shown_now();
    let name = job.state.name();
    let tone = state_tone(job);
    let share = progress(job);
    let progress: Cell = match (name, job.chunks_total()) {
        (StateName::Queued, 0) => bit("", Tone::Dim).into(),
        (StateName::Failed, 0) | (StateName::Cancelled, 0) => bit("", Tone::Dim).into(),
        _ => Cell::Bar(share, tone, format!("{:.0}%", (share * 100.0).floor())),
    };
    let chunks = match job.chunks_total() {
        0 => String::new(),
        total => format!("{}/{total}", job.chunks_done),
    };
    let left = match &job.state {
        JobState::Running { .. } => match state.history.eta_ms(job) {
            Some(ms) => format!("{about}{}", words::span(ms as i64)),
            None => String::new(),
        },
        JobState::Waiting { retry_at, .. } => {
            format!("in {}", words::span(retry_at.since(now)))
        }
        _ => String::new(),
    };
    vec![
        bit(words::name(job), Tone::Text).into(),
        bit(words::state(job), tone).into(),
        progress,
        bit(chunks, Tone::Text).into(),
        bit(left, Tone::Text).into(),
        bit(took(job, now).map(words::span).unwrap_or_default(), Tone::Dim).into(),
        bit(if job.ranks > 0 { job.ranks.to_string() } else { String::new() }, Tone::Dim).into(),
        bit(if job.priority == 0 { String::new() } else { job.priority.to_string() }, Tone::Dim)
            .into(),
        bit(words::clock(job.created_at, now, offset), Tone::Dim).into(),
        bit(job.id.short(), Tone::Dim).into(),
    ]
}

/// How long a job has run, or ran, milliseconds.
pub(super) fn took(job: &Job, now: Millis) -> Option<i64> {
    let end = job.finished_at.unwrap_or(now);
    job.started_at.map(|start| end.since(start))
}

/// The tone of a job's state.
pub(super) fn state_tone(job: &Job) -> Tone {
    match job.state.name() {
        StateName::Completed => Tone::Good,
        StateName::Failed => Tone::Bad,
        StateName::Running => Tone::Busy,
        StateName::Waiting | StateName::Holding | StateName::Held | StateName::Cancelling => {
            Tone::Warn
        }
        StateName::Queued => Tone::Text,
        StateName::Cancelled => Tone::Dim,
    }
}
