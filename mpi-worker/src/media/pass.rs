//! One run of a decoder over a film, from an entry point or from the file's start: its pictures in the
//! order in which they are shown. Which of them are wanted is `window`'s and `count`'s to know.

use std::sync::atomic::{AtomicBool, Ordering};

use dvp_model::error::Reason;
use dvp_model::media::Identity;
use dvp_model::plan::Plan;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, Frame, NO_PTS, Packet};
use super::decode::{Decoder, Setup};
use super::entry::{Entry, Start, judge};
use super::log;
use super::source::{How, Source};

/// Which pictures of which file.
#[derive(Clone, Debug)]
pub struct Film {
    /// The file, which must still be this one.
    pub input: Identity,
    /// The stream.
    pub stream: u32,
    /// libavcodec's name of its codec.
    pub codec: String,
    /// How to decode it.
    pub setup: Setup,
    /// The file's edit lists are followed.
    pub edited: bool,
    /// Damage is counted, and what the decoder makes of it is taken.
    pub tolerant: bool,
}

impl Film {
    /// A plan's.
    pub fn of(plan: &Plan) -> Film {
        let video = &plan.video;
        Film {
            input: plan.input.clone(),
            stream: video.stream,
            codec: video.decoder.clone(),
            setup: Setup { time_base: video.time_base, reorder: video.source_reorder },
            edited: video.runs.is_empty(),
            tolerant: plan.spec.tolerant,
        }
    }

    fn source(&self) -> Result<Source, Reason> {
        let how = How { probe: false, edited: self.edited, tolerant: self.tolerant };
        let mut source = Source::open_as(&self.input.path, Some(&self.input), how)?;
        source.select(self.stream);
        Ok(source)
    }

    /// A second, in ticks.
    pub fn second(&self) -> i64 {
        Ratio::new(1, 1).rescale(1, self.setup.time_base).max(1)
    }
}

/// Where decoding begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At an entry point at or before this time, in ticks.
    Near(i64),
    /// At the file's start.
    Start,
}

/// The decoder or the container is at odds with what was expected here.
pub enum Trouble {
    /// Damage, or a wrong place to begin.
    Damage,
    /// Anything else.
    Final(Reason),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Trouble::Final(reason)
    }
}

/// A run.
pub struct Pass {
    film: Film,
    /// The opened file.
    pub source: Source,
    decoder: Decoder,
    packet: Packet,
    /// The packet was read and not yet decoded.
    pending: bool,
    /// The picture that [`Pass::next`] decoded.
    pub frame: Frame,
    /// Decoding began at the file's start.
    pub at_start: bool,
    start: Start,
    /// See [`Source::is_strewn`].
    strewn: bool,
    /// A seek may have ended anywhere: decoding waits for an entry point.
    adrift: bool,
    /// Time of the first packet.
    pub begun: Option<i64>,
    /// When the first packet's picture is shown.
    pub shown: Option<i64>,
    /// Its key flag promises too little.
    pub doubtful: bool,
    ended: bool,
    /// Pictures decoded.
    seen: u64,
    /// The decoder's complaints before the first one that counts.
    mark: u64,
    /// A packet was broken, or not taken.
    torn: bool,
}

impl Pass {
    /// Opens the file and goes where decoding is to begin.
    ///
    /// # Errors
    /// Those of [`Source::open`] and [`Decoder::open`].
    pub fn open(film: &Film, begin: Begin) -> Result<Pass, Reason> {
        let mut source = film.source()?;
        let mut packet = Packet::new()?;
        let strewn = source.is_strewn();
        if strewn && begin != Begin::Start {
            // The first time in the file decides how those are read that have wrapped.
            source.read(&mut packet)?;
        }
        let decoder = Decoder::open(av::parameters(source.stream(film.stream)?), film.setup)?;
        let mut at_start = begin == Begin::Start;
        if let Begin::Near(target) = begin
            && source.seek(film.stream, target).is_err()
        {
            at_start = true;
            if strewn {
                source = film.source()?;
            }
        }
        log::forget();
        Ok(Pass {
            film: film.clone(),
            source,
            decoder,
            packet,
            pending: false,
            frame: Frame::new()?,
            at_start,
            start: Start::default(),
            strewn,
            adrift: strewn && !at_start,
            begun: None,
            shown: None,
            doubtful: false,
            ended: false,
            seen: 0,
            mark: log::complaints(),
            torn: false,
        })
    }

    /// Reads the first packet; false when there is none. A wandering seek passes over what no picture at
    /// `first` or before can begin with.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub fn prime(&mut self, first: i64, stop: &AtomicBool) -> Result<bool, Reason> {
        loop {
            if !self.read(stop)? {
                return Ok(false);
            }
            let raw = self.packet.get();
            self.begun = [raw.dts, raw.pts].into_iter().filter(|&time| time != NO_PTS).min();
            self.shown = Some(raw.pts).filter(|&time| time != NO_PTS);
            if !self.adrift || self.packet.has(ffi::AV_PKT_FLAG_KEY) {
                break;
            }
            if self.begun.is_some_and(|begun| begun > first) {
                return Ok(false);
            }
        }
        self.adrift = false;
        self.pending = true;
        let par = av::parameters(self.source.stream(self.film.stream)?);
        let entry = judge(&self.film.codec, av::extradata(par), self.packet.data());
        self.doubtful = entry == Entry::Doubtful;
        Ok(true)
    }

    /// Decodes the next picture into `frame`; false at the end of the film.
    ///
    /// # Errors
    /// `Damage` when it does not come out whole.
    pub fn next(&mut self, stop: &AtomicBool) -> Result<bool, Trouble> {
        if !self.decode(stop)? {
            return Ok(false);
        }
        if self.seen == 0 && self.at_start {
            // What can't be decoded before the film's first picture is no damage to it.
            self.mark = log::complaints();
        }
        self.seen += 1;
        Ok(true)
    }

    /// Whether the decoder had no complaint up to the picture in `frame`, or is to be forgiven.
    pub fn is_clean(&self) -> bool {
        self.film.tolerant || Decoder::is_clean(&self.frame, self.mark)
    }

    /// Whether something was damaged since this was asked last.
    pub fn is_damaged(&mut self) -> bool {
        let clean = Decoder::is_clean(&self.frame, self.mark) && !self.torn;
        self.mark = log::complaints();
        self.torn = false;
        !clean
    }

    /// Complaints of others than the decoder do not count.
    pub fn forgive(&mut self, complaints: u64) {
        self.mark += complaints;
    }

    fn decode(&mut self, stop: &AtomicBool) -> Result<bool, Trouble> {
        loop {
            match self.decoder.receive(&mut self.frame) {
                Ok(true) => return Ok(true),
                Ok(false) if self.ended => return Ok(false),
                Ok(false) => {}
                Err(_) if self.at_start && self.seen == 0 => {}
                Err(_) if self.film.tolerant => self.torn = true,
                Err(_) => return Err(Trouble::Damage),
            }
            if !self.pending && !self.read(stop)? {
                self.ended = true;
                self.decoder.send(None).map_err(|_| Trouble::Damage)?;
                continue;
            }
            self.pending = false;
            // A stream that was joined is torn there and still whole: the decoder must tell.
            let torn = self.packet.has(ffi::AV_PKT_FLAG_CORRUPT) && !self.strewn;
            if torn && !self.film.tolerant {
                return Err(Trouble::Damage);
            }
            let sent = self.decoder.send(Some(&self.packet));
            let failed = sent.is_err() && !(self.at_start && self.seen == 0);
            if failed && !self.film.tolerant {
                return Err(Trouble::Damage);
            }
            self.torn |= torn || failed;
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
            if self.packet.get().stream_index as u32 != self.film.stream {
                continue;
            }
            if !self.at_start || self.start.takes(self.packet.has(ffi::AV_PKT_FLAG_KEY)) {
                return Ok(true);
            }
        }
    }
}

/// The reason for damage at a picture. `moment` says when, from the film's start.
pub fn damage(input: &Identity, moment: &str) -> Reason {
    let words = log::last_line().map_or(String::new(), |line| format!(" ({line})"));
    Reason::input(format!(
        "{} is damaged: the picture at {moment} can't be decoded{words}; get a whole copy",
        input.path
    ))
}
