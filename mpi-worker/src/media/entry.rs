//! Where decoding can begin: looks into a packet for what its key flag promises. Bytes only.

/// Packets without a key flag that are passed over, at most, at a film's start.
const MOST_PASSED: u32 = 1000;

/// Passes over what a film starts with before its first entry point: it needs pictures that are not there.
#[derive(Debug, Default)]
pub struct Start {
    passed: u32,
    entered: bool,
}

impl Start {
    /// Whether the next packet is to be decoded.
    pub fn takes(&mut self, key: bool) -> bool {
        self.entered |= key || self.passed >= MOST_PASSED;
        self.passed += 1;
        self.entered
    }
}

/// What a packet with a key flag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Everything after it decodes right.
    Clean,
    /// Pictures after it may need others from before: begin one entry earlier.
    Doubtful,
}

/// Judges a packet at which a seek ended. `extradata` is the stream's.
pub fn judge(codec: &str, extradata: &[u8], packet: &[u8]) -> Entry {
    match codec {
        // Only an IDR picture forbids references across it.
        "h264" => has_unit(packet, length_size(extradata, 4), |unit| unit & 0x1f == 5),
        // IDR, BLA and CRA pictures; the decoder leaves out what leads a CRA.
        "hevc" => has_unit(packet, length_size(extradata, 21), |unit| {
            (16..=21).contains(&(unit >> 1 & 0x3f))
        }),
        _ => Entry::Clean,
    }
}

/// Bytes of a unit's length by avcC or hvcC (at byte `at`); none: start codes.
fn length_size(extradata: &[u8], at: usize) -> Option<usize> {
    (extradata.first() == Some(&1))
        .then(|| extradata.get(at).map(|byte| usize::from(byte & 3) + 1))?
}

fn has_unit(packet: &[u8], length_size: Option<usize>, wanted: impl Fn(u8) -> bool) -> Entry {
    let found = match length_size {
        Some(size) => {
            let (mut rest, mut found) = (packet, false);
            while rest.len() > size {
                let length =
                    rest[..size].iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
                found |= length > 0 && wanted(rest[size]);
                rest = rest.get(size.saturating_add(length)..).unwrap_or_default();
            }
            found
        }
        None => packet.windows(4).any(|four| four[..3] == [0, 0, 1] && wanted(four[3])),
    };
    if found { Entry::Clean } else { Entry::Doubtful }
}

/// Whether a packet holds a picture that is never shown by itself (an alt-ref of VP8, VP9).
pub fn is_hidden(codec: &str, packet: &[u8]) -> bool {
    match (codec, packet) {
        ("vp8", [first, ..]) => first & 0x10 == 0,
        ("vp9", [first, .., last]) => {
            // A superframe ends with its index's marker byte and shows one picture.
            let superframe = last & 0xe0 == 0xc0;
            // frame_marker 2, profile low and high bit, (reserved), show_existing_frame, type, show_frame.
            let reserved = u8::from(first & 0x30 == 0x30);
            let bit = |at: u8| first >> (7 - at - reserved) & 1 == 1;
            !superframe && !bit(4) && !bit(6)
        }
        _ => false,
    }
}

/// Whether a packet of so many bytes may stand for a picture that is not there: MPEG-4 repeats the one
/// before with a header alone.
pub fn is_empty(codec: &str, size: i32) -> bool {
    codec == "mpeg4" && size < 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idr_pictures_are_clean_in_h264() {
        let avcc = [1, 100, 0, 31, 0xff];
        let sei_then = |kind: u8| [&[0, 0, 0, 2, 6, 5, 0, 0, 0, 2][..], &[kind, 0]].concat();
        assert_eq!(judge("h264", &avcc, &sei_then(0x65)), Entry::Clean);
        assert_eq!(judge("h264", &avcc, &sei_then(0x41)), Entry::Doubtful);
        assert_eq!(judge("h264", &[], &[0, 0, 0, 1, 0x65, 0]), Entry::Clean);
        // A length that points beyond the packet ends the search.
        assert_eq!(judge("h264", &avcc, &[0xff, 0xff, 0xff, 0xff, 0x41]), Entry::Doubtful);
    }

    #[test]
    fn hidden_pictures_are_told_from_shown_ones() {
        assert!(!is_hidden("vp8", &[0x10, 0, 0]) && is_hidden("vp8", &[0x01, 0, 0]));
        // VP9 profile 0: marker 10, profile 00, existing 0, type 1, show 1 or 0.
        assert!(!is_hidden("vp9", &[0b1000_0110, 0, 0]) && is_hidden("vp9", &[0b1000_0100, 0, 0]));
        assert!(!is_hidden("vp9", &[0b1000_0100, 0, 0xc1]));
    }
}
