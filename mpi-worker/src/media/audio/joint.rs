//! Where a file's times jump, sound is moved with the pictures: each stream finds the jump in its own
//! times. Arithmetic only.

use dvp_model::media::Splice;
use dvp_model::time::Ratio;

const US: Ratio = Ratio::new(1, 1_000_000);

/// What a packet is to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is to be added to its times.
    pub shift: i64,
    /// It comes more than 50 ms after the end of the one before.
    pub lacks: bool,
}

/// The jumps of one stream, in its ticks.
#[derive(Clone, Debug)]
pub struct Joints {
    splices: Vec<Splice>,
    /// Splices that lie behind.
    passed: usize,
    /// Where the last packet ends, as the file counts.
    next: Option<i64>,
    /// Half a second.
    doubtful: i64,
}

impl Joints {
    /// For a stream with this time base.
    pub fn new(splices: &[Splice], base: Ratio) -> Joints {
        let there = |us: i64| US.rescale(us, base);
        let splices = splices
            .iter()
            .map(|splice| Splice { from: there(splice.from), shift: there(splice.shift) })
            .collect();
        Joints { splices, passed: 0, next: None, doubtful: there(500_000) }
    }

    /// Takes a packet at `time`, which lasts `duration`.
    pub fn next(&mut self, time: i64, duration: i64) -> Step {
        let (due, passed) = (self.next.unwrap_or(time), self.passed);
        while let Some(splice) = self.splices.get(self.passed) {
            let off = (time - due).abs();
            if off <= self.doubtful || (time - splice.from).abs() >= off {
                break;
            }
            self.passed += 1;
        }
        self.next = Some(time + duration.max(0));
        Step {
            shift: self.passed.checked_sub(1).map_or(0, |last| self.splices[last].shift),
            lacks: passed == self.passed && time - due > self.doubtful / 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_follows_the_pictures_over_a_jump() {
        // At 4 s the pictures go back to 1 s.
        let splices = [Splice { from: 1_000_000, shift: 3_000_000 }];
        let mut joints = Joints::new(&splices, Ratio::new(1, 1000));
        let step = |shift, lacks| Step { shift, lacks };
        assert_eq!(joints.next(3950, 20), step(0, false));
        // A hole that is no jump.
        assert_eq!(joints.next(5000, 20), step(0, true));
        assert_eq!(joints.next(990, 20), step(3000, false));
        assert_eq!(joints.next(1010, 20), step(3000, false));
        assert_eq!(joints.next(5000, 20), step(3000, true));
    }
}
