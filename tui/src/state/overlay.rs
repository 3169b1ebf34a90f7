//! What lies over the screen and takes the keys: confirmations, the palette, the copy menu, the picker,
//! the question before leaving. A dialog takes no key until it was seen. Knows no screen.

use serde::{Deserialize, Serialize};

use super::field::Field;
use super::picker::Picker;
use crate::action::{Ask, Leave};
use crate::command::Cmd;

/// What lies over the screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlay {
    /// Asks before a command.
    Confirm(Confirm),
    /// Commands by name.
    Palette {
        /// What is typed.
        typed: Field,
        /// Which of the completions.
        row: usize,
    },
    /// What can be copied.
    CopyMenu {
        /// Its lines.
        lines: Vec<CopyLine>,
        /// Which one.
        row: usize,
    },
    /// Picks the input.
    Picker(Picker),
    /// Asks before leaving with jobs open.
    Leaving(LeaveDialog),
    /// The keys that work here.
    Keys {
        /// First line shown.
        top: usize,
    },
}

/// A question whose answer can't be typed ahead: stands on Cancel, `y` says yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// The question, naming its object.
    pub question: String,
    /// What follows from yes, and what doesn't.
    pub about: String,
    /// The objects, when there are several.
    pub names: Vec<String>,
    /// The word on the button that does it.
    pub yes: String,
    /// What is done.
    pub asks: Vec<Ask>,
    /// The cursor is on the button that does it.
    pub on_yes: bool,
    /// It was seen: keys count.
    pub shown: bool,
    /// The command that opened it: its key does nothing here.
    pub by: Cmd,
}

/// The question before leaving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveDialog {
    /// Open jobs.
    pub open: usize,
    /// Which choice.
    pub row: usize,
    /// It was seen: keys count.
    pub shown: bool,
}

/// A choice of the question before leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Go on here.
    Stay,
    /// Leave when the jobs are done.
    Wait,
    /// Leave, in a way that looks after the jobs.
    Go(Leave),
}

impl LeaveDialog {
    /// The choices: key, words.
    pub const CHOICES: [(char, Choice, &'static str); 4] = [
        ('s', Choice::Stay, "Stay"),
        ('w', Choice::Wait, "Wait until they are done, then leave"),
        ('b', Choice::Go(Leave::HandOver), "Hand over to a background engine and leave"),
        ('h', Choice::Go(Leave::HoldJobs), "Hold the jobs and leave; accepted chunks stay"),
    ];
}

/// A line of the copy menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyLine {
    /// Its key.
    pub key: char,
    /// What it is.
    pub label: String,
    /// What is copied.
    pub text: String,
}

impl Overlay {
    /// Marks a dialog as seen.
    pub fn set_shown(&mut self) {
        match self {
            Overlay::Confirm(confirm) => confirm.shown = true,
            Overlay::Leaving(dialog) => dialog.shown = true,
            _ => {}
        }
    }

    /// Whether it is a dialog that was not seen yet.
    pub fn awaits_showing(&self) -> bool {
        match self {
            Overlay::Confirm(confirm) => !confirm.shown,
            Overlay::Leaving(dialog) => !dialog.shown,
            _ => false,
        }
    }
}
