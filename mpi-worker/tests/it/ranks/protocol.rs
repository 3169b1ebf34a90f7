//! The lines on rank 0's stdin and stdout.

use std::collections::BTreeMap;

use dvp_model::id::{ChunkIndex, Item};
use dvp_model::wire::worker::{FromWorker, ToWorker, exit};

use super::{Ranks, place, plan_without_input};

#[test]
fn every_rank_says_hello_and_asks_for_two_items() {
    let plan = plan_without_input();
    let mut ranks = Ranks::with_plan(3, &plan);
    let named = ranks.hello();
    assert_eq!(named.iter().map(|info| info.rank).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(named.iter().all(|info| info.fingerprint == plan.fingerprint && info.pid > 0));
    let mut wants = BTreeMap::new();
    while wants.values().sum::<u32>() < 6 {
        let rank = ranks.until("six wants", |line| match line {
            FromWorker::Want { rank } => Some(rank),
            _ => None,
        });
        *wants.entry(rank).or_insert(0) += 1;
    }
    assert_eq!(wants, BTreeMap::from([(0, 2), (1, 2), (2, 2)]));
    ranks.send(&ToWorker::Drain);
    // Nothing but beats between the drain and the last line.
    let last = ranks.until("bye", |line| match line {
        FromWorker::Beat => None,
        line => Some(line),
    });
    assert!(matches!(last, FromWorker::Bye), "{last:?}");
    assert!(ranks.next().is_none());
    assert_eq!(ranks.ended(), Some(exit::OK.into()));
    ranks.wait_until_gone();
}

#[test]
fn an_item_that_fails_is_told_and_its_rank_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ranks = Ranks::with_plan(2, &plan_without_input());
    ranks.hello();
    for attempt in 1..=3 {
        let item = Item::Chunk(ChunkIndex(1));
        let put = place(folder.path(), item);
        ranks.send(&ToWorker::Do { rank: 1, item, attempt, put });
        let failed = ranks.until("the failure", |line| match line {
            FromWorker::Failed { rank, item, attempt, reason } => {
                Some((rank, item, attempt, reason))
            }
            _ => None,
        });
        assert_eq!((failed.0, failed.1, failed.2), (1, item, attempt));
        assert!(!failed.3.text.is_empty());
        let again = ranks.until("another want", |line| match line {
            FromWorker::Want { rank } => Some(rank),
            _ => None,
        });
        assert!(again < 2);
    }
    ranks.send(&ToWorker::Drain);
    assert_eq!(ranks.ended(), Some(exit::OK.into()));
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0, "something was left");
}

#[test]
fn ranks_of_another_environment_are_refused_by_name() {
    let mut plan = plan_without_input();
    plan.fingerprint = "another".to_owned();
    let mut ranks = Ranks::with_plan(2, &plan);
    let reason = ranks.until("the refusal", |line| match line {
        FromWorker::Refused { reason } => Some(reason),
        FromWorker::Want { .. } => panic!("a rank of another environment asks for work"),
        _ => None,
    });
    assert!(reason.text.contains("rank 0 on"), "{reason}");
    assert_eq!(ranks.ended(), Some(exit::FAILED.into()));
    ranks.wait_until_gone();
}

#[test]
fn a_line_that_makes_no_sense_is_refused() {
    let plan = plan_without_input();
    let lines = [
        r#"{"type":"do","rank":7,"item":{"chunk":0},"attempt":1,"put":{"file":"/nonexistent"}}"#,
        "no JSON",
    ];
    for line in lines {
        let mut ranks = Ranks::with_plan(1, &plan);
        ranks.hello();
        ranks.send_line(line);
        ranks.until("the refusal", |line| matches!(line, FromWorker::Refused { .. }).then_some(()));
        assert_eq!(ranks.ended(), Some(exit::PROTOCOL.into()), "{line}");
    }
}
