//! What was learnt from the engine, each with its age. The model's types, as they came. Knows no screen.

use std::collections::VecDeque;

use dvp_model::job::{Job, StateName};
use dvp_model::node::Node;
use dvp_model::wire::api::{JobDetail, StatusReply};
use dvp_model::wire::feed::Entry;
use dvp_model::{JobId, Millis};
use serde::{Deserialize, Serialize};

use crate::event::Contact;

/// Figures older than this are no longer the present, milliseconds. Polls come once a second.
pub const STALE_MS: i64 = 5_000;

/// Entries of the feed that the console keeps.
pub const FEED_KEPT: usize = 4_000;

/// Jobs that a poll asks for.
pub const JOBS_POLLED: u32 = 1_000;

/// A figure and when the console got it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aged<T> {
    /// The figure.
    pub value: T,
    /// When, by the console's clock.
    pub at: Millis,
}

impl<T> Aged<T> {
    /// Its age, milliseconds.
    pub fn age(&self, now: Millis) -> i64 {
        now.since(self.at).max(0)
    }

    /// Whether it is too old to be called the present.
    pub fn is_stale(&self, now: Millis) -> bool {
        self.age(now) > STALE_MS
    }
}

/// All figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Data {
    /// How the engine is reached.
    pub contact: Contact,
    /// Engine, services, counts.
    pub status: Option<Aged<StatusReply>>,
    /// The newest jobs, newest first.
    pub jobs: Option<Aged<Vec<Job>>>,
    /// The nodes.
    pub nodes: Option<Aged<Vec<Node>>>,
    /// Chunks and lanes of the job whose page is open.
    pub detail: Option<Aged<JobDetail>>,
    /// What happened, oldest first.
    pub feed: VecDeque<Entry>,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            contact: Contact::Connecting,
            status: None,
            jobs: None,
            nodes: None,
            detail: None,
            feed: VecDeque::new(),
        }
    }
}

/// Whether a job may still change without a person.
pub fn is_open(job: &Job) -> bool {
    !job.state.name().is_final()
}

/// Whether an engine that ends would leave this job undone (a held one waits for a person anyway).
pub fn needs_engine(job: &Job) -> bool {
    is_open(job) && job.state.name() != StateName::Held
}

impl Data {
    /// All known jobs, newest first.
    pub fn all_jobs(&self) -> &[Job] {
        self.jobs.as_ref().map_or(&[], |jobs| &jobs.value)
    }

    /// A job. Its page's figures are the newer ones.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        let listed = self.all_jobs().iter().find(|job| job.id == id);
        let detail = self.detail.as_ref().map(|d| &d.value.job).filter(|job| job.id == id);
        match (listed, detail) {
            (Some(a), Some(b)) => Some(if b.version >= a.version { b } else { a }),
            (a, b) => a.or(b),
        }
    }

    /// That job's chunks and lanes, when they are known.
    pub fn detail_of(&self, id: JobId) -> Option<&Aged<JobDetail>> {
        self.detail.as_ref().filter(|detail| detail.value.job.id == id)
    }

    /// How many jobs are in a state, by the engine's count.
    pub fn count(&self, state: StateName) -> u64 {
        match &self.status {
            Some(status) => status.value.counts.get(state.as_str()).copied().unwrap_or(0),
            None => self.all_jobs().iter().filter(|job| job.state.name() == state).count() as u64,
        }
    }

    /// How many jobs there are in all, by the engine's count.
    pub fn total(&self) -> u64 {
        match &self.status {
            Some(status) => status.value.counts.values().sum(),
            None => self.all_jobs().len() as u64,
        }
    }

    /// Jobs in the order of the dashboard: those in work, those that wait, the rest newest first.
    pub fn dashboard_jobs(&self) -> Vec<&Job> {
        let mut jobs: Vec<&Job> = self.all_jobs().iter().collect();
        jobs.sort_by_key(|job| {
            let rank = urgency(job.state.name());
            let newest = -job.finished_at.unwrap_or(job.created_at).0;
            // In the queue, the next one first.
            if rank < 4 { (rank, -job.priority, job.created_at.0) } else { (4, 0, newest) }
        });
        jobs
    }

    /// Jobs that an engine must stay for.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.all_jobs().iter().filter(|job| needs_engine(job))
    }

    /// Takes new entries of the feed; those already known are left out.
    pub fn take_feed(&mut self, entries: Vec<Entry>) {
        let known = self.feed.back().map_or(0, |entry| entry.seq);
        self.feed.extend(entries.into_iter().filter(|entry| entry.seq > known));
        while self.feed.len() > FEED_KEPT {
            self.feed.pop_front();
        }
    }
}

/// Order of the states on the dashboard.
fn urgency(state: StateName) -> u8 {
    match state {
        StateName::Running => 0,
        StateName::Cancelling | StateName::Holding => 1,
        StateName::Waiting | StateName::Queued => 2,
        StateName::Held => 3,
        StateName::Completed | StateName::Failed | StateName::Cancelled => 4,
    }
}

/// What the jobs' filter looks at.
pub fn job_fields(job: &Job) -> Vec<(&'static str, String)> {
    let nodes: Vec<&str> = job.nodes.iter().map(|node| node.0.as_str()).collect();
    vec![
        ("name", job.input.file_name().to_string_lossy().into_owned()),
        ("input", job.input.to_string()),
        ("output", job.output_path.to_string()),
        ("state", job.state.name().as_str().to_owned()),
        ("phase", job.phase().map_or("", |phase| phase.as_str()).to_owned()),
        ("id", job.id.to_string()),
        ("node", nodes.join(" ")),
        ("reason", job.state.reason().map(|reason| reason.text.clone()).unwrap_or_default()),
    ]
}

/// What the events' filter looks at.
pub fn entry_fields(entry: &Entry, data: &Data) -> Vec<(&'static str, String)> {
    let name = entry
        .job
        .and_then(|id| data.job(id))
        .map(|job| job.input.file_name().to_string_lossy().into_owned());
    vec![
        ("what", crate::widget::words::happened(&entry.what)),
        ("name", name.unwrap_or_default()),
        ("id", entry.job.map(|id| id.to_string()).unwrap_or_default()),
    ]
}
