//! One rising line of times for pictures whose own times are missing, equal, or jump. Pure arithmetic.

use crate::media::Splice;

/// What counts as a jump, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Jumps {
    /// Further back than this.
    pub back: i64,
    /// Further ahead than this; none where a long hold is believed.
    pub ahead: Option<i64>,
}

/// The line, and where it was spliced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Strictly rising, one a picture, in ticks.
    pub stamps: Vec<i64>,
    /// Where the times jumped; `Splice` in ticks.
    pub splices: Vec<Splice>,
}

/// Puts pictures, in the order in which they are shown, on a line. Times that rise are kept; what is
/// missing, equal or out of order lies evenly between its neighbours, at its ends `step` apart at most;
/// after a jump the line goes on with the next `step`.
pub fn rising(times: &[Option<i64>], step: i64, jumps: Jumps) -> Line {
    let step = step.max(1);
    let mut splices: Vec<Splice> = Vec::new();
    // Pictures whose time is kept: (number, time).
    let mut kept: Vec<(usize, i64)> = Vec::new();
    let mut shift = 0i64;
    for (at, found) in times.iter().enumerate() {
        let Some(found) = *found else { continue };
        let Some(&(before, last)) = kept.last() else {
            kept.push((at, found));
            continue;
        };
        let between = (at - before) as i64;
        let expected = last.saturating_add(step.saturating_mul(between));
        let mut time = found.saturating_add(shift);
        let far_ahead = jumps.ahead.is_some_and(|ahead| time > expected.saturating_add(ahead));
        if time < last.saturating_sub(jumps.back) || far_ahead {
            shift = expected.saturating_sub(found);
            time = expected;
            splices.push(Splice { from: found, shift });
        }
        // Room for a tick a picture.
        if time.saturating_sub(last) >= between {
            kept.push((at, time));
        }
    }
    Line { stamps: filled(times.len(), &kept, step), splices }
}

/// `count` times through the kept ones.
fn filled(count: usize, kept: &[(usize, i64)], step: i64) -> Vec<i64> {
    // Beyond the last one, as they came before it.
    let tail = match kept {
        [.., (before, from), (after, to)] => step.min((to - from) / (after - before) as i64).max(1),
        _ => step,
    };
    let mut next = kept.iter().copied().peekable();
    let mut last: Option<(usize, i64)> = None;
    (0..count)
        .map(|at| {
            if let Some(here) = next.next_if(|(number, _)| *number == at) {
                last = Some(here);
                return here.1;
            }
            match (last, next.peek()) {
                (Some((before, from)), Some(&(after, to))) => {
                    let part = i128::from(to - from) * (at - before) as i128;
                    from + (part / (after - before) as i128) as i64
                }
                (Some((before, from)), None) => from + tail * (at - before) as i64,
                (None, Some(&(after, to))) => to - step * (after - at) as i64,
                (None, None) => step * at as i64,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JUMPS: Jumps = Jumps { back: 100, ahead: Some(1000) };

    fn stamps(times: &[Option<i64>]) -> Vec<i64> {
        rising(times, 10, JUMPS).stamps
    }

    proptest! {
        #[test]
        fn always_rises(times in prop::collection::vec(prop::option::of(-5000i64..5000), 0..200)) {
            let line = rising(&times, 10, JUMPS);
            prop_assert_eq!(line.stamps.len(), times.len());
            prop_assert!(line.stamps.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", line.stamps);
        }

        #[test]
        fn rising_times_are_kept(steps in prop::collection::vec(1i64..900, 1..100)) {
            let times: Vec<i64> =
                steps.iter().scan(0, |at, step| { *at += step; Some(*at) }).collect();
            let found: Vec<Option<i64>> = times.iter().copied().map(Some).collect();
            prop_assert_eq!(rising(&found, 10, JUMPS), Line { stamps: times, splices: vec![] });
        }
    }

    #[test]
    fn missing_and_equal_times_lie_between_their_neighbours() {
        assert_eq!(stamps(&[None, None, None]), [0, 10, 20]);
        assert_eq!(stamps(&[None, Some(50), None, None, Some(80), None]), [40, 50, 60, 70, 80, 90]);
        let pairs = [0, 0, 20, 20, 40, 40].map(Some);
        assert_eq!(stamps(&pairs), [0, 10, 20, 30, 40, 50]);
        assert_eq!(rising(&pairs, 20, JUMPS).stamps, [0, 10, 20, 30, 40, 50]);
        // A little out of order.
        assert_eq!(stamps(&[0, 10, 5, 30].map(Some)), [0, 10, 20, 30]);
        // No room for a third between two ticks.
        assert_eq!(stamps(&[0, 0, 1, 20].map(Some)), [0, 6, 13, 20]);
    }

    #[test]
    fn the_line_goes_on_after_a_jump() {
        let line = rising(&[0, 10, 20, 5000, 5010, -90, -80].map(Some), 10, JUMPS);
        assert_eq!(line.stamps, [0, 10, 20, 30, 40, 50, 60]);
        let splices = [Splice { from: 5000, shift: -4970 }, Splice { from: -90, shift: 140 }];
        assert_eq!(line.splices, splices);
        let hold = rising(&[0, 10, 5000].map(Some), 10, Jumps { ahead: None, ..JUMPS });
        assert_eq!((hold.stamps, hold.splices), (vec![0, 10, 5000], vec![]));
    }
}
