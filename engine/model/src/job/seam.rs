//! The seam between two chunks: what the left one saw behind its window must be what the right one
//! began with, and the other way round. That proves completeness from decoded frames.

use crate::id::ChunkIndex;
use crate::wire::worker::Witness;

/// What is wrong with the seam between chunk `left` and the next, if anything.
pub fn disagreement(left: ChunkIndex, witness: &Witness, next: &Witness) -> Option<String> {
    let right = ChunkIndex(left.0 + 1);
    let pairs = [
        ("the frame after", left, &witness.after, "first frame", right, &next.first),
        ("the frame before", right, &next.before, "last frame", left, &witness.last),
    ];
    pairs.into_iter().find_map(|(what, of, seen, which, other, is)| match (seen, is) {
        (Some(seen), Some(is)) if seen != is => Some(format!(
            "{what} chunk {of} ({} at tick {}) is not the {which} of chunk {other} ({} at tick {})",
            short(&seen.1),
            seen.0,
            short(&is.1),
            is.0
        )),
        _ => None,
    })
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_compared() {
        let frame = |tick: i64, hash: &str| Some((tick, hash.to_owned()));
        let left = Witness { last: frame(40, "d"), after: frame(80, "e"), ..Witness::default() };
        let right = Witness { before: frame(40, "d"), first: frame(80, "e"), ..Witness::default() };
        let check = |left: &Witness, right: &Witness| disagreement(ChunkIndex(3), left, right);
        assert_eq!(check(&left, &right), None);
        assert_eq!(check(&left, &Witness::default()), None);
        let other = Witness { first: frame(120, "e"), ..right.clone() };
        assert!(check(&left, &other).unwrap().contains("after chunk 3 (e at tick 80)"));
        let other = Witness { before: frame(40, "x"), ..right };
        assert!(check(&left, &other).unwrap().contains("before chunk 4 (x at tick 40)"));
    }
}
