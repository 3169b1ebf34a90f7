//! One event in, a new state and what is to be done out. Pure: no clock, no terminal, no network. Each
//! way to change the state is under here.

mod allowed;
mod commands;
mod dialogs;
mod forms;
mod lists;
mod replies;

pub use allowed::allowed;

use dvp_model::Millis;

use crate::action::{Action, Leave};
use crate::command::Cmd;
use crate::event::{Contact, Event, Key};
use crate::keymap;
use crate::state::{Place, State};

/// Takes one event.
pub fn update(state: &mut State, event: Event) -> Vec<Action> {
    let before = (state.place, state.frozen.is_some());
    let mut actions = match event {
        Event::Tick(now) => tick(state, now),
        Event::Key(key) => {
            state.revision += 1;
            key_pressed(state, key)
        }
        Event::Paste(text) => {
            state.revision += 1;
            pasted(state, &text)
        }
        Event::Resize(width, height) => {
            state.revision += 1;
            state.size = (width, height);
            vec![]
        }
        Event::Shown => {
            if let Some(overlay) = &mut state.overlay {
                overlay.set_shown();
            }
            vec![]
        }
        Event::Resumed => {
            state.revision += 1;
            vec![Action::Redraw]
        }
        Event::Hangup => {
            state.going = true;
            vec![Action::Leave(if must_hand_over(state) { Leave::HandOver } else { Leave::Now })]
        }
        Event::Reply(reply) => replies::take(state, *reply),
    };
    actions.extend(crate::demo::tour::advance(state));
    lists::settle(state);
    if before.0 != state.place {
        actions.extend(arrived(state));
    }
    actions
}

/// Whether an end or a stop of this process would leave jobs without an engine.
pub fn must_hand_over(state: &State) -> bool {
    state.live.contact == Contact::Hosting && state.live.open_jobs().next().is_some()
}

fn tick(state: &mut State, now: Millis) -> Vec<Action> {
    // Ages are shown in whole seconds: between them nothing changes by itself.
    if now.0.div_euclid(1000) != state.now.0.div_euclid(1000) {
        state.revision += 1;
    }
    state.now = now;
    if state.toast.as_ref().is_some_and(|toast| toast.until < now) {
        state.toast = None;
        state.revision += 1;
    }
    forms::dry_run_when_settled(state)
}

fn key_pressed(state: &mut State, key: Key) -> Vec<Action> {
    // These work from anywhere, fields and dialogs too.
    match key {
        Key::Ctrl('c') => return commands::run(state, Cmd::Leave),
        Key::Ctrl('z') => return commands::run(state, Cmd::Suspend),
        Key::Ctrl('l') => return commands::run(state, Cmd::Redraw),
        _ => {}
    }
    if state.overlay.is_some() {
        return dialogs::key_pressed(state, key);
    }
    if state.filtering {
        return lists::filter_key(state, key);
    }
    if state.place == Place::Submit
        && let Some(actions) = forms::key_pressed(state, key)
    {
        return actions;
    }
    match keymap::command(key) {
        Some(cmd) if allowed(state, cmd) => commands::run(state, cmd),
        _ => vec![],
    }
}

fn pasted(state: &mut State, text: &str) -> Vec<Action> {
    if let Some(overlay) = &mut state.overlay {
        dialogs::pasted(overlay, text);
    } else if state.filtering {
        if let Some(query) = lists::query_mut(state) {
            query.insert(text);
        }
    } else if state.place == Place::Submit {
        return forms::pasted(state, text);
    }
    vec![]
}

/// What a place wants when it is entered.
fn arrived(state: &mut State) -> Vec<Action> {
    state.revision += 1;
    state.filtering = false;
    let watch = match state.place {
        Place::Job(id) => Some(id),
        _ => None,
    };
    let mut actions = vec![Action::Watch(watch)];
    if state.place == Place::Submit {
        actions.extend(forms::read_folder(state));
    }
    actions
}

/// Goes to a place; the way back is kept.
pub(crate) fn go(state: &mut State, place: Place) {
    if place == state.place {
        return;
    }
    state.last = Some(state.place);
    state.trail.retain(|other| *other != place);
    state.trail.push(state.place);
    if state.trail.len() > 20 {
        state.trail.remove(0);
    }
    state.place = place;
    state.zoom = false;
    if let Place::Job(id) = place {
        let known = state.live.detail.as_ref().is_some_and(|detail| detail.value.job.id == id);
        if !known {
            state.page = crate::state::job::Page { pane: state.page.pane, ..Default::default() };
        }
    }
}
