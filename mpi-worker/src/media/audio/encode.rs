//! Sound that is encoded anew: decoded, placed on the output's time line to the sample, converted,
//! encoded. Knows nothing of containers.

use std::sync::atomic::{AtomicBool, Ordering};

use dvp_model::error::Reason;
use dvp_model::media::Part;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::coder::{self, Encoder};
use super::convert::{self, Form, Layout, Queue, Resampler};
use super::parts::{self, Piece};
use super::place::{Clock, Grid, Jump};
use super::verify::{Expected, Fingerprint};
use super::{Damage, Film, skip, stopped};
use crate::media::av::{AvError, Frame, NO_PTS, Packet};
use crate::media::decode::{Decoder, Setup, stamp_of};
use crate::media::source::Source;
use crate::media::{av, log, object};

/// Takes finished packets.
pub type Sink<'a> = &'a mut dyn FnMut(object::Packet) -> Result<(), Reason>;

/// One stream that is encoded anew.
pub struct Encode {
    number: u16,
    base: Ratio,
    /// What an edit list shows, by passes through the file; none: all. And the pass that runs.
    passes: Vec<Vec<Part>>,
    pass: usize,
    decoder: Decoder,
    frame: Frame,
    coded: Packet,
    /// What the first frame brought.
    source: Option<(Grid, Resampler)>,
    form: Form,
    queue: Queue,
    encoder: Encoder,
    fingerprint: Fingerprint,
    /// Output position of the first sample, and samples encoded.
    start: i64,
    sent: i64,
    packets: u64,
    /// The window's end was reached.
    over: bool,
    /// Silence that was put into gaps, and sound that overlapped, in source samples.
    silence: i64,
    overlap: i64,
    /// What was tolerated.
    pub damage: Damage,
}

impl Encode {
    /// Stream `number` of the object, from a stream with these parameters and time base.
    ///
    /// # Errors
    /// `Input` when it can't be decoded, or encoded as planned.
    pub fn new(
        film: &Film,
        number: u16,
        par: &ffi::AVCodecParameters,
        base: Ratio,
    ) -> Result<Encode, Reason> {
        let audio = film.audio(number);
        // As ffmpeg chooses: the narrowest format that holds the source.
        let narrow = convert::sample_format(par.format).is_some_and(|f| convert::bytes_of(f) <= 2);
        let format = match audio.codec.as_str() {
            "flac" if narrow => ffi::AVSampleFormat::AV_SAMPLE_FMT_S16,
            "flac" => ffi::AVSampleFormat::AV_SAMPLE_FMT_S32,
            _ => ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP,
        };
        let form = Form { format, rate: audio.sample_rate, layout: Layout::named(&audio.layout)? };
        let encoder = Encoder::open(&audio.codec, &form)?;
        Ok(Encode {
            number,
            base,
            passes: parts::passes(&audio.parts),
            pass: 0,
            decoder: Decoder::open(par, Setup { time_base: base, reorder: 0 })?,
            frame: Frame::new()?,
            coded: Packet::new()?,
            source: None,
            queue: Queue::new(&form),
            fingerprint: Fingerprint::new(audio.codec == "flac"),
            form,
            encoder,
            start: 0,
            sent: 0,
            packets: 0,
            over: false,
            silence: 0,
            overlap: 0,
            damage: Damage::default(),
        })
    }

    /// What the object says of it.
    pub fn described(&self) -> Result<object::Stream, Reason> {
        Ok(coder::described(self.encoder.parameters()?.get()))
    }

    /// Whether no later packet is wanted.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Decodes a packet and encodes what came out.
    pub fn packet(
        &mut self,
        film: &Film,
        packet: &Packet,
        stop: &AtomicBool,
        sink: Sink,
    ) -> Result<(), Reason> {
        if self.over {
            return Ok(());
        }
        let raw = packet.get();
        let time = [raw.pts, raw.dts].into_iter().find(|&time| time != NO_PTS);
        if let Err(error) = self.decoder.send(Some(packet)) {
            let reason = self.damaged(film, time, &words(error));
            self.damage.note(film, reason)?;
        }
        self.drain(film, time, stop, sink)
    }

    /// Ends one pass through the file and begins the next.
    pub fn again(
        &mut self,
        film: &Film,
        source: &Source,
        stop: &AtomicBool,
        sink: Sink,
    ) -> Result<(), Reason> {
        self.drain_all(film, stop, sink)?;
        let par = av::parameters(source.stream(film.audio(self.number).stream)?);
        self.decoder = Decoder::open(par, Setup { time_base: self.base, reorder: 0 })?;
        self.pass += 1;
        Ok(())
    }

    /// Takes what the decoder still holds.
    fn drain_all(&mut self, film: &Film, stop: &AtomicBool, sink: Sink) -> Result<(), Reason> {
        if self.over {
            return Ok(());
        }
        if let Err(error) = self.decoder.send(None) {
            let reason = self.damaged(film, None, &words(error));
            self.damage.note(film, reason)?;
        }
        self.drain(film, None, stop, sink)
    }

    /// Ends the stream.
    pub fn finish(&mut self, film: &Film, stop: &AtomicBool, sink: Sink) -> Result<(), Reason> {
        self.drain_all(film, stop, sink)?;
        if let Some((_, resampler)) = &mut self.source {
            resampler.flush(&mut self.queue)?;
        }
        self.encode(true, sink)?;
        if self.sent > 0 {
            self.encoder.send(None)?;
            self.collect(sink)?;
        }
        Ok(())
    }

    /// What its packets must decode to.
    pub fn expected(&self) -> Result<Expected, Reason> {
        Ok(Expected {
            parameters: Some(self.encoder.parameters()?),
            packets: self.packets,
            samples: self.sent,
            padding: self.encoder.padding(),
            frame: self.encoder.frame_size() as i64,
            fingerprint: self.fingerprint.hex(),
        })
    }

    /// What should be said of it.
    pub fn remarks(&self, film: &Film) -> Vec<String> {
        let Some((grid, _)) = &self.source else { return Vec::new() };
        let stream = film.audio(self.number).stream;
        let seconds = |samples: i64| samples as f64 / grid.clock().rate as f64;
        let mut remarks: Vec<String> = self.damage.remark(stream).into_iter().collect();
        if self.silence > 0 {
            remarks.push(format!(
                "sound, stream {stream}: {:.3} s are missing in the file; silence is put there",
                seconds(self.silence)
            ));
        }
        if self.overlap > 0 {
            remarks.push(format!(
                "sound, stream {stream}: {:.3} s overlap in the file and are heard once",
                seconds(self.overlap)
            ));
        }
        remarks
    }

    fn drain(
        &mut self,
        film: &Film,
        time: Option<i64>,
        stop: &AtomicBool,
        sink: Sink,
    ) -> Result<(), Reason> {
        while !self.over {
            match self.decoder.receive(&mut self.frame) {
                Ok(true) => self.decoded(film, stop, sink)?,
                Ok(false) => break,
                Err(error) => {
                    let reason = self.damaged(film, time, &words(error));
                    self.damage.note(film, reason)?;
                }
            }
        }
        Ok(())
    }

    fn decoded(&mut self, film: &Film, stop: &AtomicBool, sink: Sink) -> Result<(), Reason> {
        let pts = stamp_of(&self.frame);
        if self.frame.get().decode_error_flags != 0 {
            let reason = self.damaged(film, pts, "the decoder had to guess");
            self.damage.note(film, reason)?;
        }
        self.check_form(film, pts)?;
        let samples = i64::from(self.frame.get().nb_samples);
        let all = vec![Piece { pts, skip: 0, take: samples }];
        let rate = self.source.as_ref().map_or(1, |(grid, _)| grid.clock().rate);
        let pieces = match (self.passes.is_empty(), pts) {
            (true, _) => all,
            (false, Some(pts)) => {
                let pass = self.passes.get(self.pass).map_or(&[][..], Vec::as_slice);
                parts::pieces(pass, self.base, rate, pts, samples)
            }
            (false, None) => Vec::new(),
        };
        pieces.into_iter().try_for_each(|piece| self.place(film, piece, stop, sink))
    }

    /// Encodes a piece of the decoded frame in its place.
    fn place(
        &mut self,
        film: &Film,
        piece: Piece,
        stop: &AtomicBool,
        sink: Sink,
    ) -> Result<(), Reason> {
        let Some((grid, _)) = &mut self.source else { return Ok(()) };
        let Piece { pts, skip, take: samples } = piece;
        let placed = match grid.place(pts, samples) {
            Ok(placed) => placed,
            Err(Jump(seconds)) => {
                return Err(Reason::input(format!(
                    "{}: the timestamps of its sound (stream {}) jump by {seconds:.3} s at {}: write the file \
                     anew, or leave the sound out (convert.audio=none)",
                    film.path(),
                    film.audio(self.number).stream,
                    film.moment(pts, self.base)
                )));
            }
        };
        if self.sent == 0 && self.queue.samples() == 0 && placed.silence + placed.take > 0 {
            let from = Ratio::new(1, grid.clock().rate);
            self.start = from.rescale(placed.at, Ratio::new(1, self.form.rate.into()));
        }
        self.over = placed.over;
        self.silence += placed.silence;
        if grid.clock().cut.is_none() {
            self.overlap += samples - placed.take;
        }
        let mut silence = placed.silence;
        while silence > 0 {
            if stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            let Some((grid, resampler)) = &mut self.source else { break };
            let some = silence.min(grid.clock().rate);
            resampler.silence(some as usize, &mut self.queue)?;
            silence -= some;
            self.encode(false, sink)?;
        }
        if placed.take > 0
            && let Some((_, resampler)) = &mut self.source
        {
            resampler.frame(
                &self.frame,
                (skip + placed.skip) as usize,
                placed.take as usize,
                &mut self.queue,
            )?;
            self.encode(false, sink)?;
        }
        Ok(())
    }

    /// One form throughout; the first frame says which.
    fn check_form(&mut self, film: &Film, pts: Option<i64>) -> Result<(), Reason> {
        let raw = self.frame.get();
        let format = convert::sample_format(raw.format);
        let (Some(format), true) = (format, raw.sample_rate > 0 && raw.ch_layout.nb_channels > 0)
        else {
            return Err(self.damaged(film, pts, "it has no known form"));
        };
        let rate = raw.sample_rate as u32;
        let layout = Layout::copied(&raw.ch_layout)?;
        let Some((_, resampler)) = &self.source else {
            let audio = film.audio(self.number);
            let clock = Clock {
                base: self.base,
                rate: rate.into(),
                origin_us: audio.origin_us,
                cut: audio.window.map(|(start, end)| end.map(|end| end - start)),
                longest_gap: film.longest_gap_s() * i64::from(rate),
            };
            let to = Form {
                format: self.form.format,
                rate: self.form.rate,
                layout: Layout::named(&audio.layout)?,
            };
            let resampler = Resampler::new(Form { format, rate, layout }, to)?;
            self.source = Some((Grid::new(clock), resampler));
            return Ok(());
        };
        let first = resampler.from();
        let same =
            (first.format, first.rate) == (format, rate) && first.layout.name() == layout.name();
        if same {
            return Ok(());
        }
        Err(Reason::input(format!(
            "{}: at {} its sound (stream {}) changes from {} Hz {} to {rate} Hz {}, which can't be carried \
             yet: split the file there, or leave the sound out (convert.audio=none)",
            film.path(),
            film.moment(pts, self.base),
            film.audio(self.number).stream,
            first.rate,
            first.layout.name(),
            layout.name()
        )))
    }

    /// Encodes whole frames of what waits, and at the end the rest.
    fn encode(&mut self, all: bool, sink: Sink) -> Result<(), Reason> {
        let size = self.encoder.frame_size();
        while self.queue.samples() >= size || (all && self.queue.samples() > 0) {
            let mut frame = self.queue.take(size, &self.form)?;
            frame.get_mut().pts = self.start + self.sent;
            self.sent += i64::from(frame.get().nb_samples);
            self.fingerprint.add(&frame);
            self.encoder.send(Some(&frame))?;
            self.collect(sink)?;
        }
        Ok(())
    }

    fn collect(&mut self, sink: Sink) -> Result<(), Reason> {
        while self.encoder.receive(&mut self.coded)? {
            let raw = self.coded.get();
            let size = self.encoder.frame_size() as i64;
            let mut marks = skip::of(&self.coded);
            if self.encoder.padding() > 0 && !self.coded.data().is_empty() {
                // Whole packets of priming, and what fills up the last packet.
                let before = raw.pts + size <= self.start;
                marks.end = if before { size } else { (size - raw.duration).max(0) };
            }
            let packet = object::Packet {
                stream: self.number,
                key: self.coded.has(ffi::AV_PKT_FLAG_KEY),
                pts: raw.pts,
                dts: raw.pts,
                duration: raw.duration,
                side: skip::with(&self.coded, marks),
                data: self.coded.data().to_vec(),
            };
            self.packets += 1;
            sink(packet)?;
        }
        Ok(())
    }

    fn damaged(&self, film: &Film, time: Option<i64>, words: &str) -> Reason {
        Reason::input(format!(
            "{} is damaged: its sound (stream {}) at {} can't be decoded: {words}; get a whole copy, or leave \
             the sound out (convert.audio=none)",
            film.path(),
            film.audio(self.number).stream,
            film.moment(time, self.base)
        ))
    }
}

/// What the decoder said, or else what the error's number means.
fn words(error: AvError) -> String {
    log::last_line().unwrap_or_else(|| error.to_string())
}
