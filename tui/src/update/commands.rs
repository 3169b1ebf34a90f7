//! What each command of the table does.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::allowed::{can_cancel, can_hold, can_release, can_retry, retriable};
use super::*;
use crate::action::Ask;
use crate::again::quote;
use crate::state::Spot;
use crate::state::field::Field;
use crate::state::job::Pane;
use crate::state::jobs::Order;
use crate::state::needs;
use crate::state::overlay::{Confirm, CopyLine, LeaveDialog, Overlay};
use crate::widget::words;
use dvp_model::JobId;
use dvp_model::job::Job;

/// Runs a command. The caller has asked [`allowed()`].
pub(super) fn run(state: &mut State, cmd: Cmd) -> Vec<Action> {
    match cmd {
        Cmd::Down => lists::step(state, 1),
        Cmd::Up => lists::step(state, -1),
        Cmd::Top => lists::step(state, isize::MIN),
        Cmd::Bottom => lists::step(state, isize::MAX),
        Cmd::HalfDown => lists::step(state, lists::half(state)),
        Cmd::HalfUp => lists::step(state, -lists::half(state)),
        Cmd::Open => open(state),
        Cmd::Back => back(state),
        Cmd::LastPlace => {
            if let Some(last) = state.last {
                go(state, last);
            }
        }
        Cmd::NextPane => turn_pane(state, 1),
        Cmd::PrevPane => turn_pane(state, Pane::ALL.len() - 1),
        Cmd::Go(place) => go(state, place),
        Cmd::Filter => {
            state.filtering = true;
            if let Some(query) = lists::query_mut(state) {
                query.at = query.text.len();
            }
        }
        Cmd::NextMatch => lists::next_match(state, true),
        Cmd::PrevMatch => lists::next_match(state, false),
        Cmd::Palette => {
            state.overlay = Some(Overlay::Palette { typed: Field::default(), row: 0 });
        }
        Cmd::Help => state.overlay = Some(Overlay::Keys { top: 0 }),
        Cmd::Mark => mark(state),
        Cmd::Range => range(state),
        Cmd::MarkAll => mark_all(state),
        Cmd::Submit => go(state, Place::Submit),
        Cmd::Cancel => confirm_cancel(state),
        Cmd::Retry => {
            let jobs = state.jobs_here().into_iter().filter(|job| can_retry(job)).cloned();
            let jobs: Vec<Job> = jobs.collect();
            confirm_retry(state, &jobs, Cmd::Retry);
        }
        Cmd::RetryAll => {
            let jobs: Vec<Job> = retriable(state).cloned().collect();
            confirm_retry(state, &jobs, Cmd::RetryAll);
        }
        Cmd::Hold => return hold(state),
        Cmd::Raise => return priority(state, 1),
        Cmd::Lower => return priority(state, -1),
        Cmd::Edit => edit(state),
        Cmd::Undo => return state.undo.pop().map(Action::Ask).into_iter().collect(),
        Cmd::KillRank => {
            return state.job_here().map(|job| Action::KillRank(job.id)).into_iter().collect();
        }
        Cmd::Log => {
            if let Some(id) = state.job_here().map(|job| job.id) {
                go(state, Place::Job(id));
                set_pane(state, Pane::Log);
            }
        }
        Cmd::Copy => copy_menu(state),
        Cmd::Sort => state.jobs.order = state.jobs.order.next(),
        Cmd::Follow => match state.place {
            Place::Events => state.events.follow = !state.events.follow,
            _ => state.page.follow = !state.page.follow,
        },
        Cmd::Freeze => freeze(state),
        Cmd::Zoom => state.zoom = !state.zoom,
        Cmd::Redraw => return vec![Action::Redraw],
        Cmd::Suspend => {
            let hand_over = must_hand_over(state);
            if hand_over {
                state.say("Handing the engine to the background first.", false);
            }
            return vec![Action::Suspend(hand_over)];
        }
        Cmd::Quit => {
            if state.place == Place::Dashboard {
                return leave(state);
            }
            let up = match state.place {
                Place::Job(_) if state.trail.contains(&Place::Jobs) => Place::Jobs,
                _ => Place::Dashboard,
            };
            go(state, up);
            state.trail.retain(|place| !matches!(place, Place::Job(_)));
        }
        Cmd::Leave => return leave(state),
    }
    vec![]
}

fn open(state: &mut State) {
    let spot = match state.place {
        Place::Dashboard => state.spot.id.clone(),
        _ => None,
    };
    match spot {
        Some(Spot::Need(key)) => open_need(state, &key),
        _ => {
            if let Some(id) = state.job_here().map(|job| job.id) {
                go(state, Place::Job(id));
            }
        }
    }
}

fn open_need(state: &mut State, key: &str) {
    let needs = needs::needs(state.data(), state.shown_now());
    let Some(need) = needs.into_iter().find(|need| need.key == key) else { return };
    if let Some(name) = key.strip_prefix("node:") {
        state.nodes.select(dvp_model::NodeName(name.to_owned()));
        go(state, Place::Nodes);
    } else if let Some(name) = key.strip_prefix("service:") {
        state.services.select(name.to_owned());
        go(state, Place::Services);
    } else if let [id] = need.jobs.as_slice() {
        go(state, Place::Job(*id));
    } else if need.jobs.is_empty() {
        go(state, Place::Events);
    } else {
        // All of the cause, marked: the next key acts on them.
        state.jobs.query = Field::default();
        state.jobs.order = Order::State;
        state.jobs.marks = need.jobs.iter().copied().collect();
        state.jobs.cursor.select(need.jobs[0]);
        go(state, Place::Jobs);
    }
}

fn back(state: &mut State) {
    let list = state.place == Place::Jobs;
    if state.zoom {
        state.zoom = false;
    } else if list && state.jobs.anchor.is_some() {
        state.jobs.anchor = None;
    } else if list && !state.jobs.marks.is_empty() {
        state.jobs.marks.clear();
    } else if let Some(query) = lists::query_mut(state).filter(|query| !query.text.is_empty()) {
        query.clear();
    } else if let Some(place) = state.trail.pop() {
        state.last = Some(state.place);
        state.place = place;
    } else if state.leaving {
        state.leaving = false;
        state.say("You stay.", false);
    }
}

fn turn_pane(state: &mut State, by: usize) {
    let at = Pane::ALL.iter().position(|pane| *pane == state.page.pane).unwrap_or(0);
    set_pane(state, Pane::ALL[(at + by) % Pane::ALL.len()]);
}

fn set_pane(state: &mut State, pane: Pane) {
    if state.page.pane != pane {
        state.page.pane = pane;
        state.page.follow = true;
        state.page.top = 0;
    }
}

fn mark(state: &mut State) {
    if let Some(id) = state.jobs.cursor.id {
        if !state.jobs.marks.remove(&id) {
            state.jobs.marks.insert(id);
        }
        lists::step(state, 1);
    }
}

fn range(state: &mut State) {
    match state.jobs.anchor {
        None => state.jobs.anchor = state.jobs.cursor.id,
        Some(_) => {
            state.jobs.marks = state.jobs.marked(&state.jobs.ids(state.data()));
            state.jobs.anchor = None;
        }
    }
}

fn mark_all(state: &mut State) {
    let ids: BTreeSet<JobId> = state.jobs.ids(state.data()).into_iter().collect();
    if ids.is_subset(&state.jobs.marks) {
        state.jobs.marks.retain(|id| !ids.contains(id));
    } else {
        state.jobs.marks.extend(ids);
    }
}

fn names(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|job| format!("{}  {}", words::name(job), job.id.short())).collect()
}

fn confirm_cancel(state: &mut State) {
    let jobs: Vec<Job> =
        state.jobs_here().into_iter().filter(|job| can_cancel(job)).cloned().collect();
    let question = match jobs.as_slice() {
        [] => return,
        [job] => format!("Cancel {}?", words::name(job)),
        jobs => format!("Cancel {} jobs?", jobs.len()),
    };
    state.overlay = Some(Overlay::Confirm(Confirm {
        question,
        about: "No output is written, and finished chunks are deleted. Hold keeps them.".to_owned(),
        names: names(&jobs),
        yes: if jobs.len() == 1 { "Cancel the job" } else { "Cancel the jobs" }.to_owned(),
        asks: jobs.iter().map(|job| Ask::Cancel(job.id)).collect(),
        on_yes: false,
        shown: false,
        by: Cmd::Cancel,
    }));
}

fn confirm_retry(state: &mut State, jobs: &[Job], by: Cmd) {
    let question = match jobs {
        [] => return,
        [job] => format!("Try {} again?", words::name(job)),
        jobs => format!("Try {} jobs again?", jobs.len()),
    };
    state.overlay = Some(Overlay::Confirm(Confirm {
        question,
        about: "Accepted chunks that are still there are not computed again.".to_owned(),
        names: names(jobs),
        yes: "Try again".to_owned(),
        asks: jobs.iter().map(|job| Ask::Retry(job.id)).collect(),
        on_yes: false,
        shown: false,
        by,
    }));
}

fn hold(state: &mut State) -> Vec<Action> {
    let jobs = state.jobs_here();
    // Of several, those that run or wait are held first; the second press releases all.
    let holds: Vec<Ask> =
        jobs.iter().filter(|job| can_hold(job)).map(|job| Ask::Hold(job.id)).collect();
    let asks = if holds.is_empty() {
        jobs.iter().filter(|job| can_release(job)).map(|job| Ask::Release(job.id)).collect()
    } else {
        holds
    };
    asks.into_iter().map(Action::Ask).collect()
}

fn priority(state: &mut State, by: i32) -> Vec<Action> {
    let jobs = state.jobs_here();
    let open = jobs.iter().filter(|job| !job.state.name().is_final());
    open.map(|job| Ask::Priority {
        id: job.id,
        from: job.priority,
        to: job.priority.saturating_add(by).clamp(-1000, 1000),
    })
    .map(Action::Ask)
    .collect()
}

fn edit(state: &mut State) {
    if let Some(job) = state.job_here().cloned() {
        state.form = state.form.of(&job);
        go(state, Place::Submit);
        state.say(
            "This is what that job was asked for: change it and start it as a new job.",
            false,
        );
    }
}

fn copy_menu(state: &mut State) {
    let Some(job) = state.job_here() else { return };
    let line = |key, label: &str, text: String| CopyLine { key, label: label.into(), text };
    let mut lines = vec![
        line('i', "id", job.id.to_string()),
        line('p', "path of the input", job.input.as_path().to_string_lossy().into_owned()),
        line('o', "path of the output", job.output_path.as_path().to_string_lossy().into_owned()),
    ];
    if let Some(output) = &job.output {
        lines.push(line('h', "SHA-256 of the output", output.sha256.clone()));
    }
    if let Some(reason) = job.state.reason() {
        lines.push(line('r', "reason", reason.text.clone()));
    }
    lines.push(line('c', "command that repeats it", repeat_command(&state.command_name, job)));
    state.overlay = Some(Overlay::CopyMenu { lines, row: 0 });
}

/// The command line that submits the same again, quoted for a shell; `command` is quoted already.
fn repeat_command(command: &str, job: &Job) -> String {
    let mut words: Vec<OsString> = vec!["submit".into(), job.input.as_path().into()];
    for task in &job.asked.tasks {
        words.extend(["--task".into(), task.into()]);
    }
    for (key, value) in &job.asked.set {
        words.extend(["--set".into(), format!("{key}={value}").into()]);
    }
    words.extend(["--output".into(), job.output_path.as_path().into()]);
    if let Some(ranks) = job.ranks_wanted {
        words.extend(["--ranks".into(), ranks.to_string().into()]);
    }
    if job.priority != 0 {
        words.push(format!("--priority={}", job.priority).into());
    }
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("{command} {}", quoted.join(" "))
}

fn freeze(state: &mut State) {
    if state.frozen.take().is_some() {
        state.frozen_at = None;
    } else {
        state.frozen = Some(Box::new(state.live.clone()));
        state.frozen_at = Some(state.now);
    }
}

/// Leaves, or asks how when jobs would be left without their engine.
fn leave(state: &mut State) -> Vec<Action> {
    if state.going || matches!(state.overlay, Some(Overlay::Leaving(_))) {
        return vec![];
    }
    if must_hand_over(state) {
        let open = state.live.open_jobs().count();
        state.overlay = Some(Overlay::Leaving(LeaveDialog { open, row: 0, shown: false }));
        return vec![];
    }
    state.going = true;
    vec![Action::Leave(Leave::Now)]
}
