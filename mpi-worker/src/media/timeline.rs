//! When each picture of the output is shown and decoded: pure arithmetic on the plan's timestamps. Knows
//! nothing of packets or containers.
//!
//! DTS rule: `dts[i] = pts[i - D]`, D the reorder depth. Before the first D pictures time goes on downwards
//! by what the first D pictures take, as x264 does: `dts[i] = pts[i] - (pts[D] - pts[0])`.

use dvp_model::plan::VideoPlan;
use dvp_model::time::Ratio;

/// Coarsest timescale of an mp4 track, ticks a second: what libavformat takes, too.
const COARSEST: i64 = 10_000;

/// Times of all pictures, in ticks of `base` from the output's origin.
pub struct Timeline {
    pts: Vec<i64>,
    reorder: usize,
    last_duration: i64,
    /// Seconds a tick.
    pub base: Ratio,
}

impl Timeline {
    /// Of a plan's pictures.
    pub fn new(video: &VideoPlan) -> Self {
        Self {
            pts: video.stamps.iter().map(|stamp| stamp - video.origin).collect(),
            reorder: video.reorder as usize,
            last_duration: video.last_duration.max(1),
            base: video.time_base,
        }
    }

    /// Number of pictures.
    pub fn frames(&self) -> usize {
        self.pts.len()
    }

    /// When picture `frame`, in order of presentation, is shown.
    pub fn pts(&self, frame: usize) -> i64 {
        self.pts[frame]
    }

    /// When picture `coded`, in coding order, is decoded.
    pub fn dts(&self, coded: usize) -> i64 {
        let (pts, depth) = (&self.pts, self.reorder);
        if coded >= depth {
            return pts[coded - depth];
        }
        if pts.len() > depth {
            return pts[coded] - (pts[depth] - pts[0]);
        }
        let step = pts.get(1).map_or(self.last_duration, |second| second - pts[0]);
        pts[0] - step * (depth - coded) as i64
    }

    /// When picture `frame` is no longer shown.
    pub fn end(&self, frame: usize) -> i64 {
        match self.pts.get(frame + 1) {
            Some(next) => *next,
            None => self.pts[frame] + self.last_duration,
        }
    }
}

/// Ticks a second of an mp4 track that holds every multiple of `base` exactly; none when mp4 has no such.
pub fn timescale(base: Ratio) -> Option<i32> {
    let shared = gcd(base.num, base.den);
    let mut scale = base.den.checked_div(shared)?.max(1);
    while scale < COARSEST {
        scale *= 2;
    }
    i32::try_from(scale).ok()
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timeline(pts: Vec<i64>, reorder: usize) -> Timeline {
        Timeline { pts, reorder, last_duration: 3, base: Ratio::new(1, 1000) }
    }

    proptest! {
        #[test]
        fn decoding_times_rise_and_never_come_late(
            steps in prop::collection::vec(1i64..5000, 0..40), first in 0i64..9000, reorder in 0usize..4,
        ) {
            let mut pts = vec![first];
            pts.extend(steps.iter().scan(first, |at, step| { *at += step; Some(*at) }));
            let line = timeline(pts, reorder);
            let dts: Vec<i64> = (0..line.frames()).map(|at| line.dts(at)).collect();
            prop_assert!(dts.windows(2).all(|pair| pair[0] < pair[1]), "{dts:?}");
            // Coded at `i`, a picture is shown as `i - reorder` at the earliest.
            for (at, dts) in dts.iter().enumerate() {
                prop_assert!(*dts <= line.pts(at.saturating_sub(reorder)));
            }
            for at in 0..line.frames() {
                prop_assert!(line.end(at) > line.pts(at));
            }
        }
    }

    #[test]
    fn as_x264_counts() {
        // `ffmpeg -c:v libx264 -bf 3` at a constant rate: -2, -1, 0, ...
        let line = timeline(vec![0, 1, 2, 3, 4], 2);
        assert_eq!((0..5).map(|at| line.dts(at)).collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
        assert_eq!(timeline(vec![7], 2).dts(0), 1);
    }

    #[test]
    fn mp4_holds_every_source_tick() {
        for (base, scale) in [
            (Ratio::new(1, 1000), Some(16000)),
            (Ratio::new(1001, 30000), Some(30000)),
            (Ratio::new(1, 90000), Some(90000)),
            (Ratio::new(512, 12288), Some(12288)),
            (Ratio::new(1, 1_000_000_000), Some(1_000_000_000)),
            (Ratio::new(1, 3_000_000_000), None),
        ] {
            assert_eq!(timescale(base), scale, "{base}");
        }
    }
}
