//! What keys do: selection by id, dialogs that can't be answered ahead, commands that hit what was shown.

use dvp_console::action::{Action, Ask, Leave};
use dvp_console::event::{Contact, Event, Key, Reply};
use dvp_console::state::Place;
use dvp_console::state::overlay::Overlay;
use dvp_model::job::State as JobState;

use super::{Console, fixture, key};

fn asks(console: &Console) -> Vec<Ask> {
    console
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Ask(ask) => Some(ask.clone()),
            _ => None,
        })
        .collect()
}

fn on(number: u128) -> Console {
    let mut state = fixture::state();
    state.jobs.cursor.select(fixture::id(number));
    Console::new(state).keys("2")
}

#[test]
fn the_cursor_stays_on_its_job_while_the_list_moves() {
    let console = on(8);
    let mut jobs = fixture::jobs();
    jobs.reverse();
    let console = console.reply(Reply::Jobs(jobs)).keys("o o");
    assert_eq!(console.state.jobs.cursor.id, Some(fixture::id(8)));
    let gone = fixture::jobs().into_iter().filter(|job| job.id != fixture::id(8)).collect();
    let console = console.reply(Reply::Jobs(gone));
    assert!(console.state.jobs.cursor.id.is_some_and(|id| id != fixture::id(8)));
}

#[test]
fn a_confirmed_command_hits_what_was_shown() {
    let console = on(9).keys("x");
    // The list moves, and the job with it, between question and answer.
    let mut jobs = fixture::jobs();
    jobs.rotate_left(3);
    let console = console.reply(Reply::Jobs(jobs)).keys("y");
    assert_eq!(asks(&console), [Ask::Cancel(fixture::id(9))]);
    assert!(console.state.overlay.is_none());
}

#[test]
fn the_key_that_asked_never_answers_and_enter_stands_on_leaving_it_be() {
    let console = on(9).keys("x x x");
    assert!(asks(&console).is_empty());
    assert!(matches!(console.state.overlay, Some(Overlay::Confirm(_))));
    let console = console.keys("enter");
    assert!(console.state.overlay.is_none());
    assert!(asks(&console).is_empty());
    assert_eq!(asks(&on(9).keys("x tab enter")), [Ask::Cancel(fixture::id(9))]);
    assert!(asks(&on(9).keys("x tab tab enter")).is_empty());
    assert!(asks(&on(9).keys("x esc y")).is_empty());
}

#[test]
fn keys_typed_ahead_never_answer_a_dialog() {
    let mut console = on(9);
    for pressed in ["x", "y", "enter", "y"] {
        console.take(Event::Key(key(pressed)));
    }
    assert!(asks(&console).is_empty(), "the dialog was not seen yet");
    assert!(matches!(&console.state.overlay, Some(Overlay::Confirm(dialog)) if !dialog.on_yes));
    console.take(Event::Shown);
    assert_eq!(asks(&console.keys("y")), [Ask::Cancel(fixture::id(9))]);

    let mut console = Console::new(fixture::state());
    for pressed in ["q", "h", "enter"] {
        console.take(Event::Key(key(pressed)));
    }
    assert!(console.actions.iter().all(|action| !matches!(action, Action::Leave(_))));
}

#[test]
fn marks_are_commanded_together_and_only_those_that_can_be() {
    let console = Console::new(fixture::state()).keys("2 / s t a t e : f enter * r");
    let Some(Overlay::Confirm(dialog)) = &console.state.overlay else { panic!("it asks") };
    assert_eq!(dialog.asks.len(), 2);
    let console = console.keys("y");
    assert_eq!(asks(&console), [Ask::Retry(fixture::id(2)), Ask::Retry(fixture::id(1))]);
    // Marked, but no longer shown: out of reach.
    let console = Console::new(fixture::state()).keys("2 * / d r a f t enter x");
    assert!(console.state.overlay.is_none(), "a cancelled job can't be cancelled");
}

#[test]
fn a_range_is_marked_from_where_it_began() {
    let console = Console::new(fixture::state()).keys("2 g V j j V");
    let marks: Vec<_> = console.state.jobs.marks.iter().copied().collect();
    assert_eq!(marks, [fixture::id(8), fixture::id(9), fixture::id(10)]);
}

#[test]
fn what_needs_a_person_is_mended_from_the_dashboard() {
    // The first cause is the node, then what the engine holds and what failed.
    let mut console = Console::new(fixture::state());
    let needs: Vec<String> = dvp_console::state::needs::needs(&console.state.live, fixture::NOW)
        .into_iter()
        .map(|need| need.key)
        .collect();
    assert_eq!(needs.len(), 3, "{needs:?}");
    let failed = needs.iter().position(|key| key.starts_with("failed:")).expect("failed jobs");
    for _ in 0..failed {
        console = console.keys("j");
    }
    let console = console.keys("r y");
    assert_eq!(asks(&console).len(), 2, "both that failed for one cause");
    let console = Console::new(fixture::state()).keys("enter");
    assert_eq!(console.state.place, Place::Nodes);
}

#[test]
fn hold_release_priority_and_their_undo() {
    let held = |state| {
        let mut job = fixture::jobs().remove(1);
        job.version += 1;
        job.state = state;
        Ok(Box::new(job))
    };
    let id = fixture::id(9);
    let console = on(9).keys("p");
    assert_eq!(asks(&console), [Ask::Hold(id)]);
    let by = dvp_model::job::HeldBy::Person;
    let console = console.reply(Reply::Asked(Ask::Hold(id), held(JobState::Held { by })));
    assert_eq!(asks(&console.keys("u")), [Ask::Hold(id), Ask::Release(id)]);
    assert_eq!(asks(&on(9).keys(">")), [Ask::Priority { id, from: 5, to: 6 }]);
    assert_eq!(asks(&on(9).keys("<")), [Ask::Priority { id, from: 5, to: 4 }]);
}

#[test]
fn letters_in_a_field_are_letters() {
    let console = Console::new(fixture::state()).keys("6").types("qx1?:");
    assert_eq!(console.state.form.input.text, "qx1?:");
    assert_eq!(console.state.place, Place::Submit);
    let console = Console::new(fixture::state()).keys("2 /").types("q1x");
    assert_eq!(console.state.jobs.query.text, "q1x");
}

#[test]
fn leaving_asks_only_where_jobs_would_be_left_alone() {
    let left = |contact, keys: &str| {
        let mut state = fixture::state();
        state.live.contact = contact;
        let console = Console::new(state).keys(keys);
        console.actions.into_iter().find_map(|action| match action {
            Action::Leave(leave) => Some(leave),
            _ => None,
        })
    };
    assert_eq!(left(Contact::Hosting, "q"), None);
    assert_eq!(left(Contact::Hosting, "q esc"), None);
    assert_eq!(left(Contact::Hosting, "q enter"), None, "it stands on Stay");
    assert_eq!(left(Contact::Hosting, "q b"), Some(Leave::HandOver));
    assert_eq!(left(Contact::Hosting, "ctrl-c h"), Some(Leave::HoldJobs));
    assert_eq!(left(Contact::Hosting, "ctrl-c ctrl-c ctrl-c"), None);
    assert_eq!(left(Contact::Attached { pid: 7 }, "q"), Some(Leave::Now));
    assert_eq!(left(Contact::Attached { pid: 7 }, "6 ctrl-c"), Some(Leave::Now));
    assert_eq!(left(Contact::Attached { pid: 7 }, "2 q"), None, "one level up first");
    assert_eq!(left(Contact::Attached { pid: 7 }, "2 q q"), Some(Leave::Now));
}

#[test]
fn whoever_waits_leaves_when_the_last_job_is_done() {
    let console = Console::new(fixture::state()).keys("q w");
    assert!(console.state.leaving);
    let open = fixture::jobs();
    let console = console.reply(Reply::Jobs(open));
    assert!(console.actions.iter().all(|action| !matches!(action, Action::Leave(_))));
    let done = fixture::jobs().into_iter().filter(|job| job.output.is_some()).collect();
    let console = console.reply(Reply::Jobs(done));
    assert!(console.actions.contains(&Action::Leave(Leave::Now)));
}

#[test]
fn a_hangup_and_a_stop_hand_the_engine_over_when_jobs_need_it() {
    let mut console = Console::new(fixture::state());
    console.take(Event::Hangup);
    assert!(console.actions.contains(&Action::Leave(Leave::HandOver)));
    assert_eq!(Console::new(fixture::state()).keys("ctrl-z").actions, [Action::Suspend(true)]);
    let mut state = fixture::state();
    state.live.jobs = None;
    let mut console = Console::new(state).keys("ctrl-z");
    assert_eq!(console.actions, [Action::Suspend(false)]);
    console.take(Event::Hangup);
    assert!(console.actions.contains(&Action::Leave(Leave::Now)));
}

#[test]
fn a_frozen_picture_stays_and_its_commands_hit_it() {
    let console = on(9).keys("F");
    let empty = console.reply(Reply::Jobs(vec![]));
    assert_eq!(empty.state.data().all_jobs().len(), fixture::jobs().len());
    let console = empty.keys("x y");
    assert_eq!(asks(&console), [Ask::Cancel(fixture::id(9))]);
    assert!(console.keys("F").state.data().all_jobs().is_empty());
}

#[test]
fn the_form_asks_for_a_dry_run_once_the_typing_rests() {
    let mut console = Console::new(fixture::state()).keys("6").types("/films/a.mp4");
    let asked = |console: &Console| {
        console.actions.iter().filter(|action| matches!(action, Action::DryRun(..))).count()
    };
    console.take(Event::Tick(fixture::NOW.plus(100)));
    assert_eq!(asked(&console), 0);
    console.take(Event::Tick(fixture::NOW.plus(1000)));
    console.take(Event::Tick(fixture::NOW.plus(2000)));
    assert_eq!(asked(&console), 1);
    let old = console.state.form.edits;
    let console = console.types("x").reply(Reply::DryRun(old, Ok(fixture::dry_run())));
    assert!(matches!(console.state.form.dry, dvp_console::state::form::Dry::None), "of other text");
}

#[test]
fn a_wrong_value_is_not_sent_and_the_cursor_goes_to_it() {
    let mut console = Console::new(fixture::state()).keys("6").types("/films/a.mp4");
    console.state.form.at = dvp_console::state::form::Slot::Param("convert.crf".into());
    let console = console.types("99").keys("ctrl-s");
    assert!(console.actions.iter().all(|action| !matches!(action, Action::Submit(..))));
    assert_eq!(console.state.form.first_fault(), Some(console.state.form.at.clone()));
    let console = console.keys("backspace backspace").types("18").keys("ctrl-s");
    let sent = console.actions.iter().find_map(|action| match action {
        Action::Submit(_, submission) => Some(submission.clone()),
        _ => None,
    });
    assert_eq!(sent.expect("sent").spec.set["convert.crf"], "18");
}

#[test]
fn a_submitted_job_is_opened_and_the_way_back_misses_the_form() {
    let console = Console::new(fixture::state()).keys("2 s").types("/films/a.mp4").keys("ctrl-s");
    let edits = console.state.form.edits;
    let job = Box::new(fixture::jobs().remove(0));
    let id = job.id;
    let console = console.reply(Reply::Submitted(edits, Ok(job)));
    assert_eq!(console.state.place, Place::Job(id));
    assert!(console.actions.contains(&Action::Watch(Some(id))));
    assert_eq!(console.keys("esc").state.place, Place::Jobs);
}

#[test]
fn the_palette_runs_what_works_here_and_says_so_otherwise() {
    let console = Console::new(fixture::state()).keys(":").types("nodes").keys("enter");
    assert_eq!(console.state.place, Place::Nodes);
    let console = console.keys(":").types("zoom").keys("enter");
    assert!(console.state.toast.is_some_and(|toast| toast.bad));
    let mut console = Console::new(fixture::state());
    console.take(Event::Key(Key::Char('K')));
    assert!(console.actions.is_empty(), "no rank is killed outside of the demo");
}

/// The tour's hint, in words.
fn coach(console: &Console) -> String {
    dvp_console::demo::tour::hint(&console.state).expect("a hint").text
}

#[test]
fn the_tour_kills_compares_and_says_what_was_redone() {
    use dvp_console::demo::tour::{SECOND, Tour};
    let mut state = fixture::state();
    state.tour = Some(Tour { first: Some(fixture::id(9)), ..Tour::default() });
    state.jobs.cursor.select(fixture::id(9));
    let console = Console::new(state).keys("2 enter");
    assert!(coach(&console).contains("K kills a rank"), "{}", coach(&console));
    let console = console.keys("K");
    assert!(console.actions.contains(&Action::KillRank(fixture::id(9))));
    let lane = fixture::detail().lanes.remove(1);
    let console =
        console.reply(Reply::Killed(fixture::id(9), Ok(dvp_model::wire::api::Killed { lane })));
    assert!(coach(&console).contains("chunks 5, 6"), "{}", coach(&console));
    // The first run ends: the tour submits the second by itself, once, to another name.
    let done = |number: u128, hash: &str| {
        let mut job = fixture::jobs().remove(4);
        job.id = fixture::id(number);
        job.version = 9;
        job.output.as_mut().expect("a completed job").sha256 = hash.repeat(64);
        job
    };
    let console = console.reply(Reply::Jobs(vec![done(9, "a")]));
    let console = console.reply(Reply::Jobs(vec![done(9, "a")]));
    let submitted: Vec<_> = console
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Submit(SECOND, submission) => Some(submission.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(submitted.len(), 1);
    assert_ne!(submitted[0].output, Some(done(9, "a").output_path));
    let mut second = done(11, "a");
    second.state = JobState::Queued;
    second.output = None;
    let console = console.reply(Reply::Submitted(SECOND, Ok(Box::new(second))));
    assert_eq!(console.state.place, Place::Job(fixture::id(11)));
    for (hash, word) in [("a", "equal"), ("b", "DIFFER")] {
        let end = Console::new(console.state.clone())
            .reply(Reply::Jobs(vec![done(9, "a"), done(11, hash)]));
        assert!(coach(&end).contains(word), "{}", coach(&end));
        assert!(coach(&end).contains("chunks 5, 6"), "{}", coach(&end));
    }
}

#[test]
fn the_tour_takes_up_what_an_earlier_demo_left_running() {
    use dvp_console::demo::tour::Tour;
    let fresh = || {
        let mut state = fixture::state();
        state.tour = Some(Tour::default());
        state.live.jobs = None;
        state.place = Place::Submit;
        Console::new(state)
    };
    let all = fixture::jobs();
    let running = all.iter().find(|job| job.id == fixture::id(9)).expect("a running job");
    let completed = all[4].clone();
    assert_eq!(completed.state, JobState::Completed);
    // Nothing runs: the form waits for its person.
    let console = fresh().reply(Reply::Jobs(vec![completed.clone()]));
    assert_eq!(console.state.place, Place::Submit);
    let console = fresh().reply(Reply::Jobs(vec![running.clone(), completed.clone()]));
    let tour = console.state.tour.clone().expect("a tour");
    assert_eq!((tour.first, tour.second), (Some(running.id), None));
    assert_eq!(console.state.place, Place::Job(running.id));
    assert!(coach(&console).contains("K kills a rank"), "{}", coach(&console));
    // The undisturbed run was left running: it is compared with the one that it names.
    let mut second = running.clone();
    second.output_path = format!("/out/undisturbed-{}.mp4", completed.id.short()).into();
    let console = fresh().reply(Reply::Jobs(vec![second.clone(), completed.clone()]));
    let tour = console.state.tour.clone().expect("a tour");
    assert_eq!((tour.first, tour.second), (Some(completed.id), Some(second.id)));
    assert!(console.actions.iter().all(|action| !matches!(action, Action::Submit(..))));
    assert!(coach(&console).contains("again, undisturbed"), "{}", coach(&console));
}

#[test]
fn a_failed_job_that_was_made_good_needs_nobody() {
    let mut jobs = fixture::jobs();
    let failed = jobs.iter().position(|job| job.id == fixture::id(1)).expect("it is there");
    let mut again = jobs[failed].clone();
    again.id = fixture::id(12);
    again.created_at = fixture::NOW;
    again.state = JobState::Queued;
    jobs.insert(0, again);
    let console = Console::new(fixture::state()).reply(Reply::Jobs(jobs));
    let needs = dvp_console::state::needs::needs(&console.state.live, fixture::NOW);
    let failed =
        needs.iter().find(|need| need.key.starts_with("failed:")).expect("one failed still");
    assert_eq!(failed.jobs, [fixture::id(2)]);
}
