//! Makes one chunk: decode its window, filter, encode, write the object, then decode what was written and
//! compare. Knows nothing of MPI; the unsafe is elsewhere.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dvp_model::error::Reason;
use dvp_model::plan::{Chunk, Plan};
use dvp_model::wire::worker::{Report, Witness};
use dvp_model::{ChunkIndex, Item};
use ffmpeg_next::ffi;

use super::av::{self, Frame};
use super::decode::{Decoder, stamp_of};
use super::encode::Encoder;
use super::filter::{Entry, Graph};
use super::object::{self, Header, Writer};
use super::proof::{self, Evidence};
use super::source::Source;
use super::window::{Fault, Place, Reader, moment};
use super::{picture, pixels};

/// Makes chunk `index` and writes its object to `dest`.
pub fn run(
    plan: &Plan,
    index: ChunkIndex,
    dest: &Path,
    progress: &mut dyn FnMut(u64),
    stop: &AtomicBool,
) -> Result<Report, Reason> {
    let started = Instant::now();
    let chunk = *plan
        .chunks
        .get(index.0 as usize)
        .ok_or_else(|| Reason::bug(format!("the plan has no chunk {index}")))?;
    let feed = Feed::of(plan, chunk);
    let made = make(plan, index, &feed, dest, progress, stop)?;
    Source::check_unchanged(&plan.input)?;
    let frames = chunk.frames as usize;
    proof::check(dest, &made.sha256, made.decoder, &made.evidence, frames)
        .map_err(|what| proof::failed(index, &what))?;
    let window = feed.window();
    Ok(Report {
        frames: u64::from(chunk.frames),
        span: (window[0], window[window.len() - 1]),
        witness: made.witness,
        sha256: made.sha256,
        size: made.size,
        wall_ms: started.elapsed().as_millis() as u64,
        remarks: Vec::new(),
    })
}

/// Makes the object, unproven.
fn make(
    plan: &Plan,
    index: ChunkIndex,
    feed: &Feed,
    dest: &Path,
    progress: &mut dyn FnMut(u64),
    stop: &AtomicBool,
) -> Result<Made, Reason> {
    let chunk = plan.chunks[index.0 as usize];
    let mut reader = Reader::new(plan, &feed.stamps, feed.before);
    loop {
        let mut work = Work::new(plan, index, chunk, feed, dest)?;
        let taken = reader.run(stop, &mut |place, frame| work.take(place, frame, progress));
        match taken {
            Ok(()) => return work.finish(progress),
            Err(Fault::Again) => {}
            Err(Fault::Final(reason)) => return Err(reason),
        }
    }
}

/// The pictures that a chunk needs, and what each is for.
struct Feed {
    /// Source times, rising: margin, window, margin, and one more for the witness.
    stamps: Vec<i64>,
    /// The picture just before those.
    before: Option<i64>,
    /// Where the window lies in `stamps`.
    first: usize,
    end: usize,
    /// Where what filters see ends; it begins at 0.
    fed: usize,
}

impl Feed {
    fn of(plan: &Plan, chunk: Chunk) -> Feed {
        let video = &plan.video;
        let (lead, tail) = &video.around;
        let first = lead.len() + chunk.first as usize;
        let end = first + chunk.frames as usize;
        // A film in one chunk may have a filter with a memory: it sees all there is before.
        let back = if plan.chunks.len() == 1 { lead.len() } else { video.margin.0 as usize };
        let ahead = video.margin.1 as usize;
        let from = first - back.min(first);
        let all = || lead.iter().copied().chain(video.stamps.iter()).chain(tail.iter().copied());
        let stamps: Vec<i64> = all().skip(from).take(end - from + ahead.max(1)).collect();
        let before = from.checked_sub(1).and_then(|at| all().nth(at));
        let fed = (end - from + ahead).min(stamps.len());
        Feed { stamps, before, first: first - from, end: end - from, fed }
    }

    fn window(&self) -> &[i64] {
        &self.stamps[self.first..self.end]
    }
}

/// What was made of a chunk.
struct Made {
    witness: Witness,
    sha256: String,
    size: u64,
    evidence: Evidence,
    /// For what was written.
    decoder: Decoder,
}

/// A chunk in the making.
struct Work<'a> {
    plan: &'a Plan,
    feed: &'a Feed,
    graph: Graph,
    encoder: Encoder,
    writer: Writer,
    filtered: Frame,
    /// Frames that entered the encoder.
    encoded: usize,
    evidence: Evidence,
    witness: Witness,
}

impl<'a> Work<'a> {
    fn new(
        plan: &'a Plan,
        index: ChunkIndex,
        chunk: Chunk,
        feed: &'a Feed,
        dest: &Path,
    ) -> Result<Work<'a>, Reason> {
        let video = &plan.video;
        let entry = Entry {
            width: video.source_width,
            height: video.source_height,
            format: av::pixel_format(&video.source_format),
            sample_aspect: video.source_aspect,
            time_base: video.time_base,
            frame_rate: video.frame_rate,
        };
        let encoder = Encoder::open(plan, chunk, feed.window())?;
        let header = Header {
            plan: plan.hash(),
            item: Item::Chunk(index),
            streams: vec![encoder.stream(plan)],
        };
        Ok(Work {
            plan,
            feed,
            graph: Graph::open(&video.graph, &entry, &video.format)?,
            encoder,
            writer: Writer::create(dest, &header)?,
            filtered: Frame::new()?,
            encoded: 0,
            evidence: Evidence::new(plan.spec.encode.codec),
            witness: Witness::default(),
        })
    }

    /// Takes a decoded picture.
    fn take(
        &mut self,
        place: Place,
        frame: &mut Frame,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Reason> {
        let feed = self.feed;
        let Place::Wanted(at) = place else {
            if feed.first == 0 {
                self.witness.before = seen(frame)?;
            }
            return Ok(());
        };
        if at + 1 == feed.first {
            self.witness.before = seen(frame)?;
        }
        if at == feed.first {
            self.witness.first = seen(frame)?;
        }
        if at + 1 == feed.end {
            self.witness.last = seen(frame)?;
        }
        if at == feed.end {
            self.witness.after = seen(frame)?;
        }
        if at < feed.fed {
            let video = &self.plan.video;
            let raw = frame.get_mut();
            raw.pts = feed.stamps[at] - video.source_origin;
            raw.sample_aspect_ratio = av::rational(video.source_aspect);
            self.graph.push(Some(frame))?;
            self.drain(progress)?;
        }
        Ok(())
    }

    /// Encodes what the graph has ready.
    fn drain(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Reason> {
        let video = &self.plan.video;
        let window = self.feed.window();
        while let Some(time) = self.graph.pull(&mut self.filtered, video.time_base)? {
            let stamp = time + video.origin;
            if stamp < window[0] || stamp > window[window.len() - 1] {
                continue;
            }
            if window.get(self.encoded) != Some(&stamp) {
                return Err(Reason::job(format!(
                    "the filters gave a picture at {} where none is due",
                    moment(self.plan, stamp)
                )));
            }
            picture::check_carried(self.plan, &self.filtered)
                .map_err(|what| Reason::input(format!("{what} at {}", moment(self.plan, stamp))))?;
            let last = self.encoded + 1 == window.len();
            self.evidence.add(self.encoded, last, &self.filtered)?;
            let writer = &mut self.writer;
            self.encoder.encode(Some(&mut self.filtered), &mut |number, packet| {
                let before = writer.packets();
                writer.packet(&packet_in(number, packet, before))
            })?;
            self.encoded += 1;
            progress(self.encoded as u64);
        }
        Ok(())
    }

    fn finish(mut self, progress: &mut dyn FnMut(u64)) -> Result<Made, Reason> {
        self.graph.push(None)?;
        self.drain(progress)?;
        if self.encoded != self.feed.window().len() {
            return Err(Reason::job(format!(
                "the filters gave {} pictures where {} are due",
                self.encoded,
                self.feed.window().len()
            )));
        }
        let writer = &mut self.writer;
        self.encoder.encode(None, &mut |number, packet| {
            let before = writer.packets();
            writer.packet(&packet_in(number, packet, before))
        })?;
        let decoder = self.encoder.decoder(self.plan)?;
        let (sha256, size) = self.writer.finish()?;
        Ok(Made { witness: self.witness, sha256, size, evidence: self.evidence, decoder })
    }
}

fn seen(frame: &Frame) -> Result<Option<(i64, String)>, Reason> {
    let hash = pixels::hash(frame)?;
    Ok(stamp_of(frame).map(|stamp| (stamp, hash)))
}

/// A packet as the object holds it: `number` in the order of presentation, after `before` others.
fn packet_in(number: u32, packet: &av::Packet, before: u64) -> object::Packet {
    object::Packet {
        stream: 0,
        key: packet.has(ffi::AV_PKT_FLAG_KEY),
        pts: number.into(),
        dts: before as i64,
        duration: 1,
        side: av::kept_side_data(packet),
        data: packet.data().to_vec(),
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
