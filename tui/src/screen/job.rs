//! A job's page: where it stands, a cell a chunk, a lane a rank, and below what happened, what the ranks
//! wrote, or what the plan says. Wide screens show the plan beside.

use dvp_model::job::{ChunkInfo, Job, Lane, State as JobState, StateName};
use dvp_model::wire::api::JobDetail;
use dvp_model::{Item, JobId};
use ratatui::layout::Rect;

use super::{events, jobs, plan};
use crate::state::State;
use crate::state::data::STALE_MS;
use crate::state::job::Pane;
use crate::theme::Tone;
use crate::widget::bar::bar;
use crate::widget::pen::{Line, Pen, below, bit, row_of};
use crate::widget::strip::{rows as strip_rows, strip};
use crate::widget::table::{Cell, Column, Row, Table, table};
use crate::widget::{fit, words};

const LANES: &[Column] = &[
    Column::figure("RANK", 4, 0),
    Column::text("NODE", 8, 3),
    Column::figure("PID", 7, 4),
    Column::text("AT WORK ON", 10, 0),
    Column { title: "FRAMES", cells: 14, flexible: true, right: false, drop: 0 },
    Column::figure("DONE", 5, 2),
    Column::figure("HEARD", 6, 1),
];

/// Columns of a label on the page.
const LABEL: u16 = 9;

/// From this width on the plan stands beside.
const WIDE: u16 = 110;

/// Draws the page.
pub(super) fn draw(state: &State, pen: &mut Pen<'_>, area: Rect, id: JobId) {
    let Some(job) = state.data().job(id) else {
        let inner = pen.boxed(area, &[bit("Job", Tone::Title)], &vec![], Tone::Focus);
        let text = match state.data().jobs {
            None => "Waiting for the engine.".into(),
            Some(_) => format!("The engine knows no job {}.", id.short()),
        };
        pen.line(inner, &[bit(text, Tone::Dim)]);
        return;
    };
    let detail = state.data().detail_of(id).map(|detail| &detail.value);
    if state.zoom {
        pane(state, pen, area, job);
        return;
    }
    let mut left = area;
    if area.width >= WIDE {
        let width = (area.width * 2 / 5).min(70);
        let side = Rect { x: area.right() - width, width, ..area };
        left.width -= width;
        let inner = pen.boxed(side, &[bit("Plan and output", Tone::Title)], &vec![], Tone::Border);
        labelled(pen, inner, &about(state, job), 0);
    }
    let top = head(state, pen, left, job, detail);
    left = below(left, top);
    if let Some(detail) = detail.filter(|detail| !detail.chunks.is_empty()) {
        let inner_width = left.width.saturating_sub(4);
        let rows = strip_rows(detail.chunks.len(), inner_width, (left.height / 4).max(1)) + 2;
        chunks(state, pen, Rect { height: rows.min(left.height), ..left }, detail);
        left = below(left, rows);
        if !detail.lanes.is_empty() {
            let rows = (detail.lanes.len() as u16 + 3).min(left.height.saturating_sub(6).max(4));
            lanes(state, pen, Rect { height: rows.min(left.height), ..left }, detail);
            left = below(left, rows);
        }
    }
    pane(state, pen, left, job);
}

/// Name, state, progress, or the reason that it failed; tells the rows used.
fn head(
    state: &State,
    pen: &mut Pen<'_>,
    area: Rect,
    job: &Job,
    detail: Option<&JobDetail>,
) -> u16 {
    let now = state.shown_now();
    let glyphs = pen.glyphs();
    let reason = job.state.reason();
    let reason_rows = match reason {
        Some(reason) => {
            let width = usize::from(area.width.saturating_sub(4));
            fit::wrap(&words::clean(&reason.text), width, 3, "").len() as u16
        }
        None => 0,
    };
    let rows = 4 + reason_rows;
    let title =
        [bit(words::name(job), Tone::Title), bit(format!("  {}", job.id.short()), Tone::Dim)];
    let mut remark = vec![bit(words::state(job), jobs::state_tone(job))];
    if let JobState::Running { epoch, .. } = job.state {
        remark.push(bit(format!(", launch {epoch}"), Tone::Dim));
    }
    if job.priority != 0 {
        remark.push(bit(format!(", priority {}", job.priority), Tone::Dim));
    }
    let inner =
        pen.boxed(Rect { height: rows.min(area.height), ..area }, &title, &remark, Tone::Border);
    if let Some(reason) = reason {
        let tone = if job.state.name() == StateName::Failed { Tone::Bad } else { Tone::Warn };
        pen.wrapped(Rect { height: reason_rows.min(inner.height), ..inner }, &reason.text, tone);
    }
    let inner = below(inner, reason_rows);
    // First row: the bar.
    let (done, total) = frames(job, detail);
    let share = match (total, job.output.is_some()) {
        (_, true) => 1.0,
        (0, _) => 0.0,
        _ => done as f64 / total as f64,
    };
    let first = row_of(inner, 0);
    let figure = match total {
        0 => "no plan yet".to_owned(),
        _ => format!(
            "{:>3.0}%  {} of {} frames",
            (share * 100.0).floor(),
            words::number(done),
            words::number(total)
        ),
    };
    let cells = fit::width(&figure) as u16;
    if first.width > cells + 12 {
        let line = Rect { width: first.width - cells - 2, ..first };
        bar(pen, line, share, jobs::state_tone(job));
    }
    pen.right(first, &vec![bit(figure, Tone::Text)]);
    // Second row: figures.
    let mut pieces: Vec<Line> = Vec::new();
    let figure =
        |label: &'static str, value: String| vec![bit(label, Tone::Dim), bit(value, Tone::Strong)];
    if job.chunks_total() > 0 {
        pieces.push(figure("chunks ", format!("{}/{}", job.chunks_done, job.chunks_total())));
    }
    if let JobState::Waiting { retry_at, .. } = &job.state {
        pieces.push(figure("again in ", words::span(retry_at.since(now))));
    }
    let eta = detail.and_then(|detail| detail.eta_ms).or_else(|| state.history.eta_ms(job));
    if let (JobState::Running { .. }, Some(ms)) = (&job.state, eta) {
        pieces.push(figure("left ", format!("{}{}", glyphs.about(), words::span(ms as i64))));
    }
    if let Some(took) = jobs::took(job, now) {
        let label = if job.finished_at.is_some() { "took " } else { "for " };
        pieces.push(figure(label, words::span(took)));
    }
    if let Some(pace) = state.history.pace(job.id) {
        pieces.push(figure("at ", format!("{pace:.0} frames/s")));
    }
    if job.ranks > 0 {
        pieces.push(figure("ranks ", job.ranks.to_string()));
    }
    if job.attempts > 0 {
        pieces.push(figure("failed launches ", job.attempts.to_string()));
    }
    if let Some(output) = &job.output {
        pieces.push(figure(
            "sha256 ",
            format!("{}{}", output.sha256.chars().take(16).collect::<String>(), glyphs.ellipsis()),
        ));
        pieces.push(figure("", words::bytes(output.bytes)));
    }
    pen.pieces(row_of(inner, 1), &pieces, 3);
    rows
}

/// Frames done and in all, those of chunks in work included.
fn frames(job: &Job, detail: Option<&JobDetail>) -> (u64, u64) {
    let total = job.plan.as_ref().map_or(0, |plan| plan.frames);
    let under_way: u64 = detail
        .map(|detail| &detail.chunks)
        .into_iter()
        .flatten()
        .filter(|chunk| chunk.accepted == 0)
        .map(|chunk| chunk.progress.min(chunk.frames.into()))
        .sum();
    let done = match detail {
        Some(detail) => detail.job.frames_done.max(job.frames_done),
        None => job.frames_done,
    };
    ((done + under_way).min(total), total)
}

fn chunks(state: &State, pen: &mut Pen<'_>, area: Rect, detail: &JobDetail) {
    let [waiting, working, done, again] = pen.glyphs().cells();
    let legend = vec![
        bit(done, Tone::Good),
        bit(" accepted ", Tone::Dim),
        bit(again, Tone::Warn),
        bit(" redone ", Tone::Dim),
        bit(working, Tone::Busy),
        bit(" in work ", Tone::Dim),
        bit(waiting, Tone::Dim),
        bit(" waits", Tone::Dim),
    ];
    let mut title = vec![bit("Chunks", Tone::Title)];
    if let Some(sound) = &detail.sound {
        title.push(bit(format!("  sound: {}", sound_word(sound)), Tone::Dim));
    }
    let old = state.data().detail.as_ref().map_or(0, |detail| detail.age(state.shown_now()));
    if old > STALE_MS {
        title.push(bit(format!("  {} old", words::age(old)), Tone::Warn));
    }
    let inner = pen.boxed(area, &title, &legend, Tone::Border);
    strip(pen, inner, &detail.chunks, &detail.lanes);
}

fn sound_word(sound: &ChunkInfo) -> &'static str {
    match sound.state {
        dvp_model::job::ChunkState::Waiting => "waits",
        dvp_model::job::ChunkState::Running => "in work",
        dvp_model::job::ChunkState::Done => "done",
    }
}

fn lanes(state: &State, pen: &mut Pen<'_>, area: Rect, detail: &JobDetail) {
    let now = state.shown_now();
    let mut lanes: Vec<&Lane> = detail.lanes.iter().collect();
    lanes.sort_by_key(|lane| lane.rank);
    let remark = vec![bit(words::count(lanes.len(), "rank"), Tone::Dim)];
    let inner = pen.boxed(area, &[bit("Lanes", Tone::Title)], &remark, Tone::Border);
    let wanted =
        Table { columns: LANES, len: lanes.len(), selected: None, focus: false, headings: true };
    table(pen, inner, &wanted, |at| {
        let lane = lanes[at];
        let quiet = now.since(lane.seen_at);
        let (item, share, figure) = at_work(lane, detail);
        let late = quiet > STALE_MS * 2;
        let tone = if late { Tone::Stale } else { Tone::Busy };
        let progress: Cell = match item.is_empty() {
            true => bit("", Tone::Dim).into(),
            false => Cell::Bar(share, tone, figure),
        };
        Row {
            cells: vec![
                bit(lane.rank.to_string(), Tone::Strong).into(),
                bit(lane.node.to_string(), Tone::Text).into(),
                bit(lane.pid.to_string(), Tone::Dim).into(),
                if item.is_empty() { bit("idle", Tone::Dim) } else { bit(item, Tone::Text) }.into(),
                progress,
                bit(lane.done.to_string(), Tone::Text).into(),
                bit(words::age(quiet), if late { Tone::Warn } else { Tone::Dim }).into(),
            ],
            marked: false,
        }
    });
}

/// What a rank works on, how far it is, and that in figures.
fn at_work(lane: &Lane, detail: &JobDetail) -> (String, f64, String) {
    match lane.item {
        None => (String::new(), 0.0, String::new()),
        Some(Item::Sound) => {
            let share = lane.progress as f64 / 1000.0;
            ("the sound".into(), share, format!("{:.0}%", share * 100.0))
        }
        Some(Item::Chunk(index)) => {
            let chunk = detail.chunks.get(index.0 as usize);
            let frames = chunk.map_or(0, |chunk| chunk.frames);
            let share = lane.progress as f64 / f64::from(frames.max(1));
            (format!("chunk {index}"), share, format!("{}/{frames}", lane.progress))
        }
    }
}

fn pane(state: &State, pen: &mut Pen<'_>, area: Rect, job: &Job) {
    let mut title: Line = Vec::new();
    for pane in Pane::ALL {
        let here = pane == state.page.pane;
        if !title.is_empty() {
            title.push(bit("  ", Tone::Dim));
        }
        title.push(bit(pane.title(), if here { Tone::Accent } else { Tone::Dim }));
    }
    let mut remark: Line = Vec::new();
    if state.page.follow && state.page.pane != Pane::Plan {
        remark.push(bit("follows", Tone::Accent));
    }
    let inner = pen.boxed(area, &title, &remark, Tone::Focus);
    if state.page.pane == Pane::Plan {
        labelled(pen, inner, &about(state, job), state.page.top);
        return;
    }
    let entries = state.page.entries(state.data(), job.id);
    if entries.is_empty() {
        let text = match state.page.pane {
            Pane::Log => "The ranks wrote nothing.",
            _ => "Nothing happened yet.",
        };
        pen.line(inner, &[bit(text, Tone::Dim)]);
        return;
    }
    let ids: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    let selected = state.page.cursor.position(&ids);
    events::of_job(pen, inner, &entries, selected, !state.page.follow);
}

/// Lines of the plan's text: as many as the pane can be scrolled by.
pub fn plan_lines(state: &State, id: JobId) -> usize {
    state.data().job(id).map_or(0, |job| about(state, job).len())
}

/// All about a job that is not progress.
fn about(state: &State, job: &Job) -> Vec<plan::Labelled> {
    let now = state.shown_now();
    let offset = state.look.utc_offset_s;
    let path = |text: String| vec![bit(text, Tone::Text)];
    let mut lines: Vec<plan::Labelled> =
        vec![("From", path(job.input.to_string())), ("To", path(job.output_path.to_string()))];
    if let Some(output) = &job.output {
        lines.push(("SHA-256", vec![bit(output.sha256.clone(), Tone::Good)]));
        lines.push((
            "Size",
            path(format!(
                "{}, {} frames",
                words::bytes(output.bytes),
                words::number(output.frames)
            )),
        ));
    }
    let mut asked: Vec<String> = job.asked.tasks.clone();
    asked.extend(job.asked.set.iter().map(|(key, value)| format!("{key}={value}")));
    if !asked.is_empty() {
        lines.push(("Asked", path(asked.join("  "))));
    }
    match &job.plan {
        Some(summary) => lines.extend(plan::lines(summary)),
        None => lines.push(("Plan", vec![bit("none yet", Tone::Dim)])),
    }
    if !job.nodes.is_empty() {
        let nodes: Vec<String> = job.nodes.iter().map(ToString::to_string).collect();
        lines.push(("Nodes", path(nodes.join(", "))));
    }
    lines.push(("Made", path(words::clock(job.created_at, now, offset))));
    lines.push(("Id", vec![bit(job.id.to_string(), Tone::Dim)]));
    lines
}

/// Draws labels and their texts, wrapped, from the line `top` on.
pub(super) fn labelled(pen: &mut Pen<'_>, area: Rect, lines: &[plan::Labelled], top: usize) {
    let mut y = 0;
    let width = area.width.saturating_sub(LABEL);
    for (label, line) in lines.iter().skip(top) {
        if y >= area.height {
            break;
        }
        pen.line(
            Rect { width: area.width.min(LABEL - 1), ..row_of(area, y) },
            &[bit(*label, Tone::Dim)],
        );
        let place = Rect { x: area.x + LABEL.min(area.width), width, ..below(area, y) };
        // One tone a line: what is long goes on below.
        let text: String = line.iter().map(|bit| bit.text.as_ref()).collect();
        let tone = line.first().map_or(Tone::Text, |bit| bit.tone);
        y += pen.wrapped(place, &text, tone).max(1);
    }
}
