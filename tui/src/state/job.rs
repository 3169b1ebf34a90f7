//! A job's page: which pane is open and where its list stands. Knows no screen.

use dvp_model::JobId;
use dvp_model::wire::feed::{Entry, What};
use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::data::Data;

/// The lower pane of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// What happened to the job.
    #[default]
    Feed,
    /// What its ranks wrote.
    Log,
    /// What is done, carried, refused.
    Plan,
}

impl Pane {
    /// All, in their order.
    pub const ALL: [Pane; 3] = [Pane::Feed, Pane::Log, Pane::Plan];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Pane::Feed => "Feed",
            Pane::Log => "Log",
            Pane::Plan => "Plan",
        }
    }
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Its pane.
    pub pane: Pane,
    /// Cursor in the pane's list.
    pub cursor: Cursor<u64>,
    /// First line of the plan's text.
    pub top: usize,
    /// Stays at the newest entry.
    pub follow: bool,
}

impl Default for Page {
    fn default() -> Self {
        Self { pane: Pane::Feed, cursor: Cursor::default(), top: 0, follow: true }
    }
}

impl Page {
    /// Entries of the pane's list, oldest first. Accepted chunks are the strip's business.
    pub fn entries<'a>(&self, data: &'a Data, id: JobId) -> Vec<&'a Entry> {
        let wanted = |entry: &&Entry| match (&entry.what, self.pane) {
            (What::Log { .. }, pane) => pane == Pane::Log,
            (_, pane) => pane == Pane::Feed,
        };
        data.feed.iter().filter(|entry| entry.job == Some(id)).filter(wanted).collect()
    }
}
