//! What answers and polls do to the state.

use super::*;
use crate::demo::tour;
use crate::event::Reply;
use crate::state::data::Aged;
use crate::state::form::Dry;
use crate::state::overlay::Overlay;
use crate::widget::words;

/// Commands that can be taken back.
const UNDO_KEPT: usize = 50;

/// Takes a reply.
pub(super) fn take(state: &mut State, reply: Reply) -> Vec<Action> {
    let now = state.now;
    match reply {
        Reply::Contact(contact) => take_contact(state, contact),
        Reply::Status(status) => {
            let old = state.live.status.as_ref();
            // Two moments of an unchanged engine look the same.
            let same = old.is_some_and(|old| {
                let mut then = old.value.clone();
                then.at = status.at;
                for (a, b) in then.services.iter_mut().zip(&status.services) {
                    a.at = b.at;
                    // Counted back from now each time: it may differ by a moment.
                    a.since = a.since.and(b.since);
                }
                if let (Some(a), Some(b)) = (&mut then.queue, &status.queue) {
                    a.at = b.at;
                }
                then == status && !old.is_stale(now)
            });
            state.revision += u64::from(!same);
            state.live.status = Some(Aged { value: status, at: now });
        }
        Reply::Jobs(jobs) => {
            state.history.take_jobs(&jobs, now);
            let same =
                state.live.jobs.as_ref().is_some_and(|old| old.value == jobs && !old.is_stale(now));
            state.revision += u64::from(!same);
            state.live.jobs = Some(Aged { value: jobs, at: now });
            if state.leaving && !state.going && !must_hand_over(state) {
                state.going = true;
                return vec![Action::Leave(Leave::Now)];
            }
        }
        Reply::Nodes(nodes) => {
            state.history.take_nodes(&nodes);
            state.revision += 1;
            state.live.nodes = Some(Aged { value: nodes, at: now });
        }
        Reply::Detail(detail) => {
            state.revision += 1;
            state.live.detail = Some(Aged { value: *detail, at: now });
        }
        Reply::NoDetail(id, errors) => {
            if state.place == Place::Job(id) && state.data().job(id).is_none() {
                state.say(errors.to_string(), true);
                state.revision += 1;
            }
        }
        Reply::Feed(entries) => {
            state.revision += u64::from(!entries.is_empty());
            state.live.take_feed(entries);
        }
        Reply::Asked(ask, result) => {
            state.revision += 1;
            match result {
                Ok(job) => {
                    let undoing = ask.undone_by();
                    let name = words::name(&job);
                    let said = match &ask {
                        crate::action::Ask::Priority { to, .. } => format!("{name}: priority {to}"),
                        ask => format!(
                            "{name}: {} asked for; it is {}",
                            ask.verb(),
                            words::state(&job)
                        ),
                    };
                    let undo = if undoing.is_some() { ". u takes it back" } else { "" };
                    state.say(format!("{said}{undo}"), false);
                    if let Some(undoing) = undoing {
                        state.undo.push(undoing);
                        let excess = state.undo.len().saturating_sub(UNDO_KEPT);
                        state.undo.drain(..excess);
                    }
                    put_job(state, *job);
                }
                Err(errors) => {
                    state.say(format!("Could not {} it: {errors}", ask.verb()), true);
                }
            }
        }
        Reply::Submitted(edits, result) => {
            state.revision += 1;
            return submitted(state, edits, result.map(|job| *job));
        }
        Reply::DryRun(edits, result) => {
            if edits != state.form.edits {
                return vec![];
            }
            state.revision += 1;
            match result {
                Ok(reply) => state.form.dry = Dry::Planned(Box::new(reply)),
                Err(errors) => {
                    state.form.dry = Dry::Refused;
                    state.form.errors = errors.errors;
                }
            }
        }
        Reply::Listed(listing) => {
            state.revision += 1;
            if let Some(Overlay::Picker(picker)) = &mut state.overlay {
                picker.take(&listing);
            }
            let wanted = state.form.completing().map(|(folder, _)| folder);
            if wanted.as_deref() == Some(listing.folder.as_path()) {
                state.form.listing = Some(listing);
            }
        }
        Reply::Killed(id, result) => {
            state.revision += 1;
            match result {
                Ok(killed) => tour::killed(state, id, killed.lane),
                Err(errors) => state.say(format!("No rank was killed: {errors}"), true),
            }
        }
        Reply::Told(text, bad) => {
            state.revision += 1;
            state.say(text, bad);
        }
        Reply::CannotLeave(why) => {
            state.revision += 1;
            state.going = false;
            state.say(why, true);
        }
    }
    vec![]
}

fn take_contact(state: &mut State, contact: Contact) {
    if state.live.contact == contact {
        return;
    }
    state.revision += 1;
    match (&state.live.contact, &contact) {
        // The moment it was lost stays; only the words of the last try change.
        (Contact::Lost { since, .. }, Contact::Lost { why, .. }) => {
            state.live.contact = Contact::Lost { since: *since, why: why.clone() };
            return;
        }
        (Contact::Lost { .. }, _) => state.say("The engine answers again.", false),
        (Contact::Attached { .. }, Contact::Hosting) => {
            state.say("The other engine has ended; this console hosts it now.", false);
        }
        _ => {}
    }
    state.live.contact = contact;
}

/// Puts a job that an answer brought in place of the known one, so that the next poll need not be awaited.
fn put_job(state: &mut State, job: dvp_model::job::Job) {
    let now = state.now;
    let jobs = state.live.jobs.get_or_insert_with(|| Aged { value: vec![], at: now });
    match jobs.value.iter_mut().find(|other| other.id == job.id) {
        Some(other) if other.version <= job.version => *other = job,
        Some(_) => {}
        None => jobs.value.insert(0, job),
    }
}

fn submitted(
    state: &mut State,
    edits: u64,
    result: Result<dvp_model::job::Job, dvp_model::wire::api::Errors>,
) -> Vec<Action> {
    if edits == tour::SECOND {
        match result {
            Ok(job) => {
                tour::second(state, job.id);
                put_job(state, job);
            }
            Err(errors) => state.say(format!("The second run was refused: {errors}"), true),
        }
        return vec![];
    }
    state.form.sent = false;
    match result {
        Ok(job) => {
            let id = job.id;
            state.say(format!("{} is submitted as {}.", words::name(&job), id.short()), false);
            put_job(state, job);
            tour::first(state, id);
            state.form = state.form.fresh();
            if state.place == Place::Submit {
                // The form is behind: the way back leads to where the person came from.
                go(state, Place::Job(id));
                state.trail.retain(|place| *place != Place::Submit);
            }
        }
        Err(errors) => {
            if edits == state.form.edits {
                state.form.errors = errors.errors;
                if let Some(slot) = state.form.first_fault() {
                    state.form.at = slot;
                }
            }
            state.say("Not submitted: see what the engine says.", true);
        }
    }
    vec![]
}
