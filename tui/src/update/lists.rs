//! Moving in lists, filtering them, following the newest. Every selection is by id; after each event
//! cursors settle on their objects.

use super::*;
use crate::state::cursor::Cursor;
use crate::state::field::Field;
use crate::state::job::Pane;
use crate::state::overlay::Overlay;
use dvp_model::NodeName;

/// Rows of the list of this place.
pub(super) fn len(state: &State) -> usize {
    match state.place {
        Place::Dashboard => state.spots().len(),
        Place::Jobs => state.jobs.visible(state.data()).len(),
        Place::Nodes => state.data().nodes.as_ref().map_or(0, |nodes| nodes.value.len()),
        Place::Services => state.data().status.as_ref().map_or(0, |s| s.value.services.len()),
        Place::Events => state.events_shown().len(),
        Place::Help => crate::command::TABLE.len(),
        Place::Job(id) => match state.page.pane {
            Pane::Plan => 2,
            _ => state.page.entries(state.data(), id).len(),
        },
        Place::Submit => state.form.slots().len(),
    }
}

/// Lets every cursor follow its object.
pub(super) fn settle(state: &mut State) {
    let spots = state.spots();
    state.spot.settle(&spots);
    let ids = state.jobs.ids(state.data());
    state.jobs.cursor.settle(&ids);
    if !state.jobs.marks.is_empty() {
        let mut marks = std::mem::take(&mut state.jobs.marks);
        marks.retain(|id| state.data().all_jobs().iter().any(|job| job.id == *id));
        state.jobs.marks = marks;
    }
    match state.place {
        Place::Nodes => {
            let ids = nodes(state);
            state.nodes.settle(&ids);
        }
        Place::Services => {
            let ids = services(state);
            state.services.settle(&ids);
        }
        Place::Events => {
            let ids: Vec<u64> = state.events_shown().iter().map(|entry| entry.seq).collect();
            follow_or_settle(&mut state.events.cursor, &ids, state.events.follow);
        }
        Place::Job(id) => {
            let ids: Vec<u64> =
                state.page.entries(state.data(), id).iter().map(|entry| entry.seq).collect();
            let follow = state.page.follow;
            follow_or_settle(&mut state.page.cursor, &ids, follow);
        }
        _ => {}
    }
}

fn follow_or_settle(cursor: &mut Cursor<u64>, ids: &[u64], follow: bool) {
    if follow {
        cursor.to_row(ids, ids.len());
    } else {
        cursor.settle(ids);
    }
}

fn nodes(state: &State) -> Vec<NodeName> {
    let nodes = state.data().nodes.as_ref();
    nodes.map_or(vec![], |nodes| nodes.value.iter().map(|node| node.name.clone()).collect())
}

fn services(state: &State) -> Vec<String> {
    let status = state.data().status.as_ref();
    status.map_or(vec![], |s| s.value.services.iter().map(|service| service.name.clone()).collect())
}

/// Moves the cursor of this place by so many rows; `isize::MIN` and `MAX` go to the ends.
pub(super) fn step(state: &mut State, rows: isize) {
    match state.place {
        Place::Dashboard => {
            let ids = state.spots();
            state.spot.step(&ids, rows);
        }
        Place::Jobs => {
            let ids = state.jobs.ids(state.data());
            state.jobs.cursor.step(&ids, rows);
        }
        Place::Nodes => {
            let ids = nodes(state);
            state.nodes.step(&ids, rows);
        }
        Place::Services => {
            let ids = services(state);
            state.services.step(&ids, rows);
        }
        Place::Events => {
            let ids: Vec<u64> = state.events_shown().iter().map(|entry| entry.seq).collect();
            state.events.cursor.step(&ids, rows);
            // Who walks away from the newest entry wants to read; who walks to it, to follow.
            state.events.follow = state.events.cursor.id == ids.last().copied() && rows > 0;
        }
        Place::Job(id) => match state.page.pane {
            Pane::Plan => {
                let last = crate::screen::job::plan_lines(state, id).saturating_sub(1);
                state.page.top = state.page.top.saturating_add_signed(rows).min(last);
            }
            _ => {
                let ids: Vec<u64> =
                    state.page.entries(state.data(), id).iter().map(|entry| entry.seq).collect();
                state.page.cursor.step(&ids, rows);
                state.page.follow = state.page.cursor.id == ids.last().copied() && rows > 0;
            }
        },
        Place::Help => {
            let last = crate::screen::help::lines(state).saturating_sub(1);
            state.help_top = state.help_top.saturating_add_signed(rows).min(last);
        }
        Place::Submit => state.form.step(rows),
    }
}

/// Rows of half a page.
pub(super) fn half(state: &State) -> isize {
    (isize::from(i16::try_from(state.size.1).unwrap_or(80)) / 2 - 3).max(1)
}

/// The filter of this place.
pub(super) fn query(state: &State) -> Option<&Field> {
    match state.place {
        Place::Jobs => Some(&state.jobs.query),
        Place::Events => Some(&state.events.query),
        _ => None,
    }
}

/// The filter of this place, to type into.
pub(super) fn query_mut(state: &mut State) -> Option<&mut Field> {
    match state.place {
        Place::Jobs => Some(&mut state.jobs.query),
        Place::Events => Some(&mut state.events.query),
        _ => None,
    }
}

/// A key while the filter is typed.
pub(super) fn filter_key(state: &mut State, key: Key) -> Vec<Action> {
    match key {
        Key::Enter => state.filtering = false,
        Key::Esc => {
            state.filtering = false;
            if let Some(query) = query_mut(state) {
                query.clear();
            }
        }
        Key::Down | Key::Up => step(state, if key == Key::Down { 1 } else { -1 }),
        _ => {
            if let Some(query) = query_mut(state) {
                query.on(key);
            }
        }
    }
    vec![]
}

/// The next match, or the one before; wraps around.
pub(super) fn next_match(state: &mut State, forward: bool) {
    let len = len(state);
    let at = match state.place {
        Place::Jobs => state.jobs.cursor.position(&state.jobs.ids(state.data())),
        _ => {
            let ids: Vec<u64> = state.events_shown().iter().map(|entry| entry.seq).collect();
            state.events.cursor.position(&ids)
        }
    }
    .unwrap_or(0);
    match (forward, at + 1 == len, at == 0) {
        (true, true, _) => step(state, isize::MIN),
        (false, _, true) => step(state, isize::MAX),
        (true, ..) => step(state, 1),
        (false, ..) => step(state, -1),
    }
}

/// Scrolls the overlay of keys.
pub(super) fn scroll_keys(state: &mut State, rows: isize) {
    let last = crate::screen::help::lines_here(state).saturating_sub(1);
    if let Some(Overlay::Keys { top }) = &mut state.overlay {
        *top = top.saturating_add_signed(rows).min(last);
    }
}
