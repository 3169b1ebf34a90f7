//! Writes all packets of a film in the order of their decoding, at the times that the plan gives them,
//! reading pictures and sound in step: one packet a track in memory. Knows nothing of what is in an object.

use std::cmp::Ordering;

use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::plan::Plan;
use dvp_model::time::Ratio;
use dvp_model::wire::worker::Accepted;

use super::lane::{self, Broken, Lane};
use super::mux::{Muxer, Track};
use super::object::Stream;
use super::timeline::{Timeline, timescale};

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
    let mut muxer =
        Muxer::create(join.output, join.plan.spec.container, &join.plan.tags, &tracks(join)?)?;
    let mut lanes = lane::all(join, &timeline)?;
    let container = join.plan.spec.container;
    let shift_ms = match container.is_matroska() {
        true => lanes.iter().map(Lane::negative_ms).max().unwrap_or(0).max(0),
        false => 0,
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
        let delay_ms = if container.is_matroska() { lane.delay_ms() } else { 0 };
        let delay = lane::MILLISECOND.rescale(delay_ms, track.time_base);
        muxer.write(at, &packet, times.later(delay))?;
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
    let container = plan.spec.container;
    let timescale = match container.is_mp4() {
        false => None,
        true => Some(timescale(plan.video.time_base).ok_or_else(|| {
            let (name, base) = (container.name(), plan.video.time_base);
            Reason::input(format!(
                "{name} can't count the film's time in ticks of {base} s; choose mkv"
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
