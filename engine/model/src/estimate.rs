//! How long work takes: before it starts, from the plan's cost; while it runs, from its own pace.

/// Rough wall time of work that costs one core `cost_ms`, cut into `items` equal parts, on `ranks` ranks,
/// milliseconds. A rank does whole parts, so 3 parts on 2 ranks take as long as 4.
pub fn wall_ms(cost_ms: u64, items: u32, ranks: u32) -> u64 {
    let (items, ranks) = (u64::from(items.max(1)), u64::from(ranks.max(1)));
    cost_ms.div_ceil(items) * items.div_ceil(ranks)
}

/// Milliseconds to the end of a launch which in `elapsed_ms` brought `frames_here` frames, with
/// `frames_done` of `frames_all` there by now. None before its pace can be told.
pub fn eta_ms(frames_all: u64, frames_done: u64, frames_here: u64, elapsed_ms: u64) -> Option<u64> {
    if frames_here == 0 || elapsed_ms < 500 {
        return None;
    }
    let left = u128::from(frames_all.saturating_sub(frames_done));
    u64::try_from(left * u128::from(elapsed_ms) / u128::from(frames_here)).ok()
}

/// Rough size of the objects of `frames` pictures of `pixels` each, bytes. Good enough to see a disk that is
/// too full before hours of work, not to fill it to the brim.
pub fn object_bytes(pixels: u64, frames: u64, lossless: bool) -> u64 {
    // Measured on natural clips: FFV1 about 6 bits a pixel with its chroma, x264 at crf 23 about 0.1.
    let (bits, per_pixels) = if lossless { (6, 1) } else { (1, 10) };
    pixels.saturating_mul(frames).saturating_mul(bits) / per_pixels / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_parts_decide_the_wall_time() {
        assert_eq!(wall_ms(9_000, 9, 1), 9_000);
        assert_eq!(wall_ms(9_000, 9, 2), 5_000);
        assert_eq!(wall_ms(9_000, 9, 600), 1_000);
        assert_eq!(wall_ms(9_000, 0, 0), 9_000);
    }

    #[test]
    fn the_pace_of_this_launch_counts() {
        // Half of it was there before; 100 frames in 2 s, 400 to go.
        assert_eq!(eta_ms(1_000, 600, 100, 2_000), Some(8_000));
        assert_eq!(eta_ms(1_000, 500, 0, 2_000), None);
        assert_eq!(eta_ms(1_000, 600, 100, 100), None);
        assert_eq!(eta_ms(1_000, 1_200, 100, 2_000), Some(0));
        assert_eq!(eta_ms(u64::MAX, 1, 1, u64::MAX), None);
    }
}
