//! Where samples go on the output's time line: windows, gaps, overlaps and jitter, in whole samples.
//! Pure arithmetic: knows nothing of libav.

use dvp_model::time::Ratio;

const US: i128 = 1_000_000;

/// What a stream's clock is made of.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds a tick of the timestamps.
    pub base: Ratio,
    /// Samples a second.
    pub rate: i64,
    /// Source time that is 0 in the output, microseconds.
    pub origin_us: i64,
    /// Whether samples before the origin are cut off, and which length is kept, in microseconds.
    pub cut: Option<Option<i64>>,
    /// Longest silence that a gap may be filled with, in samples.
    pub longest_gap: i64,
}

/// Places decoded frames one after another.
#[derive(Clone, Debug)]
pub struct Grid {
    clock: Clock,
    /// How far the grid's points lie before the source's sample times, in parts of `Clock::parts`.
    shift: i128,
    /// Position after the last sample placed; none before the first.
    next: Option<i64>,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Position of the first sample that is given (silence or sound) by this frame, on the grid.
    pub at: i64,
    /// Silence to put first, samples.
    pub silence: i64,
    /// Samples of the frame to leave out at its front.
    pub skip: i64,
    /// Samples of the frame to keep after that.
    pub take: i64,
    /// Nothing that comes later is wanted.
    pub over: bool,
}

/// Timestamps that no film has: a jump in seconds, negative when it goes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump(pub f64);

impl Clock {
    /// Parts of a sample in which positions are exact.
    fn parts(&self) -> i128 {
        i128::from(self.base.den) * US
    }

    /// Position of a timestamp, in parts.
    fn exact(&self, pts: i64) -> i128 {
        let (num, den) = (i128::from(self.base.num), i128::from(self.base.den));
        (i128::from(pts) * num * US - i128::from(self.origin_us) * den) * i128::from(self.rate)
    }

    /// Half a microsecond: how finely origins and windows are known.
    fn fuzz(&self) -> i128 {
        i128::from(self.base.den) * i128::from(self.rate) / 2
    }

    /// How far a timestamp may be from where the samples before it end without a correction: a tick for
    /// rounding, and two milliseconds for careless muxers.
    fn tolerance(&self) -> i64 {
        let tick = i128::from(self.rate) * i128::from(self.base.num) / i128::from(self.base.den);
        tick as i64 + 1 + self.rate / 500
    }
}

impl Grid {
    /// An empty grid.
    pub fn new(clock: Clock) -> Self {
        Self { clock, shift: 0, next: None }
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Places a frame of `samples` at `pts`; without a timestamp it follows the one before.
    pub fn place(&mut self, pts: Option<i64>, samples: i64) -> Result<Placed, Jump> {
        let (at, next) = match (pts, self.next) {
            (None, None) => (0, 0),
            (None, Some(next)) => (next, next),
            (Some(pts), None) => {
                let at = self.begin(pts);
                (at, at)
            }
            (Some(pts), Some(next)) => (self.follow(pts, next)?, next),
        };
        let end = (at + samples).max(next);
        self.next = Some(end);
        let (from, to) = self.window();
        let clip = |position: i64| position.clamp(from, to.max(from));
        // Silence from `next` to `at`, then the frame's samples that are not heard yet.
        let (quiet, heard) = (clip(next.min(at)), clip(at.max(next)));
        let silence = if at > next { heard - quiet } else { 0 };
        let take = clip(end) - heard;
        Ok(Placed {
            at: if silence > 0 { quiet } else { heard },
            silence,
            skip: if take > 0 { heard - at } else { samples },
            take,
            over: end >= to,
        })
    }

    /// The first frame decides how the grid lies.
    fn begin(&mut self, pts: i64) -> i64 {
        let (parts, exact) = (self.clock.parts(), self.clock.exact(pts));
        let at = match self.clock.cut {
            // Samples at the origin or later, not those before.
            Some(_) => (exact + self.clock.fuzz()).div_euclid(parts),
            None => (exact + parts / 2).div_euclid(parts),
        };
        self.shift = exact - at * parts;
        at as i64
    }

    fn follow(&self, pts: i64, next: i64) -> Result<i64, Jump> {
        let parts = self.clock.parts();
        let at = (self.clock.exact(pts) - self.shift + parts / 2).div_euclid(parts) as i64;
        let late = at - next;
        if late.abs() <= self.clock.tolerance() {
            return Ok(next);
        }
        if late > self.clock.longest_gap || late < -self.clock.rate {
            return Err(Jump(late as f64 / self.clock.rate as f64));
        }
        Ok(at)
    }

    /// Positions that are kept: from, and before.
    fn window(&self) -> (i64, i64) {
        let Some(length_us) = self.clock.cut else { return (i64::MIN, i64::MAX) };
        let Some(length_us) = length_us else { return (0, i64::MAX) };
        let parts = self.clock.parts();
        let length =
            i128::from(length_us) * i128::from(self.clock.rate) * i128::from(self.clock.base.den);
        let end = -(-(length - self.shift - self.clock.fuzz())).div_euclid(parts);
        (0, end.max(0) as i64)
    }
}

/// Turns packets' coarse timestamps into whole samples that follow each other as the packets' lengths
/// say, as long as the timestamps agree to a tick (as libavutil's `av_rescale_delta` does).
#[derive(Clone, Copy, Debug)]
pub struct Smooth {
    base: Ratio,
    rate: i64,
    next: Option<i64>,
}

impl Smooth {
    /// For timestamps in `base` and `rate` samples a second.
    pub fn new(base: Ratio, rate: i64) -> Self {
        Self { base, rate, next: None }
    }

    /// The place of a packet of `samples` (0 when unknown), in samples of source time.
    pub fn place(&mut self, ts: i64, samples: i64) -> i64 {
        let fine = Ratio::new(1, self.rate);
        let nearest = self.base.rescale(ts, fine);
        let tick = self.base.rescale(1, fine);
        let at = match self.next {
            Some(next) if tick > 1 && samples > 0 && (next - nearest).abs() <= tick => next,
            _ => nearest,
        };
        self.next = Some(at + samples);
        at
    }

    /// The place of a packet without a timestamp: after the one before.
    pub fn follow(&mut self, samples: i64) -> i64 {
        let at = self.next.unwrap_or(0);
        self.next = Some(at + samples);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(base: Ratio, cut: Option<Option<i64>>) -> Clock {
        Clock { base, rate: 48_000, origin_us: 0, cut, longest_gap: 48_000 * 60 }
    }

    fn placed(at: i64, silence: i64, skip: i64, take: i64) -> Placed {
        Placed { at, silence, skip, take, over: false }
    }

    #[test]
    fn millisecond_jitter_moves_nothing() {
        let mut grid = Grid::new(clock(Ratio::new(1, 1000), None));
        for (frame, pts) in [0, 21, 43, 64, 85, 107].into_iter().enumerate() {
            assert_eq!(grid.place(Some(pts), 1024), Ok(placed(frame as i64 * 1024, 0, 0, 1024)));
        }
        assert_eq!(grid.place(None, 1024), Ok(placed(6 * 1024, 0, 0, 1024)));
    }

    #[test]
    fn late_starts_and_gaps_keep_later_sound_in_place() {
        let mut grid = Grid::new(clock(Ratio::new(1, 48_000), None));
        assert_eq!(grid.place(Some(11_712), 1024), Ok(placed(11_712, 0, 0, 1024)));
        let gap = grid.place(Some(11_712 + 1024 + 96_000), 1024);
        assert_eq!(gap, Ok(placed(11_712 + 1024, 96_000, 0, 1024)));
        let overlap = grid.place(Some(11_712 + 1024 + 96_000 + 24), 1024);
        assert_eq!(overlap, Ok(placed(11_712 + 2048 + 96_000, 0, 1000, 24)));
        assert!(grid.place(Some(-200_000), 1024).is_err());
        assert!(grid.place(Some(1 << 40), 1024).is_err());
    }

    #[test]
    fn a_cut_keeps_samples_from_its_start_and_before_its_end() {
        // From 1.5 s (sample 72000) to 1.51 s (sample 72480).
        let cut =
            Clock { origin_us: 1_500_000, ..clock(Ratio::new(1, 48_000), Some(Some(10_000))) };
        let mut grid = Grid::new(cut);
        let before = grid.place(Some(71_000), 500).expect("in order");
        assert_eq!((before.silence, before.take, before.over), (0, 0, false));
        assert_eq!(grid.place(Some(71_500), 600), Ok(placed(0, 0, 500, 100)));
        let last = grid.place(Some(72_100), 1000);
        assert_eq!(last, Ok(Placed { over: true, ..placed(100, 0, 0, 380) }));
    }

    #[test]
    fn a_cut_between_two_samples() {
        // 44.1 kHz, from 10 us (0.441 samples) for 100 us (4.41 samples): samples 1 to 4.
        let clock = Clock {
            base: Ratio::new(1, 44_100),
            rate: 44_100,
            origin_us: 10,
            cut: Some(Some(100)),
            longest_gap: 44_100,
        };
        assert_eq!(
            Grid::new(clock).place(Some(0), 100),
            Ok(Placed { at: 0, silence: 0, skip: 1, take: 4, over: true })
        );
        // An origin that was rounded to microseconds does not cost its sample.
        let third = Clock { origin_us: 1_000_023, cut: Some(None), ..clock };
        let placed = Grid::new(third).place(Some(44_101), 10).expect("a place");
        assert_eq!((placed.at, placed.skip, placed.take), (0, 0, 10));
    }

    #[test]
    fn smooth_packets_follow_each_other() {
        let mut smooth = Smooth::new(Ratio::new(1, 1000), 48_000);
        for (packet, ts) in [0, 21, 43, 64, 85].into_iter().enumerate() {
            assert_eq!(smooth.place(ts, 1024), packet as i64 * 1024);
        }
        assert_eq!(smooth.place(2000, 1024), 96_000);
        let mut exact = Smooth::new(Ratio::new(1, 48_000), 48_000);
        assert_eq!((exact.place(-1024, 1024), exact.place(7, 1024)), (-1024, 7));
    }
}
