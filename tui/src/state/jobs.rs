//! The jobs' list: what it shows, in which order, what is selected and marked. Knows no screen.

use std::collections::BTreeSet;

use dvp_model::JobId;
use dvp_model::job::Job;
use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::data::{Data, job_fields};
use super::field::Field;
use crate::query::Query;

/// What the list is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Order {
    #[default]
    Newest,
    Work,
    Name,
    State,
    Priority,
    Progress,
}

impl Order {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Order::Newest => Order::Work,
            Order::Work => Order::Name,
            Order::Name => Order::State,
            Order::State => Order::Priority,
            Order::Priority => Order::Progress,
            Order::Progress => Order::Newest,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Order::Newest => "newest first",
            Order::Work => "in work first",
            Order::Name => "by name",
            Order::State => "by state",
            Order::Priority => "by priority",
            Order::Progress => "by progress",
        }
    }
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobList {
    /// What is selected.
    pub cursor: Cursor<JobId>,
    /// The filter.
    pub query: Field,
    /// The order.
    pub order: Order,
    /// What is marked.
    pub marks: BTreeSet<JobId>,
    /// Where a range of marks began.
    pub anchor: Option<JobId>,
}

impl JobList {
    /// The jobs that are shown, in their order.
    pub fn visible<'a>(&self, data: &'a Data) -> Vec<&'a Job> {
        let query = Query::parse(&self.query.text);
        let mut jobs: Vec<&Job> = match self.order {
            Order::Work => data.dashboard_jobs(),
            _ => data.all_jobs().iter().collect(),
        };
        jobs.retain(|job| query.is_empty() || query.matches(&job_fields(job)));
        match self.order {
            Order::Newest | Order::Work => {}
            Order::Name => jobs
                .sort_by_cached_key(|job| job.input.file_name().to_string_lossy().to_lowercase()),
            Order::State => jobs.sort_by_key(|job| job.state.name()),
            Order::Priority => jobs.sort_by_key(|job| -i64::from(job.priority)),
            Order::Progress => jobs.sort_by_key(|job| -(progress(job) * 10_000.0) as i64),
        }
        jobs
    }

    /// Their ids.
    pub fn ids(&self, data: &Data) -> Vec<JobId> {
        self.visible(data).into_iter().map(|job| job.id).collect()
    }

    /// The marks as they are while a range is drawn: those set, and those from its start to the cursor.
    pub fn marked(&self, ids: &[JobId]) -> BTreeSet<JobId> {
        let mut marks = self.marks.clone();
        let ends = (
            self.anchor.and_then(|anchor| ids.iter().position(|id| *id == anchor)),
            self.cursor.position(ids),
        );
        if let (Some(a), Some(b)) = ends {
            marks.extend(&ids[a.min(b)..=a.max(b)]);
        }
        marks
    }
}

/// Share of a job's frames that are accepted, 0 to 1.
pub fn progress(job: &Job) -> f64 {
    if job.output.is_some() {
        return 1.0;
    }
    match &job.plan {
        Some(plan) if plan.frames > 0 => (job.frames_done as f64 / plan.frames as f64).min(1.0),
        _ => 0.0,
    }
}
