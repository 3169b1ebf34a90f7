//! What an edit list shows of a stream of sound: which samples, when, and how often the file is read for
//! them. Arithmetic only.

use dvp_model::media::Part;
use dvp_model::time::Ratio;

/// A piece of a decoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// When it is heard, in ticks of the stream.
    pub pts: Option<i64>,
    /// Samples of the frame before it.
    pub skip: i64,
    /// Its samples.
    pub take: i64,
}

/// Parts by the passes through the file that they need: a part that begins before the end of the one
/// before needs another.
pub fn passes(parts: &[Part]) -> Vec<Vec<Part>> {
    let mut passes: Vec<Vec<Part>> = Vec::new();
    for &part in parts {
        let follows = |pass: &&mut Vec<Part>| pass.last().is_some_and(|last| part.from >= last.to);
        match passes.last_mut().filter(follows) {
            Some(pass) => pass.push(part),
            None => passes.push(vec![part]),
        }
    }
    passes
}

/// The pieces of a frame of `samples` at `pts` that a pass shows, at `rate` samples a second.
pub fn pieces(pass: &[Part], base: Ratio, rate: i64, pts: i64, samples: i64) -> Vec<Piece> {
    let fine = Ratio::new(1, rate);
    let there = |ticks: i64| base.rescale(ticks, fine);
    let (start, end) = (there(pts), there(pts) + samples);
    let piece = |part: &Part| {
        let (from, to) = (start.max(there(part.from)), end.min(there(part.to)));
        let pts = part.at + fine.rescale(from, base) - part.from;
        (from < to).then_some(Piece { pts: Some(pts), skip: from - start, take: to - from })
    };
    pass.iter().filter_map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_order_share_a_pass() {
        let part = |from, to, at| Part { from, to, at };
        let parts = [part(1024, 5000, 0), part(8000, 9000, 3976), part(2000, 3000, 4976)];
        let passes = passes(&parts);
        assert_eq!(passes.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let base = Ratio::new(1, 48_000);
        let all = pieces(&passes[0], base, 48_000, 4096, 4096);
        assert_eq!(all[0], Piece { pts: Some(3072), skip: 0, take: 904 });
        assert_eq!(all[1], Piece { pts: Some(3976), skip: 3904, take: 192 });
        assert_eq!(pieces(&passes[1], base, 48_000, 0, 2000), []);
    }
}
