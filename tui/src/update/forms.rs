//! Keys of the submit form, and when it asks the engine for a dry run.

use super::*;
use crate::state::form::{Dry, Slot};
use crate::state::overlay::Overlay;
use crate::state::picker::Picker;
use dvp_model::FilePath;
use dvp_model::spec::task::TASKS;

/// A dry run is asked for when nothing was typed for so long, milliseconds.
const SETTLED_MS: i64 = 600;

/// A key for the form; none when it means nothing there, so that commands get it.
pub(super) fn key_pressed(state: &mut State, key: Key) -> Option<Vec<Action>> {
    match key {
        Key::Ctrl('s') => return Some(submit(state)),
        Key::Ctrl('o') => return Some(browse(state)),
        Key::Tab => {
            if state.form.complete() {
                let slot = state.form.at.clone();
                state.form.typed(&slot);
                return Some(changed(state));
            }
            return Some(moved(state, 1));
        }
        Key::BackTab | Key::Up => return Some(moved(state, -1)),
        Key::Down => return Some(moved(state, 1)),
        _ => {}
    }
    match (state.form.at.clone(), key) {
        (Slot::Start, Key::Enter) => Some(submit(state)),
        (_, Key::Enter) => Some(moved(state, 1)),
        (Slot::Tasks, Key::Left) => {
            state.form.chain_at = state.form.chain_at.saturating_sub(1);
            Some(vec![])
        }
        (Slot::Tasks, Key::Right) => {
            state.form.chain_at = (state.form.chain_at + 1).min(TASKS.len().saturating_sub(1));
            Some(vec![])
        }
        (Slot::Tasks, Key::Char(' ')) => {
            state.form.toggle_task();
            Some(changed(state))
        }
        (Slot::Force, Key::Char(' ') | Key::Left | Key::Right) => {
            state.form.force = !state.form.force;
            Some(changed(state))
        }
        (Slot::Param(name), Key::Left | Key::Right | Key::Char(' '))
            if state.form.field().is_none() =>
        {
            state.form.turn(&name, key != Key::Left);
            Some(changed(state))
        }
        (slot, _) => {
            let field = state.form.field_mut()?;
            let before = field.text.clone();
            if !field.on(key) {
                return None;
            }
            if field.text == before {
                return Some(vec![]);
            }
            state.form.typed(&slot);
            Some(changed(state))
        }
    }
}

/// Text pasted into the form.
pub(super) fn pasted(state: &mut State, text: &str) -> Vec<Action> {
    let Some(field) = state.form.field_mut() else { return vec![] };
    field.insert(text.trim_matches('\n'));
    let slot = state.form.at.clone();
    state.form.typed(&slot);
    changed(state)
}

/// What would be submitted has changed.
pub(super) fn changed(state: &mut State) -> Vec<Action> {
    state.form.edited();
    state.form.edited_at = state.now;
    read_folder(state)
}

fn moved(state: &mut State, rows: isize) -> Vec<Action> {
    state.form.step(rows);
    read_folder(state)
}

/// Has the folder of the path being typed read, unless it is there already.
pub(super) fn read_folder(state: &mut State) -> Vec<Action> {
    let Some((folder, _)) = state.form.completing() else { return vec![] };
    let known = state.form.listing.as_ref().is_some_and(|l| l.folder.as_path() == folder);
    if known { vec![] } else { vec![Action::List(FilePath(folder))] }
}

fn browse(state: &mut State) -> Vec<Action> {
    let typed = state.form.absolute(&state.form.input.text);
    let folder = match (state.form.input.text.ends_with('/'), typed.parent()) {
        (false, Some(parent)) if !state.form.input.text.is_empty() => parent.to_owned(),
        _ => typed.clone(),
    };
    let mut picker = Picker::new(folder.clone());
    picker.cursor.select(typed.into());
    state.overlay = Some(Overlay::Picker(picker));
    vec![Action::List(FilePath(folder))]
}

fn submit(state: &mut State) -> Vec<Action> {
    if state.form.sent {
        return vec![];
    }
    match state.form.submission() {
        Some(submission) => {
            state.form.sent = true;
            vec![Action::Submit(state.form.edits, Box::new(submission))]
        }
        None => {
            if state.form.input.text.is_empty() {
                state.form.at = Slot::Input;
                state.say("Name an input first: type its path, or ctrl-o to browse.", true);
            } else if let Some(slot) = state.form.first_fault() {
                state.form.at = slot;
                state.say("Not sent: see the line in red.", true);
            }
            vec![]
        }
    }
}

/// Asks for a dry run once nothing was typed for a moment.
pub(super) fn dry_run_when_settled(state: &mut State) -> Vec<Action> {
    let settled = state.place == Place::Submit
        && !state.form.sent
        && matches!(state.form.dry, Dry::None)
        // A film is sent once, and only when a person says so.
        && !state.form.sends()
        && state.form.errors.is_empty()
        && state.now.since(state.form.edited_at) >= SETTLED_MS
        && matches!(state.live.contact, Contact::Hosting | Contact::Attached { .. });
    if !settled {
        return vec![];
    }
    match state.form.submission() {
        Some(submission) => {
            state.form.dry = Dry::Asked;
            state.revision += 1;
            vec![Action::DryRun(state.form.edits, Box::new(submission))]
        }
        None => vec![],
    }
}
