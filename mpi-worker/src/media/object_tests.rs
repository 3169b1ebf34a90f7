//! Tests of the object's format: what goes in comes out, and nothing else is believed.

use super::*;
use proptest::prelude::*;

fn header() -> Header {
    let video = Stream {
        codec: "h264".into(),
        time_base: Ratio::new(1, 1),
        extradata: vec![0, 0, 0, 1, 0x67, 0xff],
        tag: 0,
        profile: 100,
        level: 31,
        bit_rate: 0,
        bits_per_coded_sample: 0,
        bits_per_raw_sample: 8,
        shape: Shape::Video {
            width: 320,
            height: 180,
            format: "yuv420p".into(),
            sample_aspect: Ratio::new(1, 1),
            color: Color {
                range: "tv".into(),
                primaries: "bt709".into(),
                transfer: "bt709".into(),
                matrix: "bt709".into(),
                chroma: "left".into(),
            },
            delay: 2,
        },
    };
    let audio = Stream {
        codec: "aac".into(),
        time_base: Ratio::new(1, 48000),
        extradata: vec![0x11, 0x90],
        shape: Shape::Audio {
            format: "fltp".into(),
            sample_rate: 48000,
            layout: "stereo".into(),
            frame_size: 1024,
            initial_padding: 1024,
            trailing_padding: 0,
            seek_preroll: 0,
            block_align: 0,
        },
        ..video.clone()
    };
    Header { item: Item::Sound, plan: "ab".repeat(32), streams: vec![video, audio] }
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let side = prop::collection::vec((any::<u32>(), bytes()), 0..3);
    let packet = (0u16..2, any::<bool>(), any::<i64>(), any::<i64>(), any::<i64>(), side, bytes());
    let packet = packet.prop_map(|(stream, key, pts, dts, duration, side, data)| Packet {
        stream,
        key,
        pts,
        dts,
        duration,
        side,
        data,
    });
    prop::collection::vec(packet, 0..12)
}

fn write(path: &Path, packets: &[Packet]) -> (String, u64) {
    let mut writer = Writer::create(path, &header()).unwrap();
    for packet in packets {
        writer.packet(packet).unwrap();
    }
    writer.finish().unwrap()
}

fn read(path: &Path) -> Result<Vec<Packet>, Fault> {
    Reader::open(path)?.collect()
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(packets in packets()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        let (sha256, size) = write(&path, &packets);
        let mut reader = Reader::open(&path).unwrap();
        prop_assert_eq!(reader.header(), &header());
        prop_assert_eq!(reader.sha256(), None);
        let found: Result<Vec<_>, _> = reader.by_ref().collect();
        prop_assert_eq!(found.unwrap(), packets);
        prop_assert_eq!(reader.sha256(), Some(sha256.as_str()));
        prop_assert_eq!(sha256_of(&path, |_| ()).unwrap(), (sha256, size));
    }

    #[test]
    fn any_changed_bit_is_found(packets in packets(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        write(&path, &packets);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(matches!(read(&path), Err(Fault::Damaged { .. })), "byte {}", at);
    }

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..200), after_head in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        write(&path, &[]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(if after_head { bytes.len() - 41 } else { 0 });
        bytes.extend(&noise);
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(matches!(read(&path), Err(Fault::Damaged { .. })), "{} bytes", noise.len());
    }
}

fn two() -> [Packet; 2] {
    let first = Packet {
        key: true,
        duration: 1,
        side: vec![(5, vec![1, 2, 3])],
        data: vec![7; 100],
        ..Packet::default()
    };
    [first.clone(), Packet { stream: 1, key: false, pts: -5, dts: -5, ..first }]
}

#[test]
fn cut_off_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("object");
    write(&path, &two());
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(read(&path), Err(Fault::Damaged { .. })), "{length} bytes");
    }
    let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
    std::fs::write(&path, longer).unwrap();
    assert!(matches!(read(&path), Err(Fault::Damaged { .. })), "a byte too many");
}

#[test]
fn a_fault_ends_the_packets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("object");
    write(&path, &two());
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 50]).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    let found: Vec<_> = reader.by_ref().map(|packet| packet.is_ok()).collect();
    assert_eq!((found, reader.next().is_none(), reader.sha256()), (vec![true, false], true, None));
}

#[test]
fn missing_is_told_from_damaged() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(&folder.path().join("none")), Err(Fault::Missing(_))));
}

#[test]
fn a_packet_of_no_stream_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&folder.path().join("object"), &header()).unwrap();
    assert!(writer.packet(&Packet { stream: 2, ..Packet::default() }).is_err());
    assert_eq!(writer.packets(), 0);
}
