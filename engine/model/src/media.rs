//! What was found in a file: its streams, and the index of its pictures. Filled by the worker, read by
//! the planner, which alone decides what to do with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::path::FilePath;
use crate::time::Ratio;

/// Which file was planned. Checked again at every open and at the end: another file fails the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// Where it lies.
    pub path: FilePath,
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Time of the last change of content or status, nanoseconds since 1970: unlike the modification time
    /// no program sets it back.
    pub ctime_ns: i64,
    /// Inode.
    pub inode: u64,
}

impl Identity {
    /// Whether a file found later at the same path is the file that was planned, unchanged.
    pub fn is_same(&self, found: &Self) -> bool {
        (self.size, self.mtime_ns, self.ctime_ns, self.inode)
            == (found.size, found.mtime_ns, found.ctime_ns, found.inode)
    }
}

/// A file as found: container, streams, pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Which file.
    pub identity: Identity,
    /// libavformat's name of the demuxer, e.g. `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// Earliest presentation time of any stream, in microseconds: the origin of all timestamps.
    pub start_us: i64,
    /// Length by the container, in microseconds; 0 when unknown.
    pub duration_us: i64,
    /// The film: the stream whose pictures are processed.
    pub video: Video,
    /// Small things that the output won't have, for a person: `the title of stream 1`.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Audio streams, in file order.
    pub audio: Vec<Audio>,
    /// The file's own tags: name and value.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// Everything else in the file, by name, so that it can be refused or dropped with a word.
    pub others: Vec<Other>,
}

/// The film's stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Stream index in the file.
    pub stream: u32,
    /// libavcodec's decoder name, e.g. `h264`.
    pub codec: String,
    /// Pixels across, as coded.
    pub width: u32,
    /// Pixels down, as coded.
    pub height: u32,
    /// libavutil's pixel format name, e.g. `yuv420p`.
    pub pixel_format: String,
    /// Seconds a tick of every timestamp below.
    pub time_base: Ratio,
    /// Frames a second as the container states them (average); 0/1 when unknown.
    pub frame_rate: Ratio,
    /// Sample aspect ratio; 0/1 when unknown.
    pub sample_aspect: Ratio,
    /// Clockwise turn that the display matrix asks for, degrees: 0, 90, 180 or 270.
    pub rotation: u32,
    /// Filters that turn the pictures upright, in libavfilter's syntax; empty when they are.
    pub upright: String,
    /// How the numbers in a picture are to be read as colours.
    pub color: Color,
    /// The codec is intra-only: every picture decodes alone.
    pub intra_only: bool,
    /// Pictures that may be reordered before they are shown (libavcodec's `has_b_frames`).
    pub reorder: u32,
    /// Presentation times of the pictures that are shown, sorted, strictly rising, in ticks, after edits.
    pub stamps: Vec<i64>,
    /// How long the last picture is shown, in ticks; 0 when unknown.
    pub last_duration: i64,
    /// Why pictures can't be told by their own times (missing, equal or jumping ones), if so. `stamps` is
    /// then a rising line made for them, and they are found by their number from the film's start on.
    pub counted: Option<String>,
    /// Where the times in the file jump, in ticks.
    #[serde(default)]
    pub splices: Vec<Splice>,
    /// The file is read without its edit lists, which made `stamps`: how to come back from these to times
    /// as they stand in the file. Empty: they are the same.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// What is damaged, for a person, when that was to be tolerated: `the picture at 3.200 s`.
    #[serde(default)]
    pub damage: Vec<String>,
    /// Pictures before the first one that can be decoded; they are not among `stamps`.
    pub undecodable: u32,
}

/// Pictures that follow each other in the file as they do in the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Time of the first one in the film, in ticks.
    pub from: i64,
    /// What is added to times in the film to reach those in the file.
    pub shift: i64,
}

/// A part of a track that an edit list shows, in the track's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it begins in the file.
    pub from: i64,
    /// Where it ends there.
    pub to: i64,
    /// When it is shown.
    pub at: i64,
}

/// A place where a file's times jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splice {
    /// Time of the first picture after it, as it stands in the file.
    pub from: i64,
    /// What is added to times as they stand in the file from there on.
    pub shift: i64,
}

/// How the numbers in a picture are to be read as colours: libavutil's names, `unknown` where the file
/// does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Color {
    /// `tv` or `pc`.
    pub range: String,
    /// Primaries, e.g. `bt709`.
    pub primaries: String,
    /// Transfer characteristic.
    pub transfer: String,
    /// Matrix.
    pub matrix: String,
    /// Where chroma samples lie.
    pub chroma: String,
}

/// What the pictures are when they leave the filters: found by running the graph on the film's first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// libavutil's pixel format name.
    pub format: String,
    /// Sample aspect ratio; 0/1 when unknown.
    pub sample_aspect: Ratio,
    /// Colours.
    pub color: Color,
    /// Two fields in a picture.
    pub interlaced: bool,
    /// Data beside the pixels that an output would lose, by name (e.g. mastering data of HDR).
    pub beside: Vec<String>,
}

/// An audio stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    /// Stream index in the file.
    pub stream: u32,
    /// libavcodec's codec name, e.g. `aac`.
    pub codec: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// libavutil's layout name, e.g. `5.1`.
    pub layout: String,
    /// Seconds a tick.
    pub time_base: Ratio,
    /// Presentation time of the first sample heard, in ticks of `time_base`, after edits and priming.
    pub start: i64,
    /// What is heard of it, when the file is read without its edit lists; empty: all.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// ISO 639-2 code, empty when unknown.
    pub language: String,
}

/// A stream that the spine does not process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// What it is, for a person: `subtitle stream 3 (subrip)`, `chapters`, `cover (png)`.
    pub what: String,
}
