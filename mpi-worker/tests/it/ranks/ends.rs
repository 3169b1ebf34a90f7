//! How ranks end when the engine, mpirun or one of them does, and what they leave.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dvp_model::id::{ChunkIndex, Item};
use dvp_model::wire::worker::{BEAT_MS, FromWorker, SILENCE_MS, ToWorker, exit};
use rustix::process::Signal;
use testbed::clip::Clip;
use testbed::drive::Drive;
use testbed::faults;

use super::{Ranks, place, plan_without_input};

#[test]
fn the_links_end_stops_all_ranks_and_leaves_nothing() {
    let before = shared_leftovers();
    let mut ranks = Ranks::with_plan(3, &plan_without_input());
    ranks.hello();
    ranks.close_link();
    assert_eq!(ranks.ended(), Some(exit::LINK.into()));
    ranks.wait_until_gone();
    let left: Vec<_> = files_under(ranks.run_dir.path());
    assert!(left.is_empty(), "the run directory holds {left:?}");
    assert_eq!(shared_leftovers(), before);
}

#[test]
fn the_links_end_stops_ranks_before_they_have_a_job() {
    let mut ranks = Ranks::start(2);
    ranks.close_link();
    assert_eq!(ranks.ended(), Some(exit::LINK.into()));
    ranks.wait_until_gone();
}

#[test]
fn silence_stops_all_ranks_and_beats_keep_them() {
    let plan = plan_without_input();
    let (mut silent, mut beating) = (Ranks::with_plan(2, &plan), Ranks::with_plan(2, &plan));
    silent.hello();
    beating.hello();
    let begun = Instant::now();
    let limit = Duration::from_millis(2 * SILENCE_MS);
    let status = loop {
        beating.send(&ToWorker::Beat);
        if let Some(status) = silent.child.try_wait().expect("mpirun can be waited for") {
            break status;
        }
        assert!(begun.elapsed() < limit, "ranks still run after {:?} of silence", begun.elapsed());
        std::thread::sleep(Duration::from_millis(BEAT_MS / 10));
    };
    assert_eq!(status.code(), Some(exit::LINK.into()));
    silent.wait_until_gone();
    assert_eq!(beating.child.try_wait().expect("mpirun can be waited for"), None);
    beating.until("a beat", |line| matches!(line, FromWorker::Beat).then_some(()));
    beating.send(&ToWorker::Drain);
    assert_eq!(beating.ended(), Some(exit::OK.into()));
}

#[test]
fn cancel_stops_ranks_in_the_middle_of_a_chunk() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("long.mp4").size(1280, 720).frames(120).make(folder.path());
    let output = folder.path().join("out.mp4");
    let set = [("convert.preset", "veryslow"), ("plan.chunk_frames", "120")];
    let plan = Drive::new(&clip, &output, 2, &set).plan().expect("a plan");
    let objects = folder.path().join("objects");
    fs::create_dir(&objects).expect("a folder");
    let mut ranks = Ranks::with_plan(2, &plan);
    ranks.hello();
    let item = Item::Chunk(ChunkIndex(0));
    let put = place(&objects, item);
    ranks.send(&ToWorker::Do { rank: 1, item, attempt: 1, put });
    ranks.until("progress", |line| match line {
        FromWorker::Progress { rank: 1, frames, .. } if frames > 0 => Some(()),
        FromWorker::Done { .. } => panic!("the chunk was done before it could be cancelled"),
        FromWorker::Failed { reason, .. } => panic!("the chunk failed: {reason}"),
        _ => None,
    });
    ranks.send(&ToWorker::Cancel);
    assert_eq!(ranks.ended(), Some(exit::CANCELLED.into()));
    ranks.wait_until_gone();
    let left = files_under(&objects);
    assert!(left.is_empty(), "{left:?} was left");
}

#[test]
fn ranks_do_not_outlive_mpirun() {
    let mut ranks = Ranks::with_plan(3, &plan_without_input());
    ranks.hello();
    faults::kill(ranks.child.id());
    ranks.ended();
    ranks.wait_until_gone();
}

#[test]
fn a_killed_rank_ends_its_launch() {
    let mut ranks = Ranks::with_plan(3, &plan_without_input());
    let named = ranks.hello();
    faults::kill(named[1].pid);
    assert_ne!(ranks.ended(), Some(exit::OK.into()));
    ranks.wait_until_gone();
}

#[test]
fn a_frozen_rank_does_not_hold_up_the_end() {
    let mut ranks = Ranks::with_plan(3, &plan_without_input());
    let named = ranks.hello();
    faults::signal(named[2].pid, Signal::STOP);
    ranks.close_link();
    ranks.ended();
    ranks.wait_until_gone();
}

/// What ranks could leave where all launches share: nothing of a launch may lie there, ever.
fn shared_leftovers() -> Vec<String> {
    let mut found: Vec<String> = faults::leftovers()
        .into_iter()
        .map(|path| path.display().to_string())
        // Folders of other tests, which remove them themselves.
        .filter(|path| !path.contains("/dvp") && !path.contains("/.dvp"))
        .collect();
    found.sort();
    found
}

fn files_under(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files_under(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}
