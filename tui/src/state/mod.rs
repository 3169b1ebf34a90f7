//! All that the console knows at one moment: what was learnt from the engine, where the person is, what
//! is typed. `update` alone writes it, `view` reads it. Serializable; knows no terminal and no network.

pub mod cursor;
pub mod data;
pub mod field;
pub mod form;
pub mod history;
pub mod job;
pub mod jobs;
pub mod needs;
pub mod overlay;
pub mod picker;

use dvp_model::job::Job;
use dvp_model::{JobId, Millis, NodeName};
use serde::{Deserialize, Serialize};

use crate::action::Ask;
use crate::demo::tour::Tour;
use crate::glyph::Glyphs;
use crate::theme::Palette;
use cursor::Cursor;
use data::Data;
use field::Field;
use form::Form;
use history::History;
use overlay::Overlay;

/// Where a person can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Place {
    Dashboard,
    Jobs,
    Nodes,
    Services,
    Events,
    Submit,
    Help,
    /// One job's page.
    Job(JobId),
}

impl Place {
    /// Those with a digit, in its order.
    pub const NUMBERED: [Place; 7] = [
        Place::Dashboard,
        Place::Jobs,
        Place::Nodes,
        Place::Services,
        Place::Events,
        Place::Submit,
        Place::Help,
    ];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Place::Dashboard => "Dashboard",
            Place::Jobs => "Jobs",
            Place::Nodes => "Nodes",
            Place::Services => "Services",
            Place::Events => "Events",
            Place::Submit => "Submit",
            Place::Help => "Keys",
            Place::Job(_) => "Job",
        }
    }
}

/// How the screen draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Colours.
    pub palette: Palette,
    /// Signs.
    pub glyphs: Glyphs,
    /// Seconds east of UTC, for times of day.
    pub utc_offset_s: i32,
}

impl Default for Look {
    fn default() -> Self {
        Self { palette: Palette::Rich, glyphs: Glyphs::Unicode, utc_offset_s: 0 }
    }
}

/// A line that stands at the foot for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toast {
    /// The line.
    pub text: String,
    /// Something went wrong.
    pub bad: bool,
    /// Until when.
    pub until: Millis,
}

/// What the dashboard's cursor can be on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// A cause under Needs you, by its key.
    Need(String),
    /// A job.
    Job(JobId),
}

/// The events' list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The entry with the cursor, by its number; none follows the newest.
    pub cursor: Cursor<u64>,
    /// Stays at the newest.
    pub follow: bool,
    /// The filter.
    pub query: Field,
}

/// Everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The console's clock, as last told.
    pub now: Millis,
    /// Columns and rows.
    pub size: (u16, u16),
    /// How it draws.
    pub look: Look,
    /// What was learnt.
    pub live: Data,
    /// What is shown instead of it while frozen.
    pub frozen: Option<Box<Data>>,
    /// Since when.
    pub frozen_at: Option<Millis>,
    /// How it went lately.
    pub history: History,
    /// Where the person is.
    pub place: Place,
    /// Where the person was, nearest last.
    pub trail: Vec<Place>,
    /// The place before this one.
    pub last: Option<Place>,
    /// The dashboard's cursor.
    pub spot: Cursor<Spot>,
    /// The jobs' list.
    pub jobs: jobs::JobList,
    /// The page of the job that is or was open.
    pub page: job::Page,
    /// The nodes' cursor.
    pub nodes: Cursor<NodeName>,
    /// The services' cursor.
    pub services: Cursor<String>,
    /// The events' list.
    pub events: Events,
    /// The help's first line.
    pub help_top: usize,
    /// The submit form.
    pub form: Form,
    /// A filter is being typed here.
    pub filtering: bool,
    /// One pane has the whole screen.
    pub zoom: bool,
    /// What lies over the screen and takes the keys.
    pub overlay: Option<Overlay>,
    /// A line at the foot.
    pub toast: Option<Toast>,
    /// What the last command was, to take it back.
    pub undo: Vec<Ask>,
    /// Leaves as soon as no job is open.
    pub leaving: bool,
    /// A person wants to go, and it is being made ready.
    pub going: bool,
    /// Job command to put the engine's name into.
    pub command_name: String,
    /// The guided tour.
    pub tour: Option<Tour>,
    /// Rises with each change that a view may show.
    pub revision: u64,
}

impl State {
    /// A console that has learnt nothing yet.
    pub fn new(now: Millis, size: (u16, u16), look: Look) -> Self {
        Self {
            now,
            size,
            look,
            live: Data::default(),
            frozen: None,
            frozen_at: None,
            history: History::default(),
            place: Place::Dashboard,
            trail: Vec::new(),
            last: None,
            spot: Cursor::default(),
            jobs: jobs::JobList::default(),
            page: job::Page::default(),
            nodes: Cursor::default(),
            services: Cursor::default(),
            events: Events { follow: true, ..Events::default() },
            help_top: 0,
            form: Form::default(),
            filtering: false,
            zoom: false,
            overlay: None,
            toast: None,
            undo: Vec::new(),
            leaving: false,
            going: false,
            command_name: "dvp-console".into(),
            tour: None,
            revision: 0,
        }
    }

    /// What is on the screen: the frozen picture, or what is known now.
    pub fn data(&self) -> &Data {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    /// The moment that is on the screen: ages are told from it.
    pub fn shown_now(&self) -> Millis {
        self.frozen_at.unwrap_or(self.now)
    }

    /// The job that the cursor is on, or whose page is open.
    pub fn job_here(&self) -> Option<&Job> {
        let id = match self.place {
            Place::Job(id) => id,
            Place::Jobs => *self.jobs.cursor.id.as_ref()?,
            Place::Dashboard => match self.spot.id.as_ref()? {
                Spot::Job(id) => *id,
                Spot::Need(_) => return None,
            },
            Place::Events => self.event_here()?.job?,
            _ => return None,
        };
        self.data().job(id)
    }

    /// The entry of the feed with the cursor.
    pub fn event_here(&self) -> Option<&dvp_model::wire::feed::Entry> {
        let seq = self.events.cursor.id?;
        self.data().feed.iter().find(|entry| entry.seq == seq)
    }

    /// The jobs that a command would hit: the marked ones that are shown, else the cause's, else the one
    /// with the cursor.
    pub fn jobs_here(&self) -> Vec<&Job> {
        if self.place == Place::Jobs {
            let marked: Vec<&Job> = self
                .jobs
                .visible(self.data())
                .into_iter()
                .filter(|job| self.jobs.marks.contains(&job.id))
                .collect();
            if !marked.is_empty() {
                return marked;
            }
        }
        if let (Place::Dashboard, Some(Spot::Need(key))) = (self.place, self.spot.id.as_ref()) {
            return needs::needs(self.data(), self.shown_now())
                .into_iter()
                .find(|need| need.key == *key)
                .map(|need| need.jobs.iter().filter_map(|id| self.data().job(*id)).collect())
                .unwrap_or_default();
        }
        self.job_here().into_iter().collect()
    }

    /// Every row of the dashboard that the cursor can be on, from the top.
    pub fn spots(&self) -> Vec<Spot> {
        let needs = needs::needs(self.data(), self.shown_now());
        let jobs = self.data().dashboard_jobs();
        needs
            .into_iter()
            .map(|need| Spot::Need(need.key))
            .chain(jobs.into_iter().map(|job| Spot::Job(job.id)))
            .collect()
    }

    /// The feed's entries that the events' filter shows, oldest first.
    pub fn events_shown(&self) -> Vec<&dvp_model::wire::feed::Entry> {
        let query = crate::query::Query::parse(&self.events.query.text);
        self.data()
            .feed
            .iter()
            .filter(|entry| {
                query.is_empty() || query.matches(&data::entry_fields(entry, self.data()))
            })
            .collect()
    }

    /// Says something at the foot for some seconds.
    pub fn say(&mut self, text: impl Into<String>, bad: bool) {
        let seconds = if bad { 12 } else { 5 };
        self.toast = Some(Toast { text: text.into(), bad, until: self.now.plus(seconds * 1000) });
    }

    /// Whether the person types text here, so that letters are no commands.
    pub fn typing(&self) -> bool {
        self.filtering || (self.place == Place::Submit && self.form.field().is_some())
    }
}
