//! Timestamps of a film, kept as runs of equal steps: an hour at a constant rate is one run.

use serde::{Deserialize, Serialize};

/// Strictly rising timestamps. JSON: `{"first": 0, "runs": [[step, count], ..]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps {
    /// The first timestamp; none when empty.
    first: Option<i64>,
    /// Steps to the following ones: (ticks, how many times).
    runs: Vec<(i64, u32)>,
}

impl Stamps {
    /// From timestamps in rising order.
    pub fn from_sorted(stamps: &[i64]) -> Self {
        let mut runs: Vec<(i64, u32)> = Vec::new();
        for pair in stamps.windows(2) {
            let step = pair[1] - pair[0];
            match runs.last_mut() {
                Some((last, count)) if *last == step && *count < u32::MAX => *count += 1,
                _ => runs.push((step, 1)),
            }
        }
        Self { first: stamps.first().copied(), runs }
    }

    /// All timestamps, in order.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        let steps =
            self.runs.iter().flat_map(|&(step, count)| std::iter::repeat_n(step, count as usize));
        self.first.into_iter().flat_map(move |first| {
            std::iter::once(first).chain(steps.clone().scan(first, |at, step| {
                *at += step;
                Some(*at)
            }))
        })
    }

    /// All timestamps as a vector.
    pub fn to_vec(&self) -> Vec<i64> {
        self.iter().collect()
    }

    /// How many.
    pub fn len(&self) -> u64 {
        match self.first {
            None => 0,
            Some(_) => 1 + self.runs.iter().map(|&(_, count)| u64::from(count)).sum::<u64>(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The first.
    pub fn first(&self) -> Option<i64> {
        self.first
    }

    /// The last.
    pub fn last(&self) -> Option<i64> {
        let rest: i64 = self.runs.iter().map(|&(step, count)| step * i64::from(count)).sum();
        self.first.map(|first| first + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_hold_every_stamp(steps in prop::collection::vec(1i64..4, 0..200), first in -5i64..5) {
            let mut all = vec![first];
            for step in steps {
                all.push(all[all.len() - 1] + step);
            }
            let stamps = Stamps::from_sorted(&all);
            prop_assert_eq!(stamps.to_vec(), all.clone());
            prop_assert_eq!(stamps.len(), all.len() as u64);
            prop_assert_eq!(stamps.last(), all.last().copied());
        }
    }

    #[test]
    fn a_constant_rate_is_one_run() {
        let all: Vec<i64> = (0..100_000).map(|i| i * 512).collect();
        assert!(serde_json::to_string(&Stamps::from_sorted(&all)).unwrap().len() < 60);
        assert_eq!(Stamps::from_sorted(&[]).to_vec(), Vec::<i64>::new());
    }
}
