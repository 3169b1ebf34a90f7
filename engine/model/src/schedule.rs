//! Who runs where: from waiting jobs and free slots to launches. Pure, so that it is tested with hundreds
//! of nodes and no cluster.

use crate::id::{JobId, NodeName};
use crate::time::Millis;

/// A job that waits for slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub job: JobId,
    /// Higher goes first.
    pub priority: i32,
    /// Work that is left for one core, milliseconds. Among equals the longest goes first.
    pub cost_ms: u64,
    /// Items that are left. A job never gets more slots than that.
    pub items: u32,
    /// Exactly so many ranks, if asked.
    pub ranks: Option<u32>,
    /// Bytes that a rank needs.
    pub memory_per_rank: u64,
    /// Submitted.
    pub since: Millis,
}

/// What a node has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    /// Which.
    pub node: NodeName,
    /// Its slots in all.
    pub slots: u32,
    /// Those without a rank.
    pub slots_free: u32,
    /// Memory that no rank was promised, bytes.
    pub memory_free: u64,
}

/// A launch to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The job.
    pub job: JobId,
    /// Its ranks.
    pub ranks: u32,
    /// Slots taken, by node, in the order of its ranks.
    pub places: Vec<(NodeName, u32)>,
}

impl Start {
    /// Slots taken in all.
    pub fn slots(&self) -> u32 {
        self.places.iter().map(|(_, slots)| slots).sum()
    }

    /// Whether there are more ranks than slots.
    pub fn oversubscribes(&self) -> bool {
        self.ranks > self.slots()
    }
}

/// What to start now. By priority, then the longest first, then the oldest. While more jobs wait than
/// there are nodes a job gets one node's slots, with fewer it spreads. The first job that does not fit
/// ends the round: what is behind it must not keep it waiting for ever.
pub fn schedule(waiting: &[Waiting], nodes: &[Free]) -> Vec<Start> {
    let mut order: Vec<&Waiting> = waiting.iter().filter(|job| job.items > 0).collect();
    order.sort_by_key(|job| {
        (std::cmp::Reverse(job.priority), std::cmp::Reverse(job.cost_ms), job.since, job.job)
    });
    let mut nodes = nodes.to_vec();
    let mut starts = Vec::new();
    for (position, job) in order.iter().enumerate() {
        let rivals = order.len() - position;
        let start = match job.ranks {
            Some(ranks) => exactly(job, ranks, &mut nodes),
            None => as_fits(job, rivals, &mut nodes),
        };
        match start {
            Some(start) => starts.push(start),
            None => break,
        }
    }
    starts
}

/// Ranks that could work at once on one job of `items` items on what `nodes` have free.
pub fn parallelism(items: u32, memory_per_rank: u64, nodes: &[Free]) -> u32 {
    nodes.iter().map(|node| room(node, memory_per_rank)).sum::<u32>().min(items)
}

/// Ranks that fit on a node. A node without any rank takes one whatever its memory: else a job that needs
/// more than every node has would wait for ever in silence.
pub fn room(node: &Free, memory_per_rank: u64) -> u32 {
    let by_memory = node.memory_free / memory_per_rank.max(1);
    let by_memory = u32::try_from(by_memory).unwrap_or(u32::MAX);
    let idle = node.slots > 0 && node.slots_free == node.slots;
    node.slots_free.min(by_memory.max(u32::from(idle)))
}

fn as_fits(job: &Waiting, rivals: usize, nodes: &mut [Free]) -> Option<Start> {
    let share = (nodes.len() / rivals.max(1)).max(1);
    let mut by_room: Vec<(u32, usize)> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (room(node, job.memory_per_rank), index))
        .filter(|(room, _)| *room > 0)
        .collect();
    by_room.sort_by_key(|(room, index)| (std::cmp::Reverse(*room), *index));
    let mut places = Vec::new();
    let mut left = job.items;
    for (room, index) in by_room.into_iter().take(share) {
        let slots = room.min(left);
        if slots > 0 {
            places.push(take(&mut nodes[index], slots, job.memory_per_rank));
            left -= slots;
        }
    }
    let ranks = job.items - left;
    (ranks > 0).then_some(Start { job: job.job, ranks, places })
}

fn exactly(job: &Waiting, ranks: u32, nodes: &mut [Free]) -> Option<Start> {
    let all: u32 = nodes.iter().map(|node| node.slots).sum();
    let free: u32 = nodes.iter().map(|node| node.slots_free).sum();
    let mut left = ranks.min(all);
    if left == 0 || free < left {
        return None;
    }
    let mut places = Vec::new();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.slots_free));
    for node in nodes {
        let slots = node.slots_free.min(left);
        if slots > 0 {
            places.push(take(node, slots, job.memory_per_rank));
            left -= slots;
        }
    }
    Some(Start { job: job.job, ranks, places })
}

fn take(node: &mut Free, slots: u32, memory_per_rank: u64) -> (NodeName, u32) {
    node.slots_free -= slots;
    node.memory_free = node.memory_free.saturating_sub(u64::from(slots) * memory_per_rank);
    (node.node.clone(), slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GB: u64 = 1 << 30;

    fn job(number: u128, cost_ms: u64, items: u32) -> Waiting {
        Waiting {
            job: JobId(uuid::Uuid::from_u128(number)),
            priority: 0,
            cost_ms,
            items,
            ranks: None,
            memory_per_rank: GB,
            since: Millis(number as i64),
        }
    }

    fn node(name: &str, slots: u32, slots_free: u32) -> Free {
        Free { node: NodeName(name.into()), slots, slots_free, memory_free: 64 * GB }
    }

    /// `job:ranks@node=slots+node=slots`, one a start.
    fn check(waiting: &[Waiting], nodes: &[Free], expected: &str) {
        let starts = schedule(waiting, nodes);
        let words: Vec<String> = starts
            .iter()
            .map(|start| {
                let places: Vec<String> =
                    start.places.iter().map(|(node, slots)| format!("{node}={slots}")).collect();
                format!("{}:{}@{}", start.job.0.as_u128(), start.ranks, places.join("+"))
            })
            .collect();
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn one_machine() {
        let one = [node("a", 4, 4)];
        check(&[], &one, "");
        check(&[job(1, 10, 9)], &one, "1:4@a=4");
        check(&[job(1, 10, 2)], &one, "1:2@a=2");
        // The longest first; the next takes what is left.
        check(&[job(1, 10, 9), job(2, 20, 3)], &one, "2:3@a=3 1:1@a=1");
        check(&[job(1, 10, 9)], &[node("a", 4, 0)], "");
        let urgent = Waiting { priority: 1, ..job(1, 1, 9) };
        check(&[job(2, 99, 9), urgent], &one, "1:4@a=4");
    }

    #[test]
    fn exact_ranks_wait_for_their_slots_or_oversubscribe() {
        let wants = |ranks| Waiting { ranks: Some(ranks), ..job(1, 10, 9) };
        check(&[wants(3)], &[node("a", 4, 4)], "1:3@a=3");
        check(&[wants(6)], &[node("a", 4, 4)], "1:6@a=4");
        check(&[wants(6), job(2, 1, 1)], &[node("a", 4, 3)], "");
        check(&[wants(3), job(2, 1, 1)], &[node("a", 4, 4)], "1:3@a=3 2:1@a=1");
        assert!(schedule(&[wants(6)], &[node("a", 4, 4)])[0].oversubscribes());
    }

    #[test]
    fn memory_counts_like_slots() {
        let tight = Free { memory_free: 3 * GB, ..node("a", 8, 8) };
        check(&[job(1, 10, 9)], std::slice::from_ref(&tight), "1:3@a=3");
        // Too big for any: runs alone, on one slot; not beside another.
        let huge = Waiting { memory_per_rank: 100 * GB, ..job(1, 10, 9) };
        check(std::slice::from_ref(&huge), std::slice::from_ref(&tight), "1:1@a=1");
        check(&[huge], &[Free { slots_free: 7, ..tight }], "");
    }

    #[test]
    fn few_jobs_spread_and_many_take_a_node_each() {
        let nodes: Vec<Free> = (0..4).map(|n| node(&format!("n{n}"), 8, 8)).collect();
        check(&[job(1, 10, 99)], &nodes, "1:32@n0=8+n1=8+n2=8+n3=8");
        check(&[job(1, 10, 99), job(2, 9, 99)], &nodes, "1:16@n0=8+n1=8 2:16@n2=8+n3=8");
        let many: Vec<Waiting> = (1..=6).map(|n| job(n, 100 - n as u64, 99)).collect();
        check(&many, &nodes, "1:8@n0=8 2:8@n1=8 3:8@n2=8 4:8@n3=8");
    }

    #[test]
    fn a_dry_run_counts_as_the_scheduler_gives() {
        let nodes = [node("a", 4, 4), Free { memory_free: 2 * GB, ..node("b", 8, 8) }];
        for items in [1, 3, 6, 99] {
            let given = schedule(&[job(1, 10, items)], &nodes);
            assert_eq!(parallelism(items, GB, &nodes), given[0].slots(), "{items} items");
        }
        assert_eq!(parallelism(9, 100 * GB, &nodes), 2, "one on each idle node");
        assert_eq!(parallelism(9, GB, &[]), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_or_beyond_need(
            jobs in prop::collection::vec((0u64..100, 0u32..50, 0i32..3, prop::option::of(1u32..20), 1u64..6), 0..20),
            free in prop::collection::vec((0u32..16, 0u32..16, 0u64..40), 0..8),
        ) {
            let jobs: Vec<Waiting> = jobs.into_iter().enumerate().map(|(n, (cost, items, priority, ranks, memory))| {
                Waiting { priority, ranks, memory_per_rank: memory * GB, ..job(n as u128 + 1, cost, items) }
            }).collect();
            let nodes: Vec<Free> = free.into_iter().enumerate().map(|(n, (slots, less, memory))| {
                Free { memory_free: memory * GB, ..node(&format!("n{n}"), slots, slots.saturating_sub(less)) }
            }).collect();
            let starts = schedule(&jobs, &nodes);
            for node in &nodes {
                let taken: u32 = starts.iter().flat_map(|start| &start.places)
                    .filter(|(name, _)| *name == node.node).map(|(_, slots)| slots).sum();
                prop_assert!(taken <= node.slots_free);
            }
            let mut seen = std::collections::BTreeSet::new();
            for start in &starts {
                prop_assert!(seen.insert(start.job));
                let job = jobs.iter().find(|job| job.job == start.job).unwrap();
                match job.ranks {
                    Some(ranks) => prop_assert_eq!(start.ranks, ranks),
                    None => prop_assert!(start.ranks == start.slots() && start.ranks <= job.items),
                }
                prop_assert!(start.slots() > 0);
            }
            // No job of a lower priority overtakes one that got nothing.
            let lowest_started = jobs.iter().filter(|job| seen.contains(&job.job)).map(|job| job.priority).min();
            let highest_left = jobs.iter().filter(|job| job.items > 0 && !seen.contains(&job.job)).map(|job| job.priority).max();
            if let (Some(started), Some(left)) = (lowest_started, highest_left) {
                prop_assert!(started >= left);
            }
        }
    }
}
