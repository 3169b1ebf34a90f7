//! The object of an item: a header, then coded packets, then a trailer that proves them whole. Written
//! and read as a stream, one packet in memory. Knows nothing of codecs, plans or containers.
//!
//! ```text
//! "DVPCHUNK"  version u32  header length u32  header (JSON)
//! 1  stream u16  key u8  pts i64  dts i64  duration i64
//!    side count u16  (type u32  length u32  bytes)..  length u32  bytes        a packet; repeated
//! 2  packets u64  SHA-256 of all bytes before it                              the end
//! ```
//! Numbers are little-endian.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use dvp_model::Item;
use dvp_model::error::Reason;
use dvp_model::media::Color;
use dvp_model::path::FilePath;
use dvp_model::time::Ratio;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"DVPCHUNK";
const VERSION: u32 = 1;
/// Longest header, bytes.
const LONGEST_HEADER: usize = 4 << 20;
/// Longest run of bytes in a packet: what libav can hold.
const LONGEST: usize = i32::MAX as usize - 4096;
const PACKET: u8 = 1;
const END: u8 = 2;

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Which item it is.
    pub item: Item,
    /// Hash of the plan that it belongs to.
    pub plan: String,
    /// Its streams: one video stream for a chunk; one audio stream an entry of `plan.audio` for the sound.
    pub streams: Vec<Stream>,
}

/// Coded parameters of a stream: what a container needs to know, as the encoder left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// libavcodec's name of the codec (not of the encoder), e.g. `h264`, `aac`.
    pub codec: String,
    /// Seconds a tick of the packets' times. For pictures a tick is a frame, and this is not used.
    pub time_base: Ratio,
    /// Out-of-band headers of the codec.
    #[serde(with = "hex")]
    pub extradata: Vec<u8>,
    /// The encoder's own code for the codec in a container (four letters); 0: the container's.
    #[serde(default)]
    pub tag: u32,
    /// libavcodec's number of the profile; -99 when unknown.
    pub profile: i32,
    /// The codec's level; -99 when unknown.
    pub level: i32,
    /// Bits a second; 0 when unknown.
    pub bit_rate: i64,
    /// Bits a coded sample; 0 when unknown.
    pub bits_per_coded_sample: i32,
    /// Bits a decoded sample; 0 when unknown.
    pub bits_per_raw_sample: i32,
    /// What depends on the kind of stream.
    pub shape: Shape,
}

/// Parameters of pictures or of sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Pictures.
    Video {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// libavutil's name of the pixel format.
        format: String,
        /// Sample aspect ratio; 0/1 when unknown.
        sample_aspect: Ratio,
        /// Colours.
        color: Color,
        /// Frames that the decoder may hold back (`video_delay`).
        delay: u32,
    },
    /// Sound.
    Audio {
        /// libavutil's name of the sample format; empty when unknown (copied streams).
        format: String,
        /// Samples a second.
        sample_rate: u32,
        /// libavutil's name of the channel layout.
        layout: String,
        /// Samples a packet; 0 when they differ.
        frame_size: u32,
        /// Samples at the start that are not to be heard.
        initial_padding: u32,
        /// Samples at the end that are not to be heard.
        trailing_padding: u32,
        /// Samples to decode before a seek's target.
        seek_preroll: u32,
        /// Bytes of a block; 0 where there are none.
        block_align: u32,
    },
}

/// A coded packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Position of its stream in the header.
    pub stream: u16,
    /// Decoding can start here.
    pub key: bool,
    /// When it is shown. Pictures: position in the chunk in order of presentation. Sound: ticks from the
    /// output's origin.
    pub pts: i64,
    /// When it is decoded. Pictures: position in the chunk in coding order. Sound: as `pts`.
    pub dts: i64,
    /// How long. Pictures: 1. Sound: ticks.
    pub duration: i64,
    /// Side data: libavcodec's number of the type, and bytes.
    pub side: Vec<(u32, Vec<u8>)>,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Writes an object.
pub struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    hash: Sha256,
    size: u64,
    packets: u64,
    streams: usize,
}

impl Writer {
    /// Starts the object at `dest`, in place of what lies there.
    ///
    /// # Errors
    /// `Machine` when it can't be written.
    pub fn create(dest: &Path, header: &Header) -> Result<Writer, Reason> {
        let file = File::create(dest).map_err(|error| unwritable(dest, &error))?;
        let json = serde_json::to_vec(header).map_err(|error| {
            Reason::bug(format!("an object's header can't be written: {error}"))
        })?;
        if json.len() > LONGEST_HEADER {
            return Err(Reason::bug(format!("an object's header of {} bytes", json.len())));
        }
        let mut writer = Writer {
            out: BufWriter::with_capacity(1 << 18, file),
            path: dest.to_owned(),
            hash: Sha256::new(),
            size: 0,
            packets: 0,
            streams: header.streams.len(),
        };
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.put_sized(&json)?;
        Ok(writer)
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// `Machine` when it can't be written.
    pub fn packet(&mut self, packet: &Packet) -> Result<(), Reason> {
        let side_count = u16::try_from(packet.side.len());
        let fits = packet.data.len() <= LONGEST
            && packet.side.iter().all(|(_, bytes)| bytes.len() <= LONGEST)
            && usize::from(packet.stream) < self.streams;
        let (true, Ok(side_count)) = (fits, side_count) else {
            return Err(Reason::bug(format!(
                "packet {} of {} does not fit an object",
                self.packets,
                self.path.display()
            )));
        };
        let mut head = [0; 30];
        head[0] = PACKET;
        head[1..3].copy_from_slice(&packet.stream.to_le_bytes());
        head[3] = packet.key.into();
        head[4..12].copy_from_slice(&packet.pts.to_le_bytes());
        head[12..20].copy_from_slice(&packet.dts.to_le_bytes());
        head[20..28].copy_from_slice(&packet.duration.to_le_bytes());
        head[28..30].copy_from_slice(&side_count.to_le_bytes());
        self.put(&head)?;
        for (kind, bytes) in &packet.side {
            self.put(&kind.to_le_bytes())?;
            self.put_sized(bytes)?;
        }
        self.put_sized(&packet.data)?;
        self.packets += 1;
        Ok(())
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Ends the object and flushes it to the disk: its SHA-256 (lower-case hex) and its size in bytes.
    ///
    /// # Errors
    /// `Machine` when it can't be written.
    pub fn finish(mut self) -> Result<(String, u64), Reason> {
        self.put(&[END])?;
        let packets = self.packets.to_le_bytes();
        self.put(&packets)?;
        let so_far = self.hash.clone().finalize();
        self.put(&so_far)?;
        let flushed = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        flushed.map_err(|error| unwritable(&self.path, &error))?;
        Ok((to_hex(&self.hash.finalize()), self.size))
    }

    fn put_sized(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.put(&(bytes.len() as u32).to_le_bytes())?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|error| unwritable(&self.path, &error))
    }
}

/// Why an object can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is none.
    #[error("the object {0} is missing")]
    Missing(FilePath),
    /// The file system failed.
    #[error("the object {path} can't be read: {error}")]
    Unreadable {
        /// Where.
        path: FilePath,
        /// Why.
        error: io::Error,
    },
    /// It is not what was written.
    #[error("the object {path} is damaged: {what}")]
    Damaged {
        /// Where.
        path: FilePath,
        /// In which way.
        what: String,
    },
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        Reason::machine(fault.to_string())
    }
}

/// Reads an object. Iterates over its packets; a fault is the last item. The end comes only after the
/// trailer proved that all packets before it were as written.
pub struct Reader {
    input: BufReader<File>,
    path: FilePath,
    header: Header,
    hash: Sha256,
    left: u64,
    packets: u64,
    over: bool,
    sha256: Option<String>,
}

impl Reader {
    /// Opens an object and reads its header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(path: &Path) -> Result<Reader, Fault> {
        let named = FilePath::from(path);
        let opened =
            File::open(path).and_then(|file| file.metadata().map(|found| (file, found.len())));
        let (file, left) = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Fault::Missing(named.clone()),
            _ => Fault::Unreadable { path: named.clone(), error },
        })?;
        let mut reader = Reader {
            input: BufReader::with_capacity(1 << 18, file),
            path: named,
            header: Header { item: Item::Sound, plan: String::new(), streams: Vec::new() },
            hash: Sha256::new(),
            left,
            packets: 0,
            over: false,
            sha256: None,
        };
        if reader.array::<8>()? != *MAGIC {
            return Err(reader.damaged("it does not start as an object does"));
        }
        let version = u32::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(reader.damaged(format!("version {version}, where {VERSION} is read")));
        }
        let json = reader.sized(LONGEST_HEADER)?;
        reader.header = serde_json::from_slice(&json)
            .map_err(|error| reader.damaged(format!("its header can't be read: {error}")))?;
        Ok(reader)
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the whole object, lower-case hex, once its end was reached.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    fn record(&mut self) -> Result<Option<Packet>, Fault> {
        match self.array::<1>()?[0] {
            PACKET => self.packet().map(Some),
            END => self.end().map(|()| None),
            other => Err(self.damaged(format!("record {} is of kind {other}", self.packets))),
        }
    }

    fn packet(&mut self) -> Result<Packet, Fault> {
        let stream = u16::from_le_bytes(self.array()?);
        if usize::from(stream) >= self.header.streams.len() {
            return Err(self.damaged(format!("packet {} is of stream {stream}", self.packets)));
        }
        let key = match self.array::<1>()?[0] {
            0 => false,
            1 => true,
            other => {
                return Err(self.damaged(format!("packet {} has key flag {other}", self.packets)));
            }
        };
        let pts = i64::from_le_bytes(self.array()?);
        let dts = i64::from_le_bytes(self.array()?);
        let duration = i64::from_le_bytes(self.array()?);
        let side_count = u16::from_le_bytes(self.array()?);
        let mut side = Vec::new();
        for _ in 0..side_count {
            side.push((u32::from_le_bytes(self.array()?), self.sized(LONGEST)?));
        }
        let data = self.sized(LONGEST)?;
        self.packets += 1;
        Ok(Packet { stream, key, pts, dts, duration, side, data })
    }

    fn end(&mut self) -> Result<(), Fault> {
        let packets = u64::from_le_bytes(self.array()?);
        if packets != self.packets {
            return Err(
                self.damaged(format!("{} packets, where {packets} were written", self.packets))
            );
        }
        let expected = self.hash.clone().finalize();
        if self.array::<32>()?[..] != expected[..] {
            return Err(self.damaged("its bytes do not have the hash that was written"));
        }
        if self.left != 0 {
            return Err(self.damaged(format!("{} bytes follow its end", self.left)));
        }
        self.sha256 = Some(to_hex(&self.hash.clone().finalize()));
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A run of bytes after its length: never longer than what is left of the file.
    fn sized(&mut self, most: usize) -> Result<Vec<u8>, Fault> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length > most || length as u64 > self.left {
            return Err(self.damaged(format!("packet {} says {length} bytes", self.packets)));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        if self.left < bytes.len() as u64 {
            return Err(self.damaged(format!("it is cut off after packet {}", self.packets)));
        }
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it grew shorter while it was read"),
            _ => Fault::Unreadable { path: self.path.clone(), error },
        })?;
        self.left -= bytes.len() as u64;
        self.hash.update(&*bytes);
        Ok(())
    }

    fn damaged(&self, what: impl Into<String>) -> Fault {
        Fault::Damaged { path: self.path.clone(), what: what.into() }
    }
}

impl Iterator for Reader {
    type Item = Result<Packet, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let record = self.record();
        self.over = !matches!(record, Ok(Some(_)));
        record.transpose()
    }
}

/// SHA-256 of a file, lower-case hex, and its size in bytes. `progress` is told each stretch of bytes.
///
/// # Errors
/// As the file system says.
pub fn sha256_of(path: &Path, mut progress: impl FnMut(u64)) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((to_hex(&hash.finalize()), size)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
        size += read as u64;
        progress(read as u64);
    }
}

/// Lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unwritable(path: &Path, error: &io::Error) -> Reason {
    Reason::machine(format!("{} can't be written: {error}", path.display()))
}

mod hex {
    //! Bytes as a string of hex digits.

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        });
        pairs
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("bytes are pairs of hex digits"))
    }
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
