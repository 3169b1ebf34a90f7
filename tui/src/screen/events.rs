//! What happened: the feed with its filter; and the rows of it that a job's page shows.

use dvp_model::wire::feed::{Entry, What};
use ratatui::layout::{Position, Rect};

use crate::state::State;
use crate::theme::Tone;
use crate::widget::pen::{Line, Pen, below, bit, row_of};
use crate::widget::table::{Column, Row, Table, table};
use crate::widget::words;

const COLUMNS: &[Column] =
    &[Column::text("TIME", 8, 0), Column::text("JOB", 20, 1), Column::rest("WHAT", 20)];
const COLUMNS_OF_JOB: &[Column] = &[Column::text("TIME", 8, 1), Column::rest("WHAT", 10)];

/// Draws the place; tells where the filter's cursor is.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect) -> Option<Position> {
    let entries = state.events_shown();
    let filter = &state.events.query;
    let mut remark: Line = Vec::new();
    if state.events.follow {
        remark.push(bit("follows  ", Tone::Accent));
    }
    remark.push(bit(words::number(entries.len() as u64), Tone::Dim));
    let inner = pen.boxed(area, &[bit("Events", Tone::Title)], &remark, Tone::Focus);
    let mut body = inner;
    let mut cursor = None;
    if state.filtering || !filter.text.is_empty() {
        cursor = super::jobs::filter_line(state, pen, row_of(inner, 0), filter);
        body = below(inner, 1);
    }
    if entries.is_empty() {
        let text = if filter.text.is_empty() {
            "Nothing happened yet."
        } else {
            "No entry matches the filter."
        };
        pen.line(body, &[bit(text, Tone::Dim)]);
        return cursor;
    }
    // The entry with the cursor is told in full at the foot of the list.
    let full = if body.height >= 12 { 3 } else { 0 };
    let list = Rect { height: body.height - full, ..body };
    let ids: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    let selected = state.events.cursor.position(&ids);
    let wanted = Table {
        columns: COLUMNS,
        len: ids.len(),
        selected,
        focus: !state.filtering,
        headings: false,
    };
    let offset = pen.utc_offset_s();
    table(pen, list, &wanted, |at| {
        let entry = entries[at];
        let name = entry.job.map(|id| match state.data().job(id) {
            Some(job) => words::name(job),
            None => id.short(),
        });
        Row {
            cells: vec![
                bit(words::clock_s(entry.at, offset), Tone::Dim).into(),
                bit(name.unwrap_or_default(), Tone::Text).into(),
                bit(words::happened(&entry.what), tone(&entry.what)).into(),
            ],
            marked: false,
        }
    });
    if let (Some(entry), true) = (selected.map(|at| entries[at]), full > 0) {
        let place = below(body, list.height + 1);
        pen.wrapped(place, &words::happened(&entry.what), Tone::Dim);
    }
    cursor
}

/// Draws a job's entries.
pub(super) fn of_job(
    pen: &mut Pen<'_>,
    area: Rect,
    entries: &[&Entry],
    selected: Option<usize>,
    focus: bool,
) {
    let offset = pen.utc_offset_s();
    let wanted =
        Table { columns: COLUMNS_OF_JOB, len: entries.len(), selected, focus, headings: false };
    table(pen, area, &wanted, |at| Row {
        cells: vec![
            bit(words::clock_s(entries[at].at, offset), Tone::Dim).into(),
            bit(words::happened(&entries[at].what), tone(&entries[at].what)).into(),
        ],
        marked: false,
    });
}

/// The tone of what happened.
fn tone(what: &What) -> Tone {
    match what {
        What::Failed { .. } | What::Alarm { .. } => Tone::Bad,
        What::Lost { .. } | What::WillRetry { .. } | What::Held { .. } | What::CancelAsked => {
            Tone::Warn
        }
        What::Completed { .. } => Tone::Good,
        What::Accepted { .. } | What::Log { .. } => Tone::Dim,
        What::Launched { .. } | What::Planned { .. } | What::Submitted => Tone::Text,
        _ => Tone::Text,
    }
}
