//! Opens the joined file again and checks it against the plan: tracks, number and times of pictures, entry
//! points, sound, and that decoding can begin at every seam. Knows nothing of objects.

use dvp_model::FilePath;
use dvp_model::error::{Kind, Reason};
use dvp_model::plan::Plan;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, AvError, Frame, NO_PTS, Packet};
use super::decode::{Decoder, Setup, stamp_of};
use super::join::Written;
use super::lane::MILLISECOND;
use super::log;
use super::parameters::Parameters;
use super::source::Source;
use super::timeline::Timeline;

/// Pictures that are decoded from each seam on.
const DECODED: usize = 3;

/// Checks the file at `path`. `progress` counts pictures.
///
/// # Errors
/// `Bug` when it is not as planned, `Machine` when it can't be read.
pub fn check(
    plan: &Plan,
    written: &Written,
    path: &FilePath,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Reason> {
    let wrong = |what: String| Reason::bug(format!("the joined file {path} is wrong: {what}"));
    let unfit = |reason: Reason| match reason.kind {
        Kind::Machine => reason,
        _ => wrong(reason.text),
    };
    let mut source = Source::open(path, None, false).map_err(unfit)?;
    check_tracks(plan, &source).map_err(wrong)?;
    let mut found = Found::new(plan, written);
    let mut seams = Seams::new(plan, &source, &found).map_err(unfit)?;
    let mut packet = Packet::new()?;
    while source.read(&mut packet).map_err(unfit)? {
        let track = packet.get().stream_index.max(0) as usize;
        if track == 0 {
            seams.take(&packet, found.shown.len()).map_err(wrong)?;
            found.picture(&packet).map_err(wrong)?;
            progress(found.shown.len() as u64);
        } else {
            found.sound(track, &packet).map_err(wrong)?;
        }
    }
    seams.end().map_err(wrong)?;
    found.check().map_err(wrong)
}

fn check_tracks(plan: &Plan, source: &Source) -> Result<(), String> {
    let (found, due) = (source.streams().count(), 1 + plan.audio.len());
    if found != due {
        return Err(format!("{found} tracks where {due} are due"));
    }
    for (at, stream) in source.streams().enumerate() {
        let par = av::parameters(stream);
        let codec = av::codec_name(par.codec_id);
        let Some(audio) = at.checked_sub(1).map(|at| &plan.audio[at]) else {
            let (video, name) = (&plan.video, plan.spec.encode.codec.name());
            let size = (par.width as u32, par.height as u32);
            if codec != name || size != (video.width, video.height) {
                return Err(format!("track 0 is {codec} {}x{}", size.0, size.1));
            }
            continue;
        };
        let rate = par.sample_rate as u32;
        let kind = par.codec_type == ffi::AVMediaType::AVMEDIA_TYPE_AUDIO;
        if !kind || rate != audio.sample_rate || (audio.codec != "copy" && codec != audio.codec) {
            return Err(format!("track {at} is {codec} of {rate} Hz"));
        }
    }
    Ok(())
}

/// What was found, beside what is due.
struct Found<'a> {
    plan: &'a Plan,
    written: &'a Written,
    timeline: Timeline,
    /// Presentation times of pictures, in coding order.
    shown: Vec<i64>,
    last_dts: i64,
    /// Packets of each track but the first, and their first and last times.
    sounds: Vec<(u64, Option<(i64, i64)>)>,
}

impl<'a> Found<'a> {
    fn new(plan: &'a Plan, written: &'a Written) -> Self {
        let timeline = Timeline::new(&plan.video);
        let shown = Vec::with_capacity(timeline.frames());
        let sounds = vec![(0, None); plan.audio.len()];
        Self { plan, written, timeline, shown, last_dts: NO_PTS, sounds }
    }

    /// When a picture is due, in the file's ticks.
    fn due(&self, frame: usize) -> i64 {
        let base = self.written.tracks[0].time_base;
        let shift = MILLISECOND.rescale(self.written.shift_ms, base);
        self.timeline.base.rescale(self.timeline.pts(frame), base) + shift
    }

    fn picture(&mut self, packet: &Packet) -> Result<(), String> {
        let (raw, at) = (packet.get(), self.shown.len());
        if raw.pts == NO_PTS || packet.has(ffi::AV_PKT_FLAG_DISCARD) {
            return Err(format!("picture {at} in coding order has no time, or is hidden"));
        }
        // Matroska stores no decoding times.
        if self.plan.spec.container.is_mp4() {
            if raw.dts == NO_PTS || raw.dts > raw.pts || (at > 0 && raw.dts <= self.last_dts) {
                let last = self.last_dts;
                return Err(format!(
                    "picture {at} in coding order is decoded at {}, shown at {}, after one at {last}",
                    raw.dts, raw.pts
                ));
            }
            self.last_dts = raw.dts;
        }
        self.shown.push(raw.pts);
        Ok(())
    }

    fn sound(&mut self, track: usize, packet: &Packet) -> Result<(), String> {
        let found = track.checked_sub(1).and_then(|at| self.sounds.get_mut(at));
        let (packets, ends) = found.ok_or_else(|| format!("a packet of track {track}"))?;
        let pts = packet.get().pts;
        *packets += 1;
        *ends = Some((ends.map_or(pts, |ends| ends.0), pts));
        Ok(())
    }

    fn check(mut self) -> Result<(), String> {
        let (found, due) = (self.shown.len(), self.timeline.frames());
        if found != due {
            return Err(format!("{found} pictures where {due} are due"));
        }
        self.shown.sort_unstable();
        let late = (0..due).find(|&frame| self.shown[frame] != self.due(frame));
        if let Some(frame) = late {
            let (found, due) = (self.shown[frame], self.due(frame));
            let base = self.written.tracks[0].time_base;
            return Err(format!(
                "picture {frame} is shown at {found}, not {due} (ticks of {base} s)"
            ));
        }
        for (at, (packets, ends)) in self.sounds.iter().enumerate() {
            let track = &self.written.tracks[at + 1];
            if *packets != track.packets {
                let due = track.packets;
                return Err(format!("track {}: {packets} packets where {due} are due", at + 1));
            }
            let near = |found: i64, due: i64| {
                track.time_base.rescale((found - due).abs(), Ratio::new(1, 1_000_000)) <= 1000
            };
            let kept = match (ends, track.ends) {
                (Some(found), Some(due)) => near(found.0, due.0) && near(found.1, due.1),
                (found, due) => found.is_none() && due.is_none(),
            };
            if !kept {
                return Err(format!(
                    "track {} reaches from and to {ends:?}, not {:?} (ticks of {} s)",
                    at + 1,
                    track.ends,
                    track.time_base
                ));
            }
        }
        Ok(())
    }
}

/// Decodes the first pictures of each chunk from its keyframe alone.
struct Seams<'a> {
    plan: &'a Plan,
    parameters: Parameters,
    setup: Setup,
    /// A fresh one for each chunk: nothing that came before may help.
    decoder: Option<Decoder>,
    frame: Frame,
    /// The next chunk to begin, and the packets still wanted of the one that has begun.
    next: usize,
    wanted: usize,
    /// When the begun chunk's first pictures are due, and how many came out right.
    due: Vec<i64>,
    came: usize,
    dues: Vec<Vec<i64>>,
    mark: u64,
}

impl<'a> Seams<'a> {
    fn new(plan: &'a Plan, source: &Source, found: &Found) -> Result<Self, Reason> {
        let stream = source.stream(0)?;
        let setup = Setup { time_base: av::ratio(stream.time_base), reorder: plan.video.reorder };
        let parameters = Parameters::copy_of(av::parameters(stream))?;
        let dues = plan.chunks.iter().map(|chunk| {
            let first = chunk.first as usize;
            (first..first + DECODED.min(chunk.frames as usize)).map(|at| found.due(at)).collect()
        });
        Ok(Self {
            plan,
            parameters,
            setup,
            decoder: None,
            frame: Frame::new()?,
            next: 0,
            wanted: 0,
            due: Vec::new(),
            came: 0,
            dues: dues.collect(),
            mark: 0,
        })
    }

    /// Takes picture `coded` in coding order.
    fn take(&mut self, packet: &Packet, coded: usize) -> Result<(), String> {
        let begins = self.plan.chunks.get(self.next).filter(|chunk| chunk.first as usize == coded);
        if let Some(chunk) = begins {
            self.end()?;
            if !packet.has(ffi::AV_PKT_FLAG_KEY) {
                return Err(format!("chunk {} does not begin with a keyframe", self.next));
            }
            self.due = std::mem::take(&mut self.dues[self.next]);
            self.came = 0;
            // Reordering ones come before the first that are shown.
            let reach = DECODED + self.plan.video.reorder as usize;
            self.wanted = reach.min(chunk.frames as usize);
            self.mark = log::complaints();
            self.next += 1;
            let decoder = Decoder::open(self.parameters.get(), self.setup);
            self.decoder = Some(decoder.map_err(|reason| reason.text)?);
        }
        if self.wanted > 0 {
            self.wanted -= 1;
            self.decode(Some(packet))?;
            if self.wanted == 0 {
                self.end()?;
            }
        }
        Ok(())
    }

    fn decode(&mut self, packet: Option<&Packet>) -> Result<(), String> {
        let chunk = self.next.saturating_sub(1);
        let fault = |what: String| format!("decoding can't begin at chunk {chunk}: {what}");
        let failed = |error: AvError| fault(error.to_string());
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        decoder.send(packet).map_err(failed)?;
        while decoder.receive(&mut self.frame).map_err(failed)? {
            if !Decoder::is_clean(&self.frame, self.mark) {
                return Err(fault("a picture is damaged".to_owned()));
            }
            let stamp = stamp_of(&self.frame);
            if let Some(due) = self.due.get(self.came) {
                if stamp != Some(*due) {
                    return Err(fault(format!("a picture at {stamp:?} where {due} is due")));
                }
                self.came += 1;
            }
        }
        if packet.is_none() && self.came < self.due.len() {
            return Err(fault(format!("{} of {} pictures came", self.came, self.due.len())));
        }
        Ok(())
    }

    /// Ends what was begun, if anything was.
    fn end(&mut self) -> Result<(), String> {
        self.decode(None)?;
        self.decoder = None;
        Ok(())
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
