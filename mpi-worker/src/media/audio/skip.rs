//! Samples that are decoded and not heard, as libav marks them at a packet (`AV_PKT_DATA_SKIP_SAMPLES`:
//! samples at its start u32, at its end u32, two reason bytes). Knows nothing else of packets.

use ffmpeg_next::ffi;

use crate::media::av::Packet;

/// libavcodec's number of the type.
pub const KIND: u32 = ffi::AVPacketSideDataType::AV_PKT_DATA_SKIP_SAMPLES as u32;

/// Samples not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skip {
    /// From the packet's start on; may reach into later packets.
    pub start: i64,
    /// At the packet's end.
    pub end: i64,
}

impl Skip {
    /// As side data; none when all is heard.
    pub fn side(self) -> Option<(u32, Vec<u8>)> {
        let part = |samples: i64| samples.clamp(0, u32::MAX.into()) as u32;
        let (start, end) = (part(self.start), part(self.end));
        (start > 0 || end > 0).then(|| {
            let mut bytes = start.to_le_bytes().to_vec();
            bytes.extend(end.to_le_bytes());
            bytes.extend([0, 0]);
            (KIND, bytes)
        })
    }

    /// From side data.
    pub fn read(bytes: &[u8]) -> Skip {
        let part = |at: usize| match bytes.get(at..at + 4) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
            _ => 0,
        };
        Skip { start: part(0), end: part(4) }
    }
}

/// What a packet says.
pub fn of(packet: &Packet) -> Skip {
    let side = packet.side_data();
    side.iter()
        .find(|(kind, _)| *kind == KIND)
        .map_or(Skip::default(), |(_, bytes)| Skip::read(bytes))
}

/// The packet's side data with `skip` in place of what it said.
pub fn with(packet: &Packet, skip: Skip) -> Vec<(u32, Vec<u8>)> {
    let others = packet.side_data().into_iter().filter(|(kind, _)| *kind != KIND);
    others.map(|(kind, bytes)| (kind, bytes.to_vec())).chain(skip.side()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_data_round_trips() {
        let skip = Skip { start: 1024, end: 300 };
        let (kind, bytes) = skip.side().expect("something to say");
        assert_eq!((kind, bytes.len()), (KIND, 10));
        assert_eq!(Skip::read(&bytes), skip);
        assert_eq!(Skip::default().side(), None);
        assert_eq!(Skip::read(&[1, 2]), Skip::default());
    }
}
