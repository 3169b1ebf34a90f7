//! Keys while something lies over the screen. A dialog that was not seen yet takes none: keys typed
//! ahead never answer it. The key that opened a dialog never answers it either.

use super::*;
use crate::command;
use crate::state::overlay::{Choice, LeaveDialog, Overlay};
use crate::state::picker::{Picked, Picker};
use dvp_model::FilePath;

/// A key for the overlay.
pub(super) fn key_pressed(state: &mut State, key: Key) -> Vec<Action> {
    let Some(overlay) = state.overlay.take() else { return vec![] };
    if overlay.awaits_showing() {
        state.overlay = Some(overlay);
        return vec![];
    }
    match overlay {
        Overlay::Confirm(mut confirm) => {
            match key {
                Key::Char('y') => return confirm.asks.into_iter().map(Action::Ask).collect(),
                Key::Enter if confirm.on_yes => {
                    return confirm.asks.into_iter().map(Action::Ask).collect();
                }
                Key::Enter | Key::Esc | Key::Char('n' | 'q') => return vec![],
                Key::Left | Key::Right | Key::Tab | Key::BackTab => {
                    confirm.on_yes = !confirm.on_yes;
                }
                _ => {}
            }
            state.overlay = Some(Overlay::Confirm(confirm));
            vec![]
        }
        Overlay::Leaving(dialog) => leaving(state, dialog, key),
        Overlay::Palette { mut typed, mut row } => {
            let found = command::completions(&typed.text);
            let last = found.len().saturating_sub(1);
            match key {
                Key::Esc => return vec![],
                Key::Enter => return palette_enter(state, found.get(row.min(last)).copied()),
                Key::Down | Key::Ctrl('n') | Key::Tab => row = (row + 1).min(last),
                Key::Up | Key::Ctrl('p') | Key::BackTab => row = row.saturating_sub(1),
                Key::Backspace if typed.text.is_empty() => return vec![],
                _ => {
                    typed.on(key);
                    row = 0;
                }
            }
            state.overlay = Some(Overlay::Palette { typed, row });
            vec![]
        }
        Overlay::CopyMenu { lines, mut row } => {
            let picked = match key {
                Key::Esc | Key::Char('q') => return vec![],
                Key::Enter => lines.get(row),
                Key::Char('j') | Key::Down => {
                    row = (row + 1).min(lines.len().saturating_sub(1));
                    None
                }
                Key::Char('k') | Key::Up => {
                    row = row.saturating_sub(1);
                    None
                }
                Key::Char(c) => lines.iter().find(|line| line.key == c),
                _ => None,
            };
            if let Some(line) = picked {
                let text = line.text.clone();
                state.say(format!("Sent to the terminal's clipboard: {}", line.label), false);
                return vec![Action::Copy(text)];
            }
            state.overlay = Some(Overlay::CopyMenu { lines, row });
            vec![]
        }
        Overlay::Picker(picker) => picking(state, picker, key),
        Overlay::Keys { top } => {
            state.overlay = Some(Overlay::Keys { top });
            match key {
                Key::Char('j') | Key::Down => lists::scroll_keys(state, 1),
                Key::Char('k') | Key::Up => lists::scroll_keys(state, -1),
                Key::Ctrl('d') | Key::PageDown => lists::scroll_keys(state, lists::half(state)),
                Key::Ctrl('u') | Key::PageUp => lists::scroll_keys(state, -lists::half(state)),
                Key::Esc | Key::Enter | Key::Char('?' | 'q') => state.overlay = None,
                _ => {}
            }
            vec![]
        }
    }
}

/// Text pasted into the overlay.
pub(super) fn pasted(overlay: &mut Overlay, text: &str) {
    match overlay {
        Overlay::Palette { typed, row } => {
            typed.insert(text);
            *row = 0;
        }
        Overlay::Picker(picker) => {
            picker.typed.insert(text);
            let ids = picker.ids();
            picker.cursor.settle(&ids);
        }
        _ => {}
    }
}

fn palette_enter(state: &mut State, row: Option<&'static command::Row>) -> Vec<Action> {
    let Some(row) = row else {
        state.say("No such command.", true);
        return vec![];
    };
    if !allowed(state, row.cmd) {
        state.say(format!("{} does nothing here.", row.name), true);
        return vec![];
    }
    commands::run(state, row.cmd)
}

fn leaving(state: &mut State, mut dialog: LeaveDialog, key: Key) -> Vec<Action> {
    let choices = LeaveDialog::CHOICES;
    let picked = match key {
        Key::Esc => Some(Choice::Stay),
        Key::Enter => choices.get(dialog.row).map(|(_, choice, _)| *choice),
        Key::Char('j') | Key::Down | Key::Tab => {
            dialog.row = (dialog.row + 1).min(choices.len() - 1);
            None
        }
        Key::Char('k') | Key::Up | Key::BackTab => {
            dialog.row = dialog.row.saturating_sub(1);
            None
        }
        Key::Char(c) => choices.iter().find(|(key, ..)| *key == c).map(|(_, choice, _)| *choice),
        _ => None,
    };
    match picked {
        None => {
            state.overlay = Some(Overlay::Leaving(dialog));
            vec![]
        }
        Some(Choice::Stay) => vec![],
        Some(Choice::Wait) => {
            state.leaving = true;
            vec![]
        }
        Some(Choice::Go(leave)) => {
            state.going = true;
            vec![Action::Leave(leave)]
        }
    }
}

fn picking(state: &mut State, mut picker: Picker, key: Key) -> Vec<Action> {
    let ids = picker.ids();
    let mut read = None;
    match key {
        Key::Esc => return vec![],
        Key::Down | Key::Ctrl('n') => picker.cursor.step(&ids, 1),
        Key::Up | Key::Ctrl('p') => picker.cursor.step(&ids, -1),
        Key::PageDown | Key::Ctrl('d') => picker.cursor.step(&ids, 10),
        Key::PageUp => picker.cursor.step(&ids, -10),
        Key::Home => picker.cursor.step(&ids, isize::MIN),
        Key::End => picker.cursor.step(&ids, isize::MAX),
        Key::Left => read = picker.parent(),
        Key::Backspace if picker.typed.text.is_empty() => read = picker.parent(),
        Key::Enter | Key::Tab | Key::Right => match picker.pick() {
            Picked::File(path) if key != Key::Right => {
                state.form.set_input(&path);
                state.form.at = crate::state::form::Slot::Input;
                return forms::changed(state);
            }
            Picked::Folder(folder) => read = Some(folder),
            _ => {}
        },
        _ => {
            if picker.typed.on(key) {
                let ids = picker.ids();
                picker.cursor.settle(&ids);
            }
        }
    }
    let mut actions = vec![];
    if let Some(folder) = read {
        picker.enter(folder.clone());
        actions.push(Action::List(FilePath(folder)));
    }
    state.overlay = Some(Overlay::Picker(picker));
    actions
}
