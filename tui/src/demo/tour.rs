//! The guided tour: which stage it is at, the one hint of that stage, and the second run that it starts
//! by itself. Pure; all it knows comes from the state.

use dvp_model::job::{Lane, StateName, Submission};
use dvp_model::wire::feed::What;
use dvp_model::{Item, JobId};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::state::State;
use crate::state::data::is_open;
use crate::widget::words;

/// The count of edits under which the second run is submitted: no form ever gets there.
pub const SECOND: u64 = u64::MAX;

/// How the undisturbed run's output is named: this, then the first run's short id.
const UNDISTURBED: &str = "undisturbed-";

/// The tour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tour {
    /// The job that the person starts, and disturbs.
    pub first: Option<JobId>,
    /// The ranks that were killed.
    pub killed: Vec<Lane>,
    /// The undisturbed run was asked for.
    pub second_asked: bool,
    /// The undisturbed run.
    pub second: Option<JobId>,
}

/// A hint, and whether it tells of something gone wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The line.
    pub text: String,
    /// Something went wrong.
    pub bad: bool,
}

/// Remembers the job that the person started.
pub fn first(state: &mut State, id: JobId) {
    if let Some(tour) = &mut state.tour
        && tour.first.is_none()
    {
        tour.first = Some(id);
    }
}

/// Remembers the undisturbed run.
pub fn second(state: &mut State, id: JobId) {
    if let Some(tour) = &mut state.tour {
        tour.second = Some(id);
    }
    super::super::update::go(state, crate::state::Place::Job(id));
}

/// Remembers a rank that was killed.
pub fn killed(state: &mut State, _job: JobId, lane: Lane) {
    let item = lane.item.map_or("nothing".into(), |item| item.to_string());
    state.say(format!("SIGKILL to rank {} (pid {}), busy with {item}", lane.rank, lane.pid), false);
    if let Some(tour) = &mut state.tour {
        tour.killed.push(lane);
    }
}

/// Goes on by itself where the tour has to: takes up what an earlier demo left running, and starts the
/// undisturbed run when the first is completed.
pub fn advance(state: &mut State) -> Vec<Action> {
    adopt(state);
    let Some(tour) = &state.tour else { return vec![] };
    let Some(job) = tour.first.and_then(|id| state.live.job(id)) else { return vec![] };
    if tour.second_asked || job.state.name() != StateName::Completed {
        return vec![];
    }
    let path = job.output_path.as_path();
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("mp4");
    let output = path.with_file_name(format!("{UNDISTURBED}{}.{ending}", job.id.short()));
    let submission = Submission {
        input: job.input.clone(),
        spec: job.asked.clone(),
        output: Some(output.into()),
        ranks: job.ranks_wanted,
        priority: job.priority,
        force: false,
        batch: None,
        id: None,
    };
    if let Some(tour) = &mut state.tour {
        tour.second_asked = true;
    }
    state.revision += 1;
    vec![Action::Submit(SECOND, Box::new(submission))]
}

/// Takes up a run that an earlier demo left to the background engine, while the person has started none.
fn adopt(state: &mut State) {
    if state.tour.as_ref().is_none_or(|tour| tour.first.is_some()) {
        return;
    }
    let Some(open) = state.live.all_jobs().iter().find(|job| is_open(job)) else { return };
    let id = open.id;
    let output = open.output_path.file_name().to_string_lossy().into_owned();
    let of = output.strip_prefix(UNDISTURBED).and_then(|rest| rest.split('.').next());
    let compared = |short| state.live.all_jobs().iter().find(|job| job.id.short() == short);
    let first = of.and_then(compared).map(|job| job.id);
    state.tour = Some(Tour {
        first: Some(first.unwrap_or(id)),
        killed: Vec::new(),
        second_asked: first.is_some(),
        second: first.map(|_| id),
    });
    super::super::update::go(state, crate::state::Place::Job(id));
    state.say("The job of the last demo goes on.", false);
    state.revision += 1;
}

/// What the coach says now.
pub fn hint(state: &State) -> Option<Hint> {
    let tour = state.tour.as_ref()?;
    let say = |text: String| Some(Hint { text, bad: false });
    let Some(first) = tour.first else {
        return match state.place {
            crate::state::Place::Submit if state.form.at == crate::state::form::Slot::Start => {
                say("The form is filled with the sample film. enter starts the job.".into())
            }
            crate::state::Place::Submit => {
                say("ctrl-s starts the job, from any line of the form.".into())
            }
            _ => say("6 goes back to the form, where the job is started.".into()),
        };
    };
    let Some(job) = state.live.job(first) else {
        return say("The job was accepted; its plan is being made.".into());
    };
    match job.state.name() {
        StateName::Completed => {}
        StateName::Failed | StateName::Cancelled => {
            return Some(Hint {
                text: format!("The job is {}; r tries it again.", job.state.name().as_str()),
                bad: true,
            });
        }
        StateName::Held | StateName::Holding => {
            return say("The job is held; p releases it.".into());
        }
        _ if !tour.killed.is_empty() => {
            let again = redone(state, first);
            return say(if again.is_empty() {
                "The rank is gone. mpirun ends the launch; the engine starts the next one.".into()
            } else {
                format!(
                    "Done again: {}. Every accepted chunk stays: only what was in flight is redone.",
                    list(&again)
                )
            });
        }
        _ if job.chunks_total() == 0 => {
            return say("The plan is being made: it fixes where the film is cut.".into());
        }
        _ if job.chunks_done < 3 => {
            return say("Each cell is a chunk of the film, each lane an MPI rank at work.".into());
        }
        _ => return say("Now K kills a rank with SIGKILL. See what it costs.".into()),
    }
    let Some(second) = tour.second.and_then(|id| state.live.job(id)) else {
        return say("Completed and verified. Now the same again, undisturbed, to compare.".into());
    };
    match (&job.output, &second.output) {
        (Some(a), Some(b)) => Some(verdict(state, first, &a.sha256, &b.sha256)),
        _ if second.state.name().is_final() => Some(Hint {
            text: format!("The undisturbed run is {}.", second.state.name().as_str()),
            bad: true,
        }),
        _ => say(format!(
            "The same film again, undisturbed; {}. Its hash will tell.",
            reused_by(state, second.id)
        )),
    }
}

/// The end line.
fn verdict(state: &State, first: JobId, disturbed: &str, undisturbed: &str) -> Hint {
    let again = redone(state, first);
    let killed = state.tour.as_ref().map_or(0, |tour| tour.killed.len());
    let story = match (killed, again.is_empty()) {
        (0, true) => "No rank was killed".to_owned(),
        // Killed in an earlier demo, which this one took over.
        (0, false) => format!("Done again: {}", list(&again)),
        (n, true) => format!("{} killed, nothing was in flight", words::count(n, "rank")),
        (n, false) => format!("{} killed, done again: {}", words::count(n, "rank"), list(&again)),
    };
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    if disturbed == undisturbed {
        Hint {
            text: format!(
                "{story}. Both outputs are sha256 {}: equal. q leaves.",
                short(disturbed)
            ),
            bad: false,
        }
    } else {
        Hint {
            text: format!(
                "{story}. The outputs DIFFER: {} and {}. This is a bug of DVP.",
                short(disturbed),
                short(undisturbed)
            ),
            bad: true,
        }
    }
}

/// What was in flight when launches of the job were lost.
pub fn redone(state: &State, job: JobId) -> Vec<Item> {
    let mut items: Vec<Item> = state
        .live
        .feed
        .iter()
        .filter(|entry| entry.job == Some(job))
        .filter_map(|entry| match &entry.what {
            What::Lost { items, .. } => Some(items.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    items.sort();
    items.dedup();
    items
}

/// How much a job's launches took over from earlier ones.
fn reused_by(state: &State, job: JobId) -> String {
    let reused = state.live.feed.iter().rev().find_map(|entry| match &entry.what {
        What::Launched { reused, .. } if entry.job == Some(job) => Some(*reused),
        _ => None,
    });
    match reused {
        None => "its plan is being made".into(),
        Some(0) => "it reuses nothing".into(),
        Some(n) => format!("it reuses {}", words::count(n as usize, "item")),
    }
}

fn list(items: &[Item]) -> String {
    let chunks: Vec<String> = items
        .iter()
        .filter_map(|item| match item {
            Item::Chunk(index) => Some(index.to_string()),
            Item::Sound => None,
        })
        .collect();
    let sound = items.contains(&Item::Sound);
    let word = if chunks.len() == 1 { "chunk" } else { "chunks" };
    match (chunks.is_empty(), sound) {
        (true, _) => "the sound".into(),
        (false, true) => format!("{word} {} and the sound", chunks.join(", ")),
        (false, false) => format!("{word} {}", chunks.join(", ")),
    }
}
