//! What a rank that wants work is given, and who is to blame when one dies. Pure: tested with a thousand
//! ranks and no MPI.
//!
//! The sound goes first, it is the longest item; then chunks in order. An item that was in hand when a
//! rank died is a suspect: it runs with nothing else in its rank's hand, so that another death is its own.
//! When nobody said which rank died, suspects run one at a time with all other ranks idle.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::id::{Item, Rank};

/// Deaths of a rank with nothing else in hand after which an item is given up.
pub const KILLS_LIMIT: u32 = 3;

/// How much an item is under suspicion of killing its rank.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// Not at all.
    #[default]
    None,
    /// It was in the dead rank's hand: it runs alone on its rank.
    Rank,
    /// It was in hand when some rank died, nobody knows which: it runs alone in its launch.
    Launch,
}

/// An item as the ledger knows it when a launch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub item: Item,
    /// How often it was handed out.
    pub attempts: u32,
    /// Suspected so far.
    pub suspicion: Suspicion,
    /// Accepted.
    pub done: bool,
}

/// Give this to that rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hand {
    /// To whom.
    pub rank: Rank,
    /// What.
    pub item: Item,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// Who may have killed a rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blame {
    /// What was in hand, and how much it is suspected from now on.
    pub suspects: Vec<(Item, Suspicion)>,
    /// The one item that it must have been.
    pub killer: Option<Item>,
}

/// The items of a launch, and who has what.
#[derive(Clone, Debug)]
pub struct Assign {
    entries: Vec<Entry>,
    places: BTreeMap<Item, usize>,
    hands: BTreeMap<Rank, Vec<Item>>,
    wanting: VecDeque<Rank>,
    /// Which entries are in somebody's hand.
    held: Vec<bool>,
    /// Places of the entries that were suspected when the launch began.
    suspects: Vec<usize>,
    /// No entry before this one is waiting and free of suspicion.
    from: usize,
    left: u32,
}

impl Assign {
    /// A launch over `entries`, in the order in which they are to be given out.
    pub fn new(entries: Vec<Entry>) -> Self {
        let places = entries.iter().enumerate().map(|(place, entry)| (entry.item, place)).collect();
        let suspected = |place: &usize| entries[*place].suspicion != Suspicion::None;
        Self {
            held: vec![false; entries.len()],
            suspects: (0..entries.len()).filter(suspected).collect(),
            left: entries.iter().filter(|entry| !entry.done).count() as u32,
            entries,
            places,
            hands: BTreeMap::new(),
            wanting: VecDeque::new(),
            from: 0,
        }
    }

    /// A rank wants one more item.
    pub fn want(&mut self, rank: Rank) {
        self.wanting.push_back(rank);
    }

    /// What to give to whom now, if anything. Call until it is none.
    pub fn next_hand(&mut self) -> Option<Hand> {
        for position in 0..self.wanting.len() {
            let rank = self.wanting[position];
            if let Some(place) = self.choice(rank) {
                self.wanting.remove(position);
                let entry = &mut self.entries[place];
                entry.attempts += 1;
                self.held[place] = true;
                self.hands.entry(rank).or_default().push(entry.item);
                return Some(Hand { rank, item: entry.item, attempt: entry.attempts });
            }
        }
        None
    }

    /// `rank` finished `item`, and it is accepted. Whether the rank had it in hand.
    pub fn done(&mut self, rank: Rank, item: Item) -> bool {
        if let Some(place) = self.places.get(&item) {
            let done = std::mem::replace(&mut self.entries[*place].done, true);
            self.left -= u32::from(!done);
        }
        self.drop_from(rank, item)
    }

    /// Everything in hand, by rank, in the order in which it was given.
    pub fn in_hand(&self) -> impl Iterator<Item = (Rank, Item)> + '_ {
        self.hands.iter().flat_map(|(rank, items)| items.iter().map(|item| (*rank, *item)))
    }

    /// Whether `rank` has `item` in hand.
    pub fn has(&self, rank: Rank, item: Item) -> bool {
        self.hands.get(&rank).is_some_and(|items| items.contains(&item))
    }

    /// Items that are not done.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Who is to blame for the end of the launch. `dead` is the rank that died first, where somebody said
    /// so.
    pub fn blame(&self, dead: Option<Rank>) -> Blame {
        let (suspects, suspicion): (Vec<Item>, _) = match dead {
            Some(rank) => (self.hands.get(&rank).cloned().unwrap_or_default(), Suspicion::Rank),
            None => (self.in_hand().map(|(_, item)| item).collect(), Suspicion::Launch),
        };
        match suspects.as_slice() {
            [only] => Blame { suspects: vec![(*only, suspicion)], killer: Some(*only) },
            _ => Blame {
                suspects: suspects.into_iter().map(|item| (item, suspicion)).collect(),
                killer: None,
            },
        }
    }

    fn drop_from(&mut self, rank: Rank, item: Item) -> bool {
        let Some(items) = self.hands.get_mut(&rank) else { return false };
        let before = items.len();
        items.retain(|other| *other != item);
        let had = items.len() < before;
        if items.is_empty() {
            self.hands.remove(&rank);
        }
        if had && let Some(place) = self.places.get(&item) {
            self.held[*place] = false;
        }
        had
    }

    fn is_waiting(&self, place: usize) -> bool {
        !self.entries[place].done && !self.held[place]
    }

    fn suspicion(&self, item: Item) -> Suspicion {
        self.places.get(&item).map_or(Suspicion::None, |place| self.entries[*place].suspicion)
    }

    fn choice(&mut self, rank: Rank) -> Option<usize> {
        let undone = self.suspects.iter().copied().filter(|place| !self.entries[*place].done);
        let solo = |place: &usize| self.entries[*place].suspicion == Suspicion::Launch;
        if let Some(place) = undone.clone().find(solo) {
            return self.hands.is_empty().then_some(place);
        }
        match self.hands.get(&rank) {
            None => {
                if let Some(place) = undone.clone().find(|place| self.is_waiting(*place)) {
                    return Some(place);
                }
            }
            Some(hand) => {
                let suspected = |item: &Item| self.suspicion(*item) != Suspicion::None;
                if hand.iter().any(suspected) {
                    return None;
                }
            }
        }
        // Items are given out in order and never come back within a launch: what is before `from` is
        // taken.
        while let Some(entry) = self.entries.get(self.from) {
            if entry.suspicion == Suspicion::None && self.is_waiting(self.from) {
                return Some(self.from);
            }
            self.from += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ChunkIndex;
    use proptest::prelude::*;

    fn chunk(index: u32) -> Item {
        Item::Chunk(ChunkIndex(index))
    }

    fn entries(chunks: u32, sound: bool) -> Vec<Entry> {
        let entry = |item| Entry { item, attempts: 0, suspicion: Suspicion::None, done: false };
        let sound = sound.then_some(Item::Sound);
        sound.into_iter().chain((0..chunks).map(chunk)).map(entry).collect()
    }

    fn suspected(chunks: u32, suspects: &[(u32, Suspicion)]) -> Assign {
        let mut all = entries(chunks, false);
        for (index, suspicion) in suspects {
            all[*index as usize].suspicion = *suspicion;
        }
        Assign::new(all)
    }

    fn drain(assign: &mut Assign) -> Vec<(Rank, Item)> {
        std::iter::from_fn(|| assign.next_hand()).map(|hand| (hand.rank, hand.item)).collect()
    }

    #[test]
    fn sound_first_then_chunks_in_order_and_no_more_than_there_is() {
        let mut assign = Assign::new(entries(3, true));
        for rank in [1, 0, 1, 0, 0] {
            assign.want(rank);
        }
        let given = drain(&mut assign);
        assert_eq!(given, [(1, Item::Sound), (0, chunk(0)), (1, chunk(1)), (0, chunk(2))]);
        assert!(assign.done(0, chunk(0)) && !assign.done(0, chunk(0)) && !assign.done(7, chunk(1)));
        assert_eq!(assign.left(), 2);
        assert_eq!(drain(&mut assign), []);
    }

    #[test]
    fn accepted_items_are_not_given_again() {
        let mut all = entries(3, false);
        all[0].done = true;
        all[1].attempts = 4;
        let mut assign = Assign::new(all);
        assign.want(0);
        assert_eq!(assign.next_hand(), Some(Hand { rank: 0, item: chunk(1), attempt: 5 }));
    }

    #[test]
    fn a_suspect_is_alone_on_its_rank() {
        let mut assign = suspected(5, &[(3, Suspicion::Rank)]);
        for rank in [0, 0, 1, 1] {
            assign.want(rank);
        }
        // Rank 0 starts with the suspect and gets nothing beside it; rank 1 works as ever.
        assert_eq!(drain(&mut assign), [(0, chunk(3)), (1, chunk(0)), (1, chunk(1))]);
        assert_eq!(assign.blame(Some(0)).killer, Some(chunk(3)));
        assert_eq!(assign.blame(Some(1)).killer, None);
        assign.done(0, chunk(3));
        assert_eq!(drain(&mut assign), [(0, chunk(2))]);
    }

    #[test]
    fn without_a_witness_suspects_run_alone_in_their_launch() {
        let mut assign = Assign::new(entries(4, false));
        assign.want(0);
        assign.want(1);
        drain(&mut assign);
        let blame = assign.blame(None);
        assert_eq!(blame.suspects, [(chunk(0), Suspicion::Launch), (chunk(1), Suspicion::Launch)]);
        assert_eq!(blame.killer, None);

        let mut assign = suspected(4, &[(0, Suspicion::Launch), (1, Suspicion::Launch)]);
        for rank in [0, 1, 0, 1] {
            assign.want(rank);
        }
        assert_eq!(drain(&mut assign), [(0, chunk(0))]);
        assert_eq!(assign.blame(None).killer, Some(chunk(0)));
        assign.done(0, chunk(0));
        assert_eq!(drain(&mut assign), [(1, chunk(1))]);
        assign.done(1, chunk(1));
        assert_eq!(drain(&mut assign), [(0, chunk(2)), (1, chunk(3))]);
    }

    #[test]
    fn a_rank_with_empty_hands_blames_nothing() {
        let assign = Assign::new(entries(4, false));
        assert_eq!(assign.blame(Some(2)), Blame::default());
        assert_eq!(assign.blame(None), Blame::default());
    }

    /// A thousand ranks with two in hand each finish in whatever order; ranks die now and then.
    #[test]
    fn a_thousand_ranks_finish_every_item_once() {
        let mut seed = 1u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        let mut ledger = entries(20_000, true);
        let mut launches = 0;
        while ledger.iter().any(|entry| !entry.done) {
            launches += 1;
            assert!(launches < 100, "{} left", ledger.iter().filter(|entry| !entry.done).count());
            let mut assign = Assign::new(ledger.clone());
            let mut hands: Vec<(Rank, Item)> = Vec::new();
            for rank in (0..1_000).chain(0..1_000) {
                assign.want(rank);
            }
            loop {
                for (rank, item) in drain(&mut assign) {
                    assert!(
                        !hands.iter().any(|(_, other)| *other == item),
                        "{item} is given twice"
                    );
                    hands.push((rank, item));
                }
                let Some(last) = hands.len().checked_sub(1) else { break };
                let (rank, item) = hands.swap_remove(random(last + 1));
                if random(4_000) == 0 {
                    let blame = assign.blame(Some(rank));
                    for (item, suspicion) in blame.suspects {
                        ledger[assign.places[&item]].suspicion = suspicion;
                    }
                    break;
                }
                let entry = &mut ledger[assign.places[&item]];
                assert!(!entry.done, "{item} is computed again");
                *entry = Entry { done: true, suspicion: Suspicion::None, ..*entry };
                assert!(assign.done(rank, item));
                assign.want(rank);
            }
        }
        assert!(launches > 2);
    }

    proptest! {
        /// Whatever is suspected, ranks that finish and ask again come to the end of it.
        #[test]
        fn no_suspicion_stops_the_work(
            suspicions in prop::collection::vec(0u8..3, 1..30), ranks in 1u32..5,
        ) {
            let levels = [Suspicion::None, Suspicion::Rank, Suspicion::Launch];
            let suspects: Vec<_> = (0..).zip(suspicions.iter().map(|level| levels[*level as usize])).collect();
            let mut assign = suspected(suspects.len() as u32, &suspects);
            for rank in (0..ranks).chain(0..ranks) {
                assign.want(rank);
            }
            while assign.left() > 0 {
                drain(&mut assign);
                let hands: Vec<(Rank, Item)> = assign.in_hand().collect();
                let solo = hands.iter().any(|(_, item)| assign.suspicion(*item) == Suspicion::Launch);
                prop_assert!(!solo || hands.len() == 1);
                let Some((rank, item)) = hands.first().copied() else {
                    return Err(TestCaseError::fail("nothing in hand, and work left"));
                };
                assign.done(rank, item);
                assign.want(rank);
            }
        }
    }
}
