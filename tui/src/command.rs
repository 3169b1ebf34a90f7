//! THE table: every command of the console with its keys, its name in the palette, its hint at the
//! foot and its line in the help. Keymap, palette, hints, help and README's list are made from it.

use serde::{Deserialize, Serialize};

use crate::event::Key;
use crate::state::Place;

/// What a person can ask of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Cmd {
    Down,
    Up,
    Top,
    Bottom,
    HalfDown,
    HalfUp,
    Open,
    Back,
    LastPlace,
    NextPane,
    PrevPane,
    Go(Place),
    Filter,
    NextMatch,
    PrevMatch,
    Palette,
    Help,
    Mark,
    Range,
    MarkAll,
    Submit,
    Cancel,
    Retry,
    RetryAll,
    Hold,
    Raise,
    Lower,
    Log,
    Copy,
    Edit,
    Sort,
    Follow,
    Freeze,
    Zoom,
    Undo,
    KillRank,
    Redraw,
    Suspend,
    Quit,
    Leave,
}

/// Under which heading the help shows a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Group {
    Move,
    Go,
    Jobs,
    View,
    Console,
}

impl Group {
    /// All, in the help's order.
    pub const ALL: [Group; 5] = [Group::Move, Group::Go, Group::Jobs, Group::View, Group::Console];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Move => "Move",
            Group::Go => "Go",
            Group::Jobs => "Jobs",
            Group::View => "View",
            Group::Console => "Console",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The command.
    pub cmd: Cmd,
    /// Its keys; the first is shown in hints.
    pub keys: &'static [Key],
    /// Its name in the palette.
    pub name: &'static str,
    /// Its word at the foot; empty when it is never shown there.
    pub hint: &'static str,
    /// Its line in the help.
    pub about: &'static str,
    /// Its heading in the help.
    pub group: Group,
}

const fn row(
    cmd: Cmd,
    keys: &'static [Key],
    name: &'static str,
    hint: &'static str,
    about: &'static str,
    group: Group,
) -> Row {
    Row { cmd, keys, name, hint, about, group }
}

use Cmd as C;
use Group as G;
use Key as K;

/// Every command.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row(C::Down, &[K::Char('j'), K::Down], "down", "", "one down", G::Move),
    row(C::Up, &[K::Char('k'), K::Up], "up", "", "one up", G::Move),
    row(C::Top, &[K::Char('g'), K::Home], "top", "", "to the first", G::Move),
    row(C::Bottom, &[K::Char('G'), K::End], "bottom", "", "to the last", G::Move),
    row(C::HalfDown, &[K::Ctrl('d'), K::PageDown], "half-down", "", "half a page down", G::Move),
    row(C::HalfUp, &[K::Ctrl('u'), K::PageUp], "half-up", "", "half a page up", G::Move),
    row(C::NextPane, &[K::Tab], "next-pane", "pane", "to the next pane", G::Move),
    row(C::PrevPane, &[K::BackTab], "previous-pane", "", "to the pane before", G::Move),
    row(C::Open, &[K::Enter], "open", "open", "open what is selected", G::Go),
    row(C::Back, &[K::Esc], "back", "back", "one step back", G::Go),
    row(C::LastPlace, &[K::Char('-')], "last", "", "to the place before this one, and back", G::Go),
    row(C::Go(Place::Dashboard), &[K::Char('1')], "dashboard", "", "to the dashboard", G::Go),
    row(C::Go(Place::Jobs), &[K::Char('2')], "jobs", "", "to the jobs", G::Go),
    row(C::Go(Place::Nodes), &[K::Char('3')], "nodes", "", "to the nodes", G::Go),
    row(C::Go(Place::Services), &[K::Char('4')], "services", "", "to the services", G::Go),
    row(C::Go(Place::Events), &[K::Char('5')], "events", "", "to the events", G::Go),
    row(C::Go(Place::Submit), &[K::Char('6')], "form", "", "to the submit form", G::Go),
    row(C::Go(Place::Help), &[K::Char('7')], "keys", "", "to the list of all keys", G::Go),
    row(C::Submit, &[K::Char('s')], "submit", "submit", "submit a new job", G::Jobs),
    row(C::Cancel, &[K::Char('x')], "cancel", "cancel", "cancel the job, or the marked ones; asks", G::Jobs),
    row(C::Retry, &[K::Char('r')], "retry", "retry", "try the job again, or the marked ones; asks", G::Jobs),
    row(C::RetryAll, &[K::Char('R')], "retry-all", "retry all", "try all failed jobs shown here again; asks", G::Jobs),
    row(C::Hold, &[K::Char('p')], "hold", "hold/release", "hold the job, or release it", G::Jobs),
    row(C::Raise, &[K::Char('>')], "raise", "", "raise the priority by one", G::Jobs),
    row(C::Lower, &[K::Char('<')], "lower", "", "lower the priority by one", G::Jobs),
    row(C::Edit, &[K::Char('e')], "edit", "edit", "edit what was asked and submit it as a new job", G::Jobs),
    row(C::Undo, &[K::Char('u')], "undo", "undo", "take the last command back", G::Jobs),
    row(C::Mark, &[K::Char(' ')], "mark", "mark", "mark the job or unmark it", G::Jobs),
    row(C::Range, &[K::Char('V')], "range", "", "mark from here to where the cursor goes", G::Jobs),
    row(C::MarkAll, &[K::Char('*')], "mark-all", "", "mark all that the filter shows, or none", G::Jobs),
    row(C::KillRank, &[K::Char('K')], "kill-rank", "kill a rank", "demo only: kill a rank with SIGKILL", G::Jobs),
    row(C::Filter, &[K::Char('/')], "filter", "filter", "show only what matches: words, state:failed, node:a, !word", G::View),
    row(C::NextMatch, &[K::Char('n')], "next", "", "to the next match of the filter", G::View),
    row(C::PrevMatch, &[K::Char('N')], "previous", "", "to the match before", G::View),
    row(C::Sort, &[K::Char('o')], "sort", "sort", "sort by the next column", G::View),
    row(C::Log, &[K::Char('l')], "log", "log", "what the ranks wrote", G::View),
    row(C::Copy, &[K::Char('y')], "copy", "copy", "copy id, path, hash or the command that repeats it", G::View),
    row(C::Follow, &[K::Char('f')], "follow", "follow", "stay at the newest entry, or stop doing so", G::View),
    row(C::Freeze, &[K::Char('F')], "freeze", "", "stop the picture, or let it go on", G::View),
    row(C::Zoom, &[K::Char('z')], "zoom", "zoom", "give one pane the whole screen, or put it back", G::View),
    row(C::Palette, &[K::Char(':')], "commands", "commands", "all commands by name", G::Console),
    row(C::Help, &[K::Char('?')], "help", "help", "the keys that work here", G::Console),
    row(C::Redraw, &[K::Ctrl('l')], "redraw", "", "draw the screen anew", G::Console),
    row(C::Suspend, &[K::Ctrl('z')], "suspend", "", "stop the console as the shell does; fg brings it back", G::Console),
    row(C::Quit, &[K::Char('q')], "quit", "quit", "one level up; on the dashboard, leave; asks when jobs run", G::Console),
    row(C::Leave, &[K::Ctrl('c')], "leave", "", "leave from anywhere; asks when jobs run", G::Console),
];

/// A command's row.
pub fn of(cmd: Cmd) -> &'static Row {
    // Every command has a row: the test below counts them.
    TABLE.iter().find(|row| row.cmd == cmd).unwrap_or(&TABLE[0])
}

/// The command that the palette calls so.
pub fn named(name: &str) -> Option<Cmd> {
    TABLE.iter().find(|row| row.name == name).map(|row| row.cmd)
}

/// Names of the palette that have all of `typed`'s letters: those that start with it first.
pub fn completions(typed: &str) -> Vec<&'static Row> {
    let typed = typed.trim().to_lowercase();
    let mut found: Vec<&Row> = TABLE
        .iter()
        .filter(|row| {
            // One or two letters stand in nearly every sentence.
            let about = typed.len() > 2 && row.about.to_lowercase().contains(&typed);
            row.name.contains(&typed) || about
        })
        .collect();
    found.sort_by_key(|row| (!row.name.starts_with(&typed), !row.name.contains(&typed)));
    found
}

/// The table as README shows it.
pub fn as_markdown() -> String {
    let mut text = String::from("| key | command | does |\n| --- | --- | --- |\n");
    for row in TABLE {
        let keys: Vec<String> =
            row.keys.iter().map(|key| format!("`{}`", crate::keymap::name(*key))).collect();
        text += &format!("| {} | `:{}` | {} |\n", keys.join(" "), row.name, row.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_command_key_and_name_stands_once() {
        let mut cmds = BTreeSet::new();
        let mut keys = BTreeSet::new();
        let mut names = BTreeSet::new();
        for row in TABLE {
            assert!(cmds.insert(row.cmd), "{:?} twice", row.cmd);
            assert!(names.insert(row.name), "{} twice", row.name);
            assert!(!row.keys.is_empty(), "{} has no key", row.name);
            for key in row.keys {
                assert!(keys.insert(*key), "{key:?} twice");
            }
            assert_eq!(of(row.cmd).name, row.name);
            assert_eq!(named(row.name), Some(row.cmd));
        }
    }

    #[test]
    fn the_palette_prefers_what_starts_so() {
        let names: Vec<_> = completions("re").iter().map(|row| row.name).collect();
        assert_eq!(&names[..3], ["retry", "retry-all", "redraw"]);
        assert!(completions("no such thing").is_empty());
    }
}
