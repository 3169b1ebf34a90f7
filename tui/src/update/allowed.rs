//! Which commands do something here and now. Hints, help and palette show these and no others.

use dvp_model::job::{Job, StateName};

use crate::command::Cmd;
use crate::state::job::Pane;
use crate::state::{Place, Spot, State};

/// Whether a command would do something.
pub fn allowed(state: &State, cmd: Cmd) -> bool {
    let place = state.place;
    match cmd {
        Cmd::Down | Cmd::Up => place != Place::Services || super::lists::len(state) > 1,
        Cmd::Top | Cmd::Bottom | Cmd::HalfDown | Cmd::HalfUp => {
            place != Place::Submit && super::lists::len(state) > 1
        }
        Cmd::Open => match place {
            Place::Dashboard => state.spot.id.as_ref().is_some_and(|spot| match spot {
                Spot::Job(_) => true,
                Spot::Need(key) => key != "engine",
            }),
            Place::Jobs => state.jobs.cursor.id.is_some(),
            Place::Events => state.job_here().is_some(),
            _ => false,
        },
        Cmd::Back => {
            !state.trail.is_empty()
                || state.zoom
                || state.leaving
                || (place == Place::Jobs
                    && (!state.jobs.query.text.is_empty() || !state.jobs.marks.is_empty()))
                || (place == Place::Events && !state.events.query.text.is_empty())
        }
        Cmd::LastPlace => state.last.is_some(),
        Cmd::NextPane | Cmd::PrevPane => matches!(place, Place::Job(_)),
        Cmd::Go(to) => to != place,
        Cmd::Filter => matches!(place, Place::Jobs | Place::Events),
        Cmd::NextMatch | Cmd::PrevMatch => {
            super::lists::query(state).is_some_and(|query| !query.text.is_empty())
                && super::lists::len(state) > 1
        }
        Cmd::Mark | Cmd::Range | Cmd::MarkAll => {
            place == Place::Jobs && state.jobs.cursor.id.is_some()
        }
        Cmd::Submit => place != Place::Submit,
        Cmd::Cancel => any(state, can_cancel),
        Cmd::Retry => any(state, can_retry),
        Cmd::RetryAll => retriable(state).next().is_some(),
        Cmd::Hold => any(state, |job| can_hold(job) || can_release(job)),
        Cmd::Raise | Cmd::Lower => any(state, |job| !job.state.name().is_final()),
        Cmd::Edit | Cmd::Copy => state.job_here().is_some(),
        Cmd::Log => {
            state.job_here().is_some()
                && (!matches!(place, Place::Job(_)) || state.page.pane != Pane::Log)
        }
        Cmd::Sort => place == Place::Jobs,
        Cmd::Follow => {
            place == Place::Events
                || (matches!(place, Place::Job(_)) && state.page.pane != Pane::Plan)
        }
        Cmd::Zoom => matches!(place, Place::Job(_)),
        Cmd::Undo => !state.undo.is_empty(),
        Cmd::KillRank => {
            state.tour.is_some()
                && state.job_here().is_some_and(|job| job.state.name() == StateName::Running)
        }
        Cmd::Freeze
        | Cmd::Palette
        | Cmd::Help
        | Cmd::Redraw
        | Cmd::Suspend
        | Cmd::Quit
        | Cmd::Leave => true,
    }
}

fn any(state: &State, can: impl Fn(&Job) -> bool) -> bool {
    state.jobs_here().into_iter().any(can)
}

/// Whether cancelling changes it.
pub(super) fn can_cancel(job: &Job) -> bool {
    let name = job.state.name();
    !name.is_final() && name != StateName::Cancelling
}

/// Whether a person may have it tried again.
pub(super) fn can_retry(job: &Job) -> bool {
    matches!(job.state.name(), StateName::Failed | StateName::Cancelled)
}

/// Whether it can be held.
pub(super) fn can_hold(job: &Job) -> bool {
    matches!(job.state.name(), StateName::Queued | StateName::Running | StateName::Waiting)
}

/// Whether it can be released.
pub(super) fn can_release(job: &Job) -> bool {
    matches!(job.state.name(), StateName::Held | StateName::Holding)
}

/// The failed jobs that are shown here.
pub(super) fn retriable(state: &State) -> impl Iterator<Item = &Job> {
    let shown = match state.place {
        Place::Dashboard => state.data().dashboard_jobs(),
        Place::Jobs => state.jobs.visible(state.data()),
        _ => vec![],
    };
    shown.into_iter().filter(|job| job.state.name() == StateName::Failed)
}
