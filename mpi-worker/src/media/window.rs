//! Reads a window of a film: its pictures in order, each once, decoded as a run over the whole file would
//! decode them. Knows nothing of filters and encoders.
//!
//! The rule: seek, decode; when the first picture comes later than the window's first, or the decoder
//! complains on the way to it, begin again twice as far back, at the file's start at worst. An entry
//! point whose key flag promises too little is not trusted: decoding begins one entry earlier.

use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};

use dvp_model::error::Reason;
use dvp_model::plan::Plan;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, Frame, NO_PTS, Packet};
use super::decode::{self, Decoder, Setup};
use super::entry::{Entry, Start, judge};
use super::log;
use super::source::Source;

/// What a picture is to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Just before the first wanted one; only given when decoding passed it anyway, perhaps repeatedly.
    Before,
    /// The wanted picture of this number.
    Wanted(usize),
}

/// Why a window could not be read.
#[derive(Debug)]
pub enum Fault {
    /// What was given so far can't be trusted: throw it away, then run again.
    Again,
    /// It can't be helped.
    Final(Reason),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Fault::Final(reason)
    }
}

/// Where decoding begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// At an entry point at or before this time, in ticks.
    Near(i64),
    /// At the file's start.
    Start,
}

/// Takes pictures as they are decoded.
pub type Take<'t> = &'t mut dyn FnMut(Place, &mut Frame) -> Result<(), Reason>;

/// Reads one window, beginning further and further back as needed.
pub struct Reader<'a> {
    plan: &'a Plan,
    wanted: &'a [i64],
    before: Option<i64>,
    begin: Begin,
    /// Decoding began one entry earlier than a doubtful one.
    insured: bool,
    /// Decoding began anew because of damage within the window.
    again: bool,
}

impl<'a> Reader<'a> {
    /// For the pictures `wanted` (source ticks, rising, not empty); `before` is the one just before.
    pub fn new(plan: &'a Plan, wanted: &'a [i64], before: Option<i64>) -> Self {
        let mut reader =
            Self { plan, wanted, before, begin: Begin::Start, insured: false, again: false };
        reader.begin = reader.near(wanted[0]);
        reader
    }

    /// Gives every wanted picture to `take`, in order.
    pub fn run(&mut self, stop: &AtomicBool, take: Take) -> Result<(), Fault> {
        loop {
            let mut pass = Pass::open(self.plan, self.begin)?;
            if !pass.prime(stop)? {
                return Err(Fault::Final(pass.damage(self.wanted[0])));
            }
            if pass.doubtful && !self.insured && self.begin != Begin::Start {
                self.insured = true;
                self.begin = self.near(pass.begun.map_or(i64::MIN, |begun| begun - 1));
                continue;
            }
            let Some(at) = pass.run(self.wanted, self.before, stop, take)? else { return Ok(()) };
            let in_window = pass.given > 0;
            if self.begin == Begin::Start || (in_window && self.again) {
                return Err(Fault::Final(pass.damage(at)));
            }
            self.step_back(pass.begun);
            if in_window {
                self.again = true;
                return Err(Fault::Again);
            }
        }
    }

    fn step_back(&mut self, begun: Option<i64>) {
        let first = self.wanted[0];
        let second = Ratio::new(1, 1).rescale(1, self.plan.video.time_base).max(1);
        let begun = begun.unwrap_or(first);
        self.begin = self.near((first - 2 * (first - begun).max(second)).min(begun - 1));
    }

    fn near(&self, target: i64) -> Begin {
        match target <= self.plan.video.source_origin {
            true => Begin::Start,
            false => Begin::Near(target),
        }
    }
}

/// One run of a decoder from a place in the file.
struct Pass<'a> {
    plan: &'a Plan,
    source: Source,
    decoder: Decoder,
    packet: Packet,
    /// The packet was read and not yet decoded.
    pending: bool,
    frame: Frame,
    at_start: bool,
    start: Start,
    /// Time of the first packet.
    begun: Option<i64>,
    /// Its key flag promises too little.
    doubtful: bool,
    ended: bool,
    /// Pictures seen, and wanted pictures given.
    seen: usize,
    given: usize,
    /// The decoder's complaints before the first one that counts.
    mark: u64,
}

/// The decoder or the container is at odds with the plan here.
enum Trouble {
    Damage,
    Final(Reason),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Trouble::Final(reason)
    }
}

impl<'a> Pass<'a> {
    fn open(plan: &'a Plan, begin: Begin) -> Result<Pass<'a>, Reason> {
        let video = &plan.video;
        let mut source = Source::open(&plan.input.path, Some(&plan.input), false)?;
        source.select(video.stream);
        let setup = Setup { time_base: video.time_base, reorder: video.source_reorder };
        let decoder = Decoder::open(av::parameters(source.stream(video.stream)?), setup)?;
        let mut at_start = begin == Begin::Start;
        if let Begin::Near(target) = begin {
            // A failed seek leaves the file where it is: at its start.
            at_start = source.seek(video.stream, target).is_err();
        }
        log::forget();
        Ok(Pass {
            plan,
            source,
            decoder,
            packet: Packet::new()?,
            pending: false,
            frame: Frame::new()?,
            at_start,
            start: Start::default(),
            begun: None,
            doubtful: false,
            ended: false,
            seen: 0,
            given: 0,
            mark: log::complaints(),
        })
    }

    /// Reads the first packet; false when there is none.
    fn prime(&mut self, stop: &AtomicBool) -> Result<bool, Reason> {
        if !self.read(stop)? {
            return Ok(false);
        }
        self.pending = true;
        let raw = self.packet.get();
        self.begun = [raw.dts, raw.pts].into_iter().filter(|&time| time != NO_PTS).min();
        let par = av::parameters(self.source.stream(self.plan.video.stream)?);
        let entry = judge(&self.plan.video.decoder, av::extradata(par), self.packet.data());
        self.doubtful = entry == Entry::Doubtful;
        Ok(true)
    }

    /// Gives the window's pictures; or says at which time it could not go on.
    fn run(
        &mut self,
        wanted: &[i64],
        before: Option<i64>,
        stop: &AtomicBool,
        take: Take,
    ) -> Result<Option<i64>, Reason> {
        while let Some(&next) = wanted.get(self.given) {
            match self.next(stop) {
                Ok(true) => {}
                Ok(false) | Err(Trouble::Damage) => return Ok(Some(next)),
                Err(Trouble::Final(reason)) => return Err(reason),
            }
            if self.seen == 0 && self.at_start {
                // What can't be decoded before the film's first picture is no damage to it.
                self.mark = log::complaints();
            }
            self.seen += 1;
            let Some(stamp) = decode::stamp_of(&self.frame) else { return Ok(Some(next)) };
            if !Decoder::is_clean(&self.frame, self.mark) {
                return Ok(Some(stamp));
            }
            if stamp < wanted[0] {
                if Some(stamp) == before {
                    self.give(Place::Before, take)?;
                }
                continue;
            }
            if stamp != next {
                return Ok(Some(next));
            }
            self.check_kind(stamp)?;
            self.give(Place::Wanted(self.given), take)?;
            self.given += 1;
        }
        Ok(None)
    }

    /// Hands the picture on. What filters and encoders complain of on the way is no damage of the source.
    fn give(
        &mut self,
        place: Place,
        take: &mut dyn FnMut(Place, &mut Frame) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let before = log::complaints();
        take(place, &mut self.frame)?;
        self.mark += log::complaints() - before;
        Ok(())
    }

    /// Decodes the next picture; false at the end of the film.
    fn next(&mut self, stop: &AtomicBool) -> Result<bool, Trouble> {
        loop {
            match self.decoder.receive(&mut self.frame) {
                Ok(true) => return Ok(true),
                Ok(false) if self.ended => return Ok(false),
                Ok(false) => {}
                Err(_) if self.at_start && self.seen == 0 => {}
                Err(_) => return Err(Trouble::Damage),
            }
            if !self.pending && !self.read(stop)? {
                self.ended = true;
                self.decoder.send(None).map_err(|_| Trouble::Damage)?;
                continue;
            }
            self.pending = false;
            if self.packet.has(ffi::AV_PKT_FLAG_CORRUPT) {
                return Err(Trouble::Damage);
            }
            let sent = self.decoder.send(Some(&self.packet));
            if sent.is_err() && !(self.at_start && self.seen == 0) {
                return Err(Trouble::Damage);
            }
        }
    }

    /// Reads the next packet of the film.
    fn read(&mut self, stop: &AtomicBool) -> Result<bool, Reason> {
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(super::stopped());
            }
            if !self.source.read(&mut self.packet)? {
                return Ok(false);
            }
            if self.packet.get().stream_index as u32 != self.plan.video.stream {
                continue;
            }
            if !self.at_start || self.start.takes(self.packet.has(ffi::AV_PKT_FLAG_KEY)) {
                return Ok(true);
            }
        }
    }

    /// One size and format throughout.
    fn check_kind(&self, stamp: i64) -> Result<(), Reason> {
        let (raw, video) = (self.frame.get(), &self.plan.video);
        let size = (raw.width as u32, raw.height as u32);
        let format = av::pixel_format_name(raw.format);
        if size == (video.source_width, video.source_height) && format == video.source_format {
            return self.check_shape(stamp);
        }
        Err(self.change(
            stamp,
            "the pictures change",
            format_args!("{}x{} {}", video.source_width, video.source_height, video.source_format),
            format_args!("{}x{} {format}", size.0, size.1),
        ))
    }

    /// One shape of the pixels throughout, unless the container's word stands above the pictures'.
    fn check_shape(&self, stamp: i64) -> Result<(), Reason> {
        let stated = self.source.stream(self.plan.video.stream)?.sample_aspect_ratio;
        let shape = |of: Ratio| if of.num > 0 { of } else { Ratio::new(1, 1) };
        let planned = shape(self.plan.video.source_aspect);
        let found = shape(av::ratio(self.frame.get().sample_aspect_ratio));
        if stated.num > 0 || planned.num * found.den == found.num * planned.den {
            return Ok(());
        }
        Err(self.change(
            stamp,
            "the shape of the pixels changes",
            format_args!("{}:{}", planned.num, planned.den),
            format_args!("{}:{}", found.num, found.den),
        ))
    }

    /// The reason for a change at a picture that the plan doesn't know.
    fn change(&self, stamp: i64, what: &str, from: Arguments<'_>, to: Arguments<'_>) -> Reason {
        Reason::input(format!(
            "{}: at {} {what} from {from} to {to}, which can't be carried yet",
            self.plan.input.path,
            moment(self.plan, stamp)
        ))
    }

    /// The reason for damage at a picture.
    fn damage(&self, stamp: i64) -> Reason {
        let words = log::last_line().map_or(String::new(), |line| format!(" ({line})"));
        Reason::input(format!(
            "{} is damaged: the picture at {} can't be decoded{words}; get a whole copy",
            self.plan.input.path,
            moment(self.plan, stamp)
        ))
    }
}

/// A moment as a person reads it, from the film's start.
pub fn moment(plan: &Plan, stamp: i64) -> String {
    let video = &plan.video;
    format!("{:.3} s", (stamp - video.source_origin) as f64 * video.time_base.as_f64())
}
