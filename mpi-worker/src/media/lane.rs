//! The packets of each track of an output, read from objects, with the times that the plan gives them.
//! Proves each object's hash when its end is reached. Knows nothing of containers.

use dvp_model::Item;
use dvp_model::error::{Kind, Reason};
use dvp_model::plan::Chunk;
use dvp_model::time::Ratio;
use dvp_model::wire::worker::Accepted;

use super::assemble::place;
use super::av::NO_PTS;
use super::join::Join;
use super::mux::Times;
use super::object::{Fault, Packet, Reader, Shape, Stream};
use super::timeline::Timeline;

/// Matroska's tick, as libavformat writes it.
pub const MILLISECOND: Ratio = Ratio::new(1, 1000);

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

/// All tracks, each with its first packet ahead.
///
/// # Errors
/// As [`Lane::advance`].
pub fn all<'a>(join: &'a Join, timeline: &'a Timeline) -> Result<Vec<Lane<'a>>, Broken> {
    let pictures = Pictures::new(join, timeline);
    let mut sources = vec![(timeline.base, Source::Pictures(Box::new(pictures)))];
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

/// A packet's times, in ticks of its lane.
#[derive(Clone, Copy)]
pub struct Span {
    pts: i64,
    dts: i64,
    end: i64,
    /// By what the packet is put in order: its `dts` if it has one.
    pub order: i64,
}

impl Span {
    /// The same in ticks of `to`, later by `shift_ms`.
    pub fn times(self, from: Ratio, to: Ratio, shift_ms: i64) -> Times {
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
pub struct Lane<'a> {
    /// Seconds a tick.
    pub base: Ratio,
    /// The next packet; none at the end.
    pub ahead: Option<(Packet, Span)>,
    source: Source<'a>,
}

enum Source<'a> {
    Pictures(Box<Pictures<'a>>),
    Sound(Box<Sound<'a>>),
}

impl Lane<'_> {
    /// Reads the packet after the one that was taken.
    ///
    /// # Errors
    /// When an object is not as accepted, or contradicts the plan.
    pub fn advance(&mut self) -> Result<(), Broken> {
        self.ahead = match &mut self.source {
            Source::Pictures(pictures) => pictures.next()?,
            Source::Sound(sound) => sound.next()?,
        };
        Ok(())
    }

    /// Milliseconds that Matroska's readers take off the track's times: CodecDelay, which libavformat writes for
    /// Opus alone, and leaves it to us to add.
    pub fn delay_ms(&self) -> i64 {
        match &self.source {
            Source::Sound(sound) => sound.delay_ms,
            Source::Pictures(_) => 0,
        }
    }

    /// Milliseconds by which the track would begin before Matroska's zero.
    pub fn negative_ms(&self) -> i64 {
        let Some((_, span)) = &self.ahead else { return 0 };
        -(self.base.rescale(span.pts, MILLISECOND) + self.delay_ms())
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
    /// See [`Lane::delay_ms`].
    delay_ms: i64,
}

impl<'a> Sound<'a> {
    fn open(accepted: &'a Accepted, stream: u16, header: &Stream) -> Result<Self, Broken> {
        let reader =
            Reader::open(place(accepted)).map_err(|fault| Broken::Object(accepted.item, fault))?;
        let delay_ms = match &header.shape {
            Shape::Audio { initial_padding, sample_rate, .. } if header.codec == "opus" => {
                let samples = Ratio::new(1, i64::from((*sample_rate).max(1)));
                samples.rescale(i64::from(*initial_padding), MILLISECOND)
            }
            _ => 0,
        };
        Ok(Self { reader, stream, accepted, order: i64::MIN / 2, delay_ms })
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
