//! Where to cut: how many chunks, how long, and where keyframes go in each.

use crate::id::ChunkIndex;
use crate::plan::Chunk;

/// Most frames from one keyframe to the next.
pub const KEYFRAME_INTERVAL: u32 = 250;

/// Cuts `frames` into chunks of about `length`, whose lengths differ by at most one.
pub fn chunks(frames: u64, length: u32) -> Vec<Chunk> {
    if frames == 0 {
        return Vec::new();
    }
    let length = u64::from(length.max(1));
    let count = ((frames + length / 2) / length).clamp(1, u64::from(u32::MAX));
    (0..count)
        .map(|index| {
            let first = border(frames, count, index);
            let frames = border(frames, count, index + 1) - first;
            Chunk { first, frames: u32::try_from(frames).unwrap_or(u32::MAX) }
        })
        .collect()
}

/// Frame where part `index` of `count` begins.
fn border(frames: u64, count: u64, index: u64) -> u64 {
    (u128::from(frames) * u128::from(index) / u128::from(count)) as u64
}

/// Whether frame `at` of a chunk of `frames` is a forced keyframe: the first one, and others spread
/// evenly so that none is more than [`KEYFRAME_INTERVAL`] from the next.
pub fn is_keyframe(frames: u32, at: u32) -> bool {
    let parts = u64::from(frames.div_ceil(KEYFRAME_INTERVAL).max(1));
    let part = u64::from(at) * parts / u64::from(frames.max(1));
    // The part that `at` lies in begins at its border; rounding down may put `at` one part early.
    [part, part + 1].iter().any(|&part| border(u64::from(frames), parts, part) == u64::from(at))
        && at < frames
}

/// The chunk of `chunks` that holds output frame `frame`.
pub fn chunk_of(chunks: &[Chunk], frame: u64) -> Option<ChunkIndex> {
    let at = chunks.partition_point(|chunk| chunk.first + u64::from(chunk.frames) <= frame);
    (at < chunks.len()).then_some(ChunkIndex(at as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_hold_each_frame_once(frames in 1u64..100_000, length in 1u32..2000) {
            let chunks = chunks(frames, length);
            let mut next = 0;
            for chunk in &chunks {
                prop_assert_eq!(chunk.first, next);
                next += u64::from(chunk.frames);
            }
            prop_assert_eq!(next, frames);
            let shortest = chunks.iter().map(|chunk| chunk.frames).min().unwrap();
            let longest = chunks.iter().map(|chunk| chunk.frames).max().unwrap();
            prop_assert!(longest - shortest <= 1 && shortest >= 1);
            let wanted = (frames as f64 / f64::from(length)).round().max(1.0);
            prop_assert_eq!(chunks.len(), wanted as usize);
        }

        #[test]
        fn keyframes_are_near_each_other(frames in 1u32..3000) {
            let keys: Vec<u32> = (0..frames).filter(|&at| is_keyframe(frames, at)).collect();
            prop_assert_eq!(keys[0], 0);
            prop_assert_eq!(keys.len() as u32, frames.div_ceil(KEYFRAME_INTERVAL));
            let ends = keys.iter().skip(1).copied().chain([frames]);
            prop_assert!(keys.iter().zip(ends).all(|(key, end)| end - key <= KEYFRAME_INTERVAL));
        }
    }

    #[test]
    fn chunks_are_found_by_frame() {
        let chunks = chunks(1000, 250);
        assert_eq!(chunk_of(&chunks, 249), Some(ChunkIndex(0)));
        assert_eq!(chunk_of(&chunks, 250), Some(ChunkIndex(1)));
        assert_eq!(chunk_of(&chunks, 1000), None);
    }
}
