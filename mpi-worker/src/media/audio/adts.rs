//! AAC as broadcast streams hold it: a header before every frame (ADTS), where files want the frames bare
//! and one header for all (AudioSpecificConfig). Bytes only. ISO/IEC 14496-3, 1.6.2.1 and 1.A.2.

/// What every frame of a stream says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    object_type: u8,
    rate_index: u8,
    channels: u8,
}

/// Splits a packet into what its header says and the bare frame. None when it has no such header, holds
/// several frames, or describes its channels within.
pub fn split(packet: &[u8]) -> Option<(Config, &[u8])> {
    let &[sync, flags, form, channels, length, rest, last, ..] = packet else { return None };
    if sync != 0xff || flags & 0xf6 != 0xf0 || last & 3 != 0 {
        return None;
    }
    let config = Config {
        object_type: (form >> 6) + 1,
        rate_index: form >> 2 & 0xf,
        channels: (form & 1) << 2 | channels >> 6,
    };
    let size = usize::from(channels & 3) << 11 | usize::from(length) << 3 | usize::from(rest >> 5);
    // A checksum follows the header unless the last flag denies it.
    let head = if flags & 1 == 1 { 7 } else { 9 };
    let good = config.channels > 0 && config.rate_index < 13 && size == packet.len();
    (good && size > head).then(|| (config, &packet[head..]))
}

/// Whether a packet ends before its header says.
pub fn is_short(packet: &[u8]) -> bool {
    match *packet {
        [0xff, flags, _, channels, length, rest, ..] if flags & 0xf6 == 0xf0 => {
            let size =
                usize::from(channels & 3) << 11 | usize::from(length) << 3 | usize::from(rest >> 5);
            packet.len() < size
        }
        _ => packet.len() < 6,
    }
}

impl Config {
    /// The header for all frames.
    pub fn header(self) -> [u8; 2] {
        [self.object_type << 3 | self.rate_index >> 1, self.rate_index << 7 | self.channels << 3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_its_header() {
        // AAC LC, 48 kHz, stereo, 9 bytes, no checksum.
        let packet = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x3f, 0xfc, 1, 2];
        let (config, frame) = split(&packet).expect("a frame");
        assert_eq!(frame, [1, 2]);
        // As `ffmpeg -c:a aac` writes it for 48 kHz stereo.
        assert_eq!(config.header(), [0x11, 0x90]);
        assert_eq!(split(&packet[..8]), None);
        assert!(is_short(&packet[..8]) && is_short(&packet[..5]) && !is_short(&packet));
        assert_eq!(split(&[0x11; 9]), None);
    }
}
