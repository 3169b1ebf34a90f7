//! What runs look like between two commits: lanes, progress, slots in use. In memory only, and lost with
//! the process without harm.

use std::collections::{BTreeMap, BTreeSet};

use dvp_model::job::{ChunkInfo, ChunkState, Job, Lane, Phase};
use dvp_model::time::Millis;
use dvp_model::{Item, NodeName, Rank};

use crate::store::LedgerRow;

/// One run as it is now.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Its ranks, by number.
    pub lanes: BTreeMap<Rank, Lane>,
    /// What each item in hand has come to, frames (the sound: thousandths), and who has it.
    pub in_hand: BTreeMap<Item, (Rank, u64)>,
    /// Slots that it uses: a rank without work gives its slot back.
    pub slots: u32,
    /// Its slots on the machines of the cluster; empty when it runs here.
    pub places: Vec<(NodeName, u32)>,
    /// Memory that each of those needs, bytes.
    pub memory_per_slot: u64,
    /// Progress of planning or assembling: done and total, in units of its own.
    pub tool: Option<(u64, u64)>,
    /// When the launch began to work, by the store's clock.
    pub since: Option<Millis>,
    /// Ranks that a person had killed: no chunk is to blame for their death.
    pub killed: BTreeSet<Rank>,
    /// Frames that were accepted before this launch.
    pub frames_before: u64,
}

impl Live {
    /// Frames of items that are in hand.
    pub fn frames_in_hand(&self) -> u64 {
        let chunks = self.in_hand.iter().filter(|(item, _)| matches!(item, Item::Chunk(_)));
        chunks.map(|(_, (_, frames))| frames).sum()
    }
}

/// One item as `job` shows it.
pub fn info(row: &LedgerRow, frames: u32, live: Option<&Live>) -> ChunkInfo {
    let in_hand = live.and_then(|live| live.in_hand.get(&row.item));
    let accepted = row.accepted.as_ref();
    let state = match (accepted, in_hand) {
        (Some(_), _) => ChunkState::Done,
        (None, Some(_)) => ChunkState::Running,
        (None, None) => ChunkState::Waiting,
    };
    let (index, all) = match row.item {
        Item::Chunk(index) => (index, u64::from(frames)),
        Item::Sound => (dvp_model::ChunkIndex(0), 1000),
    };
    ChunkInfo {
        index,
        state,
        frames,
        attempts: row.attempts,
        accepted: u32::from(accepted.is_some()),
        sha256: accepted.map(|accepted| accepted.sha256.clone()),
        rank: row.rank.or(in_hand.map(|(rank, _)| *rank)),
        progress: if accepted.is_some() { all } else { in_hand.map_or(0, |(_, frames)| *frames) },
        wall_ms: accepted.map(|accepted| accepted.report.wall_ms),
    }
}

/// Milliseconds to the end of a running job, when that can be told.
pub fn eta_ms(job: &Job, live: Option<&Live>, now: Millis) -> Option<u64> {
    let (plan, live) = (job.plan.as_ref()?, live?);
    if job.phase() != Some(Phase::Working) {
        return None;
    }
    let done = job.frames_done + live.frames_in_hand();
    let here = done.saturating_sub(live.frames_before);
    let elapsed = now.since(live.since?).max(0) as u64;
    dvp_model::estimate::eta_ms(plan.frames, done, here, elapsed)
}
