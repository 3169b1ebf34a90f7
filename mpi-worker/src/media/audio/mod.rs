//! The sound of a plan: all its audio streams, whole and once, into one object, copied or encoded anew.
//! Knows nothing of pictures, ranks and containers beyond what a container can say about priming.

mod adts;
mod coder;
mod convert;
mod copy;
mod encode;
mod joint;
mod parts;
mod place;
mod skip;
mod verify;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use dvp_model::error::{Kind, Reason};
use dvp_model::plan::{AudioPlan, Plan};
use dvp_model::time::Ratio;
use dvp_model::wire::worker::{Report, Witness};
use dvp_model::{FilePath, Item};
use ffmpeg_next::ffi;

use super::av::{self, NO_PTS, Packet};
use super::object::{Header, Writer};
use super::source::{How, Source};
use copy::Copy;
use encode::Encode;
use joint::Joints;
use verify::Expected;

/// Of the thousandths of progress, those that are told while the object is written.
const WRITTEN: u64 = 900;
const US: Ratio = Ratio::new(1, 1_000_000);

/// Makes the sound's object at `dest`. `progress` is told thousandths; when `stop` is set, this returns
/// soon with a `Conflict` reason. What was written is read back and decoded before this returns.
///
/// # Errors
/// `Input` for damage, for sound that changes its form, or for a file that is no longer the planned one;
/// `Machine` for a full disk and the like; `Bug` when what was written is not what went in.
pub fn sound(
    plan: &Plan,
    dest: &Path,
    progress: &mut dyn FnMut(u64),
    stop: &AtomicBool,
) -> Result<Report, Reason> {
    let begun = Instant::now();
    let film = Film { plan };
    let mut source = film.source()?;
    let mut lanes = Lanes::open(&film, &source)?;
    let header =
        Header { item: Item::Sound, plan: plan.hash(), streams: lanes.streams(&film, &source)? };
    let mut out = Output { writer: Writer::create(dest, &header)?, span: None };
    lanes.run(&film, &mut source, &mut out, progress, stop)?;
    source.still_same()?;
    let (packets, span) = (out.writer.packets(), out.span.unwrap_or_default());
    let (sha256, size) = out.writer.finish()?;
    let mut told = WRITTEN;
    let rest = 1000 - WRITTEN;
    verify::verify(dest, &lanes.expected()?, stop, &mut |done| {
        let now = WRITTEN + done * rest / packets.max(1);
        if now > told {
            told = now;
            progress(now);
        }
    })?;
    if told < 1000 {
        progress(1000);
    }
    Ok(Report {
        frames: packets,
        span,
        witness: Witness::default(),
        sha256,
        size,
        wall_ms: begun.elapsed().as_millis() as u64,
        remarks: lanes.remarks(&film),
    })
}

/// What lanes ask of the plan.
pub struct Film<'a> {
    plan: &'a Plan,
}

impl Film<'_> {
    fn path(&self) -> &FilePath {
        &self.plan.input.path
    }

    fn source(&self) -> Result<Source, Reason> {
        let (input, audio) = (&self.plan.input, &self.plan.audio);
        let edited = audio.iter().all(|audio| audio.parts.is_empty());
        let how = How { probe: true, edited, tolerant: self.plan.spec.tolerant };
        let source = Source::open_as(&input.path, Some(input), how)?;
        let wanted: Vec<u32> = audio.iter().map(|audio| audio.stream).collect();
        coder::hear_only(&source, &wanted);
        Ok(source)
    }

    fn audio(&self, number: u16) -> &AudioPlan {
        &self.plan.audio[usize::from(number)]
    }

    /// Whether the container says of each packet which samples are not heard. Matroska does, through
    /// DiscardPadding; mp4 says it with an edit list, which follows from the packets' times.
    fn marks_priming(&self) -> bool {
        self.plan.spec.container.is_matroska()
    }

    /// A gap longer than the film is none, but broken timestamps.
    fn longest_gap_s(&self) -> i64 {
        self.plan.duration_us().max(0) / 1_000_000 + 60
    }

    /// A moment in the film, as a person reads it.
    fn moment(&self, time: Option<i64>, base: Ratio) -> String {
        let Some(time) = time else { return "its end".to_owned() };
        let video = &self.plan.video;
        let start_us = video.time_base.rescale(video.source_origin, US);
        format!("{:.3} s", (base.rescale(time, US) - start_us) as f64 / 1e6)
    }
}

/// Where packets go.
struct Output {
    writer: Writer,
    /// First and last time, ticks of their streams.
    span: Option<(i64, i64)>,
}

impl Output {
    fn packet(&mut self, packet: &super::object::Packet) -> Result<(), Reason> {
        let (first, last) = self.span.unwrap_or((packet.pts, packet.pts));
        self.span = Some((first.min(packet.pts), last.max(packet.pts)));
        self.writer.packet(packet)
    }
}

/// What is done with one stream.
enum Lane {
    Copy { copy: Copy, packets: u64 },
    Encode(Box<Encode>),
}

impl Lane {
    fn damage(&mut self) -> &mut Damage {
        match self {
            Lane::Copy { copy, .. } => &mut copy.damage,
            Lane::Encode(encode) => &mut encode.damage,
        }
    }
}

/// All streams, and how each is moved where the file's times jump.
struct Lanes(Vec<(Lane, Joints)>);

impl Lanes {
    fn open(film: &Film, source: &Source) -> Result<Lanes, Reason> {
        let open = |(number, audio): (usize, &AudioPlan)| {
            let stream = source.stream(audio.stream)?;
            let (par, base) = (av::parameters(stream), av::ratio(stream.time_base));
            if par.codec_type != ffi::AVMediaType::AVMEDIA_TYPE_AUDIO {
                return Err(Reason::bug(format!("stream {} is no sound", audio.stream)));
            }
            let number = number as u16;
            let lane = match audio.codec.as_str() {
                "copy" => Lane::Copy { copy: Copy::new(film, number, par, base)?, packets: 0 },
                _ => Lane::Encode(Box::new(Encode::new(film, number, par, base)?)),
            };
            Ok((lane, Joints::new(&film.plan.splices, base)))
        };
        film.plan.audio.iter().enumerate().map(open).collect::<Result<_, _>>().map(Lanes)
    }

    fn streams(&self, film: &Film, source: &Source) -> Result<Vec<super::object::Stream>, Reason> {
        let described = |((lane, _), audio): (&(Lane, Joints), &AudioPlan)| match lane {
            Lane::Copy { copy, .. } => {
                Ok(copy.described(av::parameters(source.stream(audio.stream)?)))
            }
            Lane::Encode(encode) => encode.described(),
        };
        self.0.iter().zip(&film.plan.audio).map(described).collect()
    }

    fn run(
        &mut self,
        film: &Film,
        source: &mut Source,
        out: &mut Output,
        progress: &mut dyn FnMut(u64),
        stop: &AtomicBool,
    ) -> Result<(), Reason> {
        let passes = film.plan.audio.iter().map(|audio| parts::passes(&audio.parts).len());
        let passes = passes.max().unwrap_or(1).max(1);
        let mut told = 0;
        for pass in 0..passes {
            if pass > 0 {
                *source = film.source()?;
                for (lane, _) in &mut self.0 {
                    if let Lane::Encode(encode) = lane {
                        encode.again(film, source, stop, &mut |packet| out.packet(&packet))?;
                    }
                }
            }
            let mut tell = |now: u64| {
                let now = (pass as u64 * WRITTEN + now.min(WRITTEN)) / passes as u64;
                if now > told {
                    told = now;
                    progress(told);
                }
            };
            self.pass(film, source, out, &mut tell, stop)?;
        }
        for (lane, _) in &mut self.0 {
            if let Lane::Encode(encode) = lane {
                encode.finish(film, stop, &mut |packet| out.packet(&packet))?;
            }
        }
        Ok(())
    }

    /// Goes through the file once.
    fn pass(
        &mut self,
        film: &Film,
        source: &mut Source,
        out: &mut Output,
        tell: &mut dyn FnMut(u64),
        stop: &AtomicBool,
    ) -> Result<(), Reason> {
        let mut packet = Packet::new()?;
        while !self.are_over() && source.read(&mut packet)? {
            if stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            let index = packet.get().stream_index as u32;
            let place = film.plan.audio.iter().position(|audio| audio.stream == index);
            let Some(number) = place else { continue };
            let (lane, joints) = &mut self.0[number];
            let lacks = shift(&mut packet, joints);
            if packet.has(ffi::AV_PKT_FLAG_CORRUPT) && (!source.is_strewn() || lacks) {
                let reason = broken(film, &packet, av::ratio(source.stream(index)?.time_base));
                lane.damage().note(film, reason)?;
            }
            match lane {
                Lane::Copy { copy, packets } => {
                    let par = av::parameters(source.stream(index)?);
                    let samples = coder::samples_of(par, packet.data().len());
                    if let Some(packet) = copy.packet(film, &packet, samples)? {
                        *packets += 1;
                        out.packet(&packet)?;
                    }
                }
                Lane::Encode(encode) => {
                    encode.packet(film, &packet, stop, &mut |packet| out.packet(&packet))?;
                }
            }
            tell(source.position().saturating_mul(WRITTEN) / source.identity().size.max(1));
        }
        Ok(())
    }

    fn are_over(&self) -> bool {
        let over = |lane: &Lane| matches!(lane, Lane::Encode(encode) if encode.is_over());
        self.0.iter().all(|(lane, _)| over(lane))
    }

    fn expected(&self) -> Result<Vec<Expected>, Reason> {
        let expected = |(lane, _): &(Lane, Joints)| match lane {
            Lane::Copy { packets, .. } => Ok(Expected {
                parameters: None,
                packets: *packets,
                samples: 0,
                padding: 0,
                frame: 0,
                fingerprint: None,
            }),
            Lane::Encode(encode) => encode.expected(),
        };
        self.0.iter().map(expected).collect()
    }

    fn remarks(&self, film: &Film) -> Vec<String> {
        let remarks = |(lane, _): &(Lane, Joints)| match lane {
            Lane::Copy { copy, .. } => copy.remarks(),
            Lane::Encode(encode) => encode.remarks(film),
        };
        self.0.iter().flat_map(remarks).collect()
    }
}

/// Moves a packet by what its stream's jumps ask for. True when something is missing before it.
fn shift(packet: &mut Packet, joints: &mut Joints) -> bool {
    let raw = packet.get_mut();
    let time = [raw.pts, raw.dts].into_iter().find(|&time| time != NO_PTS);
    let Some(step) = time.map(|time| joints.next(time, raw.duration)) else { return false };
    for time in [&mut raw.pts, &mut raw.dts] {
        if *time != NO_PTS {
            *time += step.shift;
        }
    }
    step.lacks
}

/// The reason against a packet that the container calls broken. In a stream that was joined it may be
/// whole: there only one behind which something is missing is asked about.
fn broken(film: &Film, packet: &Packet, base: Ratio) -> Reason {
    let raw = packet.get();
    let time = [raw.pts, raw.dts].into_iter().find(|&time| time != NO_PTS);
    Reason::input(format!(
        "{} is damaged: its sound (stream {}) is cut off at {}; get a whole copy",
        film.path(),
        raw.stream_index,
        film.moment(time, base)
    ))
}

/// Damage of a stream, where that is tolerated.
#[derive(Debug, Default)]
struct Damage {
    count: u64,
    first: Option<Reason>,
}

impl Damage {
    /// Counts it, or fails with it.
    fn note(&mut self, film: &Film, reason: Reason) -> Result<(), Reason> {
        if !film.plan.spec.tolerant || reason.kind != Kind::Input {
            return Err(reason);
        }
        self.count += 1;
        self.first.get_or_insert(reason);
        Ok(())
    }

    fn remark(&self, stream: u32) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(format!(
            "sound, stream {stream}: damaged in {} places, as was to be tolerated; the first: {first}",
            self.count
        ))
    }
}

fn stopped() -> Reason {
    Reason::conflict("stopped before the sound was done")
}
