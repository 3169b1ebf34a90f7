//! Writes all packets of a film in the order of their decoding, at the times that the plan gives them,
//! reading pictures and sound in step: one packet a track in memory. Proves each object's hash as it goes.
//! Knows nothing of reports and witnesses.

use std::cmp::Ordering;

use dvp_model::error::{Kind, Reason};
use dvp_model::plan::{Chunk, Plan};
use dvp_model::spec::Container;
use dvp_model::time::Ratio;
use dvp_model::wire::worker::Accepted;
use dvp_model::{FilePath, Item};

use super::assemble::place;
use super::av::NO_PTS;
use super::mux::{Muxer, Times, Track};
use super::object::{Fault, Packet, Reader, Shape, Stream};
use super::timeline::{Timeline, timescale};

/// Matroska's tick, as libavformat writes it.
const MILLISECOND: Ratio = Ratio::new(1, 1000);
/// Bytes that a container adds at most a packet, and for itself.
const AROUND: (u64, u64) = (64, 1 << 20);

/// What is to be joined.
pub struct Join<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Accepted chunks, in order.
    pub chunks: &'a [&'a Accepted],
    /// The sound, if there is any.
    pub sound: Option<&'a Accepted>,
    /// Coded parameters of the output's tracks: pictures, then sound.
    pub streams: &'a [Stream],
    /// Where to write.
    pub output: &'a FilePath,
}

/// What was written.
pub struct Written {
    /// All times in the file are later than planned by so much, since the container can't hold negative
    /// ones: milliseconds.
    pub shift_ms: i64,
    /// Tracks: pictures, then sound.
    pub tracks: Vec<WrittenTrack>,
}

/// A track that was written.
pub struct WrittenTrack {
    /// Seconds a tick.
    pub time_base: Ratio,
    /// Packets that hold something to see or hear.
    pub packets: u64,
    /// Presentation time of the first one and the last one, ticks.
    pub ends: Option<(i64, i64)>,
}

/// Why joining stopped.
pub enum Broken {
    /// An object is not what was accepted.
    Object(Item, Fault),
    /// Anything else.
    Reason(Reason),
}

impl From<Reason> for Broken {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

/// Writes the file. `progress` counts pictures.
///
/// # Errors
/// `Machine` and `Output` when the file can't be written, `Bug` when packets contradict the plan.
pub fn run(join: &Join, progress: &mut dyn FnMut(u64)) -> Result<Written, Broken> {
    check_room(join)?;
    let timeline = Timeline::new(&join.plan.video);
    if timeline.frames() as u64 != join.plan.frames() || join.chunks.len() != join.plan.chunks.len()
    {
        return Err(Reason::bug("the plan's chunks do not hold the plan's frames").into());
    }
    let mut muxer = Muxer::create(join.output, join.plan.spec.container, &tracks(join)?)?;
    let mut lanes = lanes(join, &timeline)?;
    let shift_ms = match join.plan.spec.container {
        Container::Mp4 => 0,
        Container::Mkv => lanes.iter().map(Lane::negative_ms).max().unwrap_or(0).max(0),
    };
    let mut written = Written { shift_ms, tracks: Vec::new() };
    for track in 0..lanes.len() {
        let time_base = muxer.time_base(track);
        written.tracks.push(WrittenTrack { time_base, packets: 0, ends: None });
    }
    while let Some(at) = earliest(&lanes) {
        let lane = &mut lanes[at];
        let Some((packet, span)) = lane.ahead.take() else { break };
        lane.advance()?;
        let track = &mut written.tracks[at];
        let times = span.times(lane.base, track.time_base, shift_ms);
        muxer.write(at, &packet, times)?;
        if !packet.data.is_empty() {
            track.packets += 1;
            let first = track.ends.map_or(times.pts, |ends| ends.0);
            track.ends = Some((first, times.pts));
        }
        if at == 0 {
            progress(track.packets);
        }
    }
    muxer.finish()?;
    Ok(written)
}

fn check_room(join: &Join) -> Result<(), Reason> {
    let folder = match join.output.as_path().parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => std::path::Path::new("."),
    };
    // A folder that can't be asked will say why when the file is made.
    let Ok(found) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let reports = join.sound.iter().chain(join.chunks).map(|accepted| &accepted.report);
    let needed =
        reports.map(|report| report.size + report.frames * AROUND.0).sum::<u64>() + AROUND.1;
    if free >= needed {
        return Ok(());
    }
    Err(Reason::machine(format!(
        "no room for {}: about {} MB are needed, {} MB are free; make room",
        join.output,
        needed / 1_000_000 + 1,
        free / 1_000_000
    )))
}

fn tracks<'a>(join: &'a Join) -> Result<Vec<Track<'a>>, Reason> {
    let plan = join.plan;
    let timescale = match plan.spec.container {
        Container::Mkv => None,
        Container::Mp4 => Some(timescale(plan.video.time_base).ok_or_else(|| {
            let base = plan.video.time_base;
            Reason::input(format!(
                "mp4 can't count the film's time in ticks of {base} s; choose mkv"
            ))
        })?),
    };
    let (pictures, sound) =
        join.streams.split_first().ok_or_else(|| Reason::bug("a film without a stream"))?;
    // A rate that does not hold would make players guess durations from it.
    let rate = Some(plan.video.frame_rate).filter(|rate| plan.video.constant_rate && rate.num > 0);
    let mut tracks =
        vec![Track { stream: pictures, timescale, frame_rate: rate, language: "", default: true }];
    for (at, (stream, audio)) in sound.iter().zip(&plan.audio).enumerate() {
        tracks.push(Track {
            stream,
            timescale: None,
            frame_rate: None,
            language: &audio.language,
            default: at == 0,
        });
    }
    Ok(tracks)
}

fn lanes<'a>(join: &'a Join, timeline: &'a Timeline) -> Result<Vec<Lane<'a>>, Broken> {
    let mut sources = vec![(timeline.base, Source::Pictures(Pictures::new(join, timeline)))];
    if let Some(accepted) = join.sound {
        for (at, stream) in join.streams[1..].iter().enumerate() {
            let sound = Sound::open(accepted, at as u16, stream)?;
            sources.push((stream.time_base, Source::Sound(Box::new(sound))));
        }
    }
    let mut lanes = Vec::new();
    for (base, source) in sources {
        let mut lane = Lane { base, ahead: None, source };
        lane.advance()?;
        lanes.push(lane);
    }
    Ok(lanes)
}

/// The lane whose packet is decoded first; of equals the first lane.
fn earliest(lanes: &[Lane]) -> Option<usize> {
    let mut best: Option<(usize, Ratio, i64)> = None;
    for (at, lane) in lanes.iter().enumerate() {
        let Some((_, span)) = &lane.ahead else { continue };
        let sooner = |&(_, base, dts): &(usize, Ratio, i64)| {
            lane.base.compare(span.order, base, dts) == Ordering::Less
        };
        if best.as_ref().is_none_or(sooner) {
            best = Some((at, lane.base, span.order));
        }
    }
    best.map(|(at, ..)| at)
}

/// A packet's times, in ticks of its lane.
#[derive(Clone, Copy)]
struct Span {
    pts: i64,
    dts: i64,
    end: i64,
    /// By what the packet is put in order: its `dts` if it has one.
    order: i64,
}

impl Span {
    fn times(self, from: Ratio, to: Ratio, shift_ms: i64) -> Times {
        let shift = MILLISECOND.rescale(shift_ms, to);
        let there = |ticks: i64| match ticks {
            NO_PTS => NO_PTS,
            ticks => from.rescale(ticks, to) + shift,
        };
        let (pts, dts) = (there(self.pts), there(self.dts));
        let duration = if self.pts == NO_PTS { 0 } else { there(self.end) - pts };
        Times { pts, dts, duration }
    }
}

/// A track's packets, one of them ahead.
struct Lane<'a> {
    /// Seconds a tick.
    base: Ratio,
    ahead: Option<(Packet, Span)>,
    source: Source<'a>,
}

enum Source<'a> {
    Pictures(Pictures<'a>),
    Sound(Box<Sound<'a>>),
}

impl Lane<'_> {
    fn advance(&mut self) -> Result<(), Broken> {
        self.ahead = match &mut self.source {
            Source::Pictures(pictures) => pictures.next()?,
            Source::Sound(sound) => sound.next()?,
        };
        Ok(())
    }

    /// Milliseconds by which the track would begin before Matroska's zero.
    fn negative_ms(&self) -> i64 {
        let Some((_, span)) = &self.ahead else { return 0 };
        // Opus alone: libavformat adds its padding to every time, and says so in the header (CodecDelay).
        let added = match &self.source {
            Source::Sound(sound) => sound.added_ms,
            Source::Pictures(_) => 0,
        };
        -(self.base.rescale(span.pts, MILLISECOND) + added)
    }
}

/// The pictures of all chunks.
struct Pictures<'a> {
    join: &'a Join<'a>,
    timeline: &'a Timeline,
    /// The chunk that is read.
    at: usize,
    open: Option<Reader>,
    /// Frames of the chunk whose packets came, by position in order of presentation.
    seen: Vec<bool>,
    /// How many came.
    came: usize,
}

impl<'a> Pictures<'a> {
    fn new(join: &'a Join<'a>, timeline: &'a Timeline) -> Self {
        Self { join, timeline, at: 0, open: None, seen: Vec::new(), came: 0 }
    }

    fn next(&mut self) -> Result<Option<(Packet, Span)>, Broken> {
        loop {
            let (Some(accepted), Some(chunk)) =
                (self.join.chunks.get(self.at), self.join.plan.chunks.get(self.at))
            else {
                return Ok(None);
            };
            let broken = |fault| Broken::Object(accepted.item, fault);
            let reader = match &mut self.open {
                Some(reader) => reader,
                None => {
                    self.seen = vec![false; chunk.frames as usize];
                    self.came = 0;
                    self.open.insert(Reader::open(place(accepted)).map_err(broken)?)
                }
            };
            match reader.next() {
                Some(packet) => {
                    let packet = packet.map_err(broken)?;
                    let span = self.span(*chunk, accepted.item, &packet)?;
                    return Ok(Some((packet, span)));
                }
                None => {
                    proven(accepted, reader)?;
                    if self.came != self.seen.len() {
                        let (item, came) = (accepted.item, self.came);
                        let planned = self.seen.len();
                        return Err(contradiction(
                            item,
                            format!("{came} packets for {planned} frames"),
                        ));
                    }
                    self.open = None;
                    self.at += 1;
                }
            }
        }
    }

    /// The times of a chunk's packet, by the plan.
    fn span(&mut self, chunk: Chunk, item: Item, packet: &Packet) -> Result<Span, Broken> {
        let wrong = |what: &str| {
            contradiction(item, format!("packet {} (shown as {}) {what}", packet.dts, packet.pts))
        };
        let unseen = usize::try_from(packet.pts).ok().and_then(|shown| self.seen.get_mut(shown));
        match unseen {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(wrong("is no frame of the chunk, or one that was there before")),
        }
        if packet.dts != self.came as i64 {
            return Err(wrong("comes out of order"));
        }
        if self.came == 0 && (!packet.key || packet.pts != 0) {
            return Err(wrong("begins the chunk but is not a keyframe that is shown first"));
        }
        self.came += 1;
        let first = chunk.first as usize;
        let (shown, coded) = (first + packet.pts as usize, first + packet.dts as usize);
        let (pts, dts) = (self.timeline.pts(shown), self.timeline.dts(coded));
        if dts > pts {
            return Err(wrong("is reordered further than planned"));
        }
        // mp4 takes its length in decoding order from the last packet's duration.
        let last = self.timeline.frames() - 1;
        let end = match coded == last {
            true => pts + self.timeline.end(last) - self.timeline.pts(last),
            false => self.timeline.end(shown),
        };
        Ok(Span { pts, dts, end, order: dts })
    }
}

/// One track of the sound's object.
struct Sound<'a> {
    reader: Reader,
    stream: u16,
    accepted: &'a Accepted,
    /// By what its last packet was put in order.
    order: i64,
    /// What libavformat adds to every time.
    added_ms: i64,
}

impl<'a> Sound<'a> {
    fn open(accepted: &'a Accepted, stream: u16, header: &Stream) -> Result<Self, Broken> {
        let reader =
            Reader::open(place(accepted)).map_err(|fault| Broken::Object(accepted.item, fault))?;
        let added_ms = match &header.shape {
            Shape::Audio { initial_padding, sample_rate, .. } if header.codec == "opus" => {
                let samples = Ratio::new(1, i64::from((*sample_rate).max(1)));
                samples.rescale(i64::from(*initial_padding), MILLISECOND)
            }
            _ => 0,
        };
        Ok(Self { reader, stream, accepted, order: i64::MIN / 2, added_ms })
    }

    fn next(&mut self) -> Result<Option<(Packet, Span)>, Broken> {
        for packet in self.reader.by_ref() {
            let packet = packet.map_err(|fault| Broken::Object(self.accepted.item, fault))?;
            if packet.stream != self.stream {
                continue;
            }
            if packet.data.is_empty() {
                // Only news for the container, which comes last: it has no time of its own.
                let span = Span { pts: NO_PTS, dts: NO_PTS, end: NO_PTS, order: self.order };
                return Ok(Some((packet, span)));
            }
            let dts = if packet.dts == NO_PTS { packet.pts } else { packet.dts };
            if packet.pts == NO_PTS || dts <= self.order {
                return Err(contradiction(
                    self.accepted.item,
                    format!("stream {}: time {dts} comes after {}", self.stream, self.order),
                ));
            }
            self.order = dts;
            let end = packet.pts + packet.duration.max(0);
            let span = Span { pts: packet.pts, dts, end, order: dts };
            return Ok(Some((packet, span)));
        }
        proven(self.accepted, &self.reader)?;
        Ok(None)
    }
}

/// An object that was read to its end is the accepted one.
fn proven(accepted: &Accepted, reader: &Reader) -> Result<(), Broken> {
    if reader.sha256() == Some(accepted.sha256.as_str()) {
        return Ok(());
    }
    let what = "its hash is not the accepted one".to_owned();
    let fault = Fault::Damaged { path: place(accepted).into(), what };
    Err(Broken::Object(accepted.item, fault))
}

fn contradiction(item: Item, what: String) -> Broken {
    Broken::Reason(Reason::new(Kind::Bug, format!("{item} contradicts the plan: {what}")))
}
