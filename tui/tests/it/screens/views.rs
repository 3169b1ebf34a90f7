//! A picture a view, with its styles. Read a changed one before accepting it.

use dvp_console::event::{Contact, Found, Listing, Reply};
use dvp_console::state::State;
use dvp_model::error::Reason;

use super::{Console, fixture, picture};

fn check(name: &str, mut console: Console, width: u16, height: u16) {
    let buffer = console.draw(width, height);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, picture(&buffer));
    });
}

/// Every view there is: its name, and a console that shows it. The walk over sizes uses them too.
pub fn all() -> Vec<(&'static str, Console)> {
    let known = || Console::new(fixture::state());
    let running = || {
        let mut state = fixture::state();
        state.jobs.cursor.select(fixture::id(9));
        Console::new(state).keys("2 enter").reply(Reply::Detail(Box::new(fixture::detail())))
    };
    let page = |number: u128| {
        let mut state = fixture::state();
        state.jobs.cursor.select(fixture::id(number));
        Console::new(state).keys("2 enter")
    };
    let quiet = || {
        let mut state = fixture::state();
        if let Some(jobs) = &mut state.live.jobs {
            jobs.value.retain(|job| job.output.is_some());
        }
        if let Some(nodes) = &mut state.live.nodes {
            nodes.value.truncate(1);
        }
        if let Some(status) = &mut state.live.status {
            status.value.counts.retain(|name, _| name == "completed");
        }
        Console::new(state).keys("ctrl-l")
    };
    let lost = || {
        let mut state = fixture::state();
        state.live.contact =
            Contact::Lost { since: fixture::NOW.plus(-12_000), why: "no engine answers".into() };
        state.now = fixture::NOW.plus(12_000);
        Console::new(state).keys("ctrl-l")
    };
    let wrong = || {
        let mut console = known().keys("6").types("/films/none.mp4").keys("ctrl-s");
        let edits = console.state.form.edits;
        console = console.reply(Reply::Submitted(
            edits,
            Err(dvp_model::wire::api::Errors {
                errors: vec![
                    Reason::input("/films/none.mp4 does not exist: give a file that does"),
                    Reason::spec("convert.crf is '99': it goes from 0 to 51"),
                    Reason::machine("the data folder has no space left"),
                ],
            }),
        ));
        console
    };
    let planned = || {
        let console = known().keys("6").types("/films/holiday.mp4").keys("down right space");
        let edits = console.state.form.edits;
        console.reply(Reply::DryRun(edits, Ok(fixture::dry_run())))
    };
    let picker = || {
        let found = |name: &str, folder, size| Found {
            path: format!("/films/{name}").into(),
            folder,
            size,
        };
        known().keys("6 ctrl-o").reply(Reply::Listed(Listing {
            folder: "/films".into(),
            entries: Ok(vec![
                found("«archive»", true, 0),
                found("«holiday».mp4", false, 812_000_000),
                found("«notes».txt", false, 812),
            ]),
        }))
    };
    let tour = || {
        let mut state = fixture::state();
        state.tour = Some(dvp_console::demo::tour::Tour {
            first: Some(fixture::id(9)),
            ..Default::default()
        });
        state.jobs.cursor.select(fixture::id(9));
        Console::new(state).keys("2 enter").reply(Reply::Detail(Box::new(fixture::detail())))
    };
    vec![
        ("blank", Console::new(fixture::blank())),
        ("dashboard", known()),
        ("dashboard_quiet", quiet()),
        ("dashboard_lost", lost()),
        ("dashboard_frozen", known().keys("F")),
        ("jobs", known().keys("2 j j")),
        ("jobs_marked", known().keys("2 space space V j j")),
        ("jobs_filtered", known().keys("2 /").types("state:failed")),
        ("job", running()),
        ("job_log", running().keys("l")),
        ("job_plan", running().keys("tab tab")),
        ("job_zoomed", running().keys("z")),
        ("job_failed", page(1)),
        ("job_done", page(6)),
        ("job_planning", page(10)),
        ("nodes", known().keys("3 j j")),
        ("services", known().keys("4")),
        ("events", known().keys("5 k")),
        ("submit", known().keys("6")),
        ("submit_wrong", wrong()),
        ("submit_planned", planned()),
        ("keys", known().keys("7 j")),
        ("keys_here", running().keys("?")),
        ("palette", known().keys(":").types("re")),
        ("cancel", running().keys("x")),
        ("cancel_many", known().keys("2 * x")),
        ("leave", known().keys("q")),
        ("copy", page(6).keys("y")),
        ("picker", picker()),
        ("tour", tour()),
    ]
}

/// The view of that name.
fn view(name: &str) -> Console {
    all().into_iter().find(|(other, _)| *other == name).expect("a view of that name").1
}

macro_rules! pictures {
    ($($name:ident $width:literal $height:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), view(stringify!($name)), $width, $height);
        })*
    };
}

pictures! {
    dashboard 120 40, dashboard_quiet 80 24, dashboard_lost 80 24, jobs 120 30, jobs_marked 80 24,
    job 80 24, job_done 120 40, job_failed 80 24, nodes 100 30, services 80 24, events 80 24,
    submit_wrong 80 24, submit_planned 120 40, keys_here 80 40, palette 80 24, cancel 80 24,
    cancel_many 80 24, leave 80 24, copy 100 24, picker 80 24, tour 80 24,
}

#[test]
fn the_whole_state_can_be_recorded() {
    for (name, console) in all() {
        let json = serde_json::to_string(&console.state).expect(name);
        let again: State =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut again = Console::new(again);
        let mut console = console;
        assert_eq!(
            again.draw(100, 30),
            console.draw(100, 30),
            "{name} looks the same when read back"
        );
    }
}
