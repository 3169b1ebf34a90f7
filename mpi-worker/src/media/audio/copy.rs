//! Sound that is carried as it is: the same packets at the same time relative to the pictures. Knows
//! nothing of decoders.

use dvp_model::error::Reason;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::place::Smooth;
use super::{Damage, Film, adts, broken, coder, skip};
use crate::media::av::{self, NO_PTS, Packet};
use crate::media::object;
use crate::media::source::Source;

/// One copied stream.
pub struct Copy {
    number: u16,
    stream: u32,
    base: Ratio,
    rate: i64,
    smooth: Smooth,
    /// What the headers say that stand before every frame of the file and before none of the output.
    framed: Option<adts::Config>,
    /// The output's origin, samples.
    origin: i64,
    /// Samples that are still to be passed over before sound is heard.
    hidden: i64,
    /// A packet that is heard was written.
    heard: bool,
    last: Option<i64>,
    /// Packets that an edit in the middle of the file hides.
    edited_out: u64,
    /// Times that had to be moved by a sample or more to rise.
    moved: u64,
    /// What was tolerated.
    pub damage: Damage,
}

impl Copy {
    /// Stream `number` of the object, from a stream with these parameters and time base.
    ///
    /// # Errors
    /// `Input` when its sample rate is unknown.
    pub fn new(
        film: &Film,
        number: u16,
        par: &ffi::AVCodecParameters,
        base: Ratio,
    ) -> Result<Copy, Reason> {
        let audio = film.audio(number);
        let rate = i64::from(par.sample_rate);
        if rate <= 0 {
            return Err(Reason::input(format!(
                "{}: the sample rate of its sound (stream {}) is unknown: use aac (convert.audio=aac)",
                film.path(),
                audio.stream
            )));
        }
        Ok(Copy {
            number,
            stream: audio.stream,
            base,
            rate,
            smooth: Smooth::new(base, rate),
            framed: framed(film, par, audio.stream)?,
            origin: Ratio::new(1, 1_000_000).rescale(audio.origin_us, Ratio::new(1, rate)),
            hidden: 0,
            heard: false,
            last: None,
            edited_out: 0,
            moved: 0,
            damage: Damage::default(),
        })
    }

    /// What the object says of a stream with these parameters.
    pub fn described(&self, par: &ffi::AVCodecParameters) -> object::Stream {
        let mut stream = coder::described(par);
        if let Some(config) = self.framed {
            stream.extradata = config.header().to_vec();
        }
        stream
    }

    /// The packet as it goes into the object; none when the file itself hides it. `samples` are in it, 0 when
    /// unknown.
    pub fn packet(
        &mut self,
        film: &Film,
        packet: &Packet,
        samples: i64,
    ) -> Result<Option<object::Packet>, Reason> {
        let raw = packet.get();
        let time = [raw.dts, raw.pts].into_iter().find(|&time| time != NO_PTS);
        let data = match self.bare(film, packet) {
            Ok(data) => data.to_vec(),
            Err(reason) => {
                self.damage.note(film, reason)?;
                return Ok(None);
            }
        };
        let fine = Ratio::new(1, self.rate);
        let mut duration = self.base.rescale(raw.duration, fine);
        let tick = self.base.rescale(1, fine);
        if samples > 0 && (duration <= 0 || (tick > 1 && (duration - samples).abs() <= tick)) {
            duration = samples;
        }
        let length = if samples > 0 { samples } else { duration };
        let at = match (time, self.last) {
            (Some(time), _) => self.smooth.place(time, length) - self.origin,
            (None, Some(_)) => self.smooth.follow(length) - self.origin,
            (None, None) => 0,
        };
        let mut side = skip::of(packet);
        self.hidden = self.hidden.max(side.start);
        let discarded = packet.has(ffi::AV_PKT_FLAG_DISCARD);
        if discarded && self.heard {
            self.edited_out += 1;
            return Ok(None);
        }
        let quiet = discarded || (length > 0 && self.hidden >= length);
        self.hidden = (self.hidden - length).max(0);
        self.heard |= !quiet;
        if quiet && film.marks_priming() {
            side = skip::Skip { start: 0, end: length };
        }
        let at = self.rising(film, at)?;
        Ok(Some(object::Packet {
            stream: self.number,
            key: packet.has(ffi::AV_PKT_FLAG_KEY),
            pts: at,
            dts: at,
            duration: duration.max(0),
            side: skip::with(packet, side),
            data,
        }))
    }

    /// A packet without a header of its own.
    fn bare<'p>(&self, film: &Film, packet: &'p Packet) -> Result<&'p [u8], Reason> {
        let Some(config) = self.framed else { return Ok(packet.data()) };
        match adts::split(packet.data()) {
            Some((found, frame)) if found == config => Ok(frame),
            _ if adts::is_short(packet.data()) => Err(broken(film, packet, self.base)),
            _ => Err(unframed(film, self.stream)),
        }
    }

    /// Times rise; a step back of less than a tenth of a second is a muxer's carelessness.
    fn rising(&mut self, film: &Film, at: i64) -> Result<i64, Reason> {
        let at = match self.last {
            Some(last) if at <= last => {
                if last - at > self.rate / 10 {
                    let moment = at as f64 / self.rate as f64;
                    return Err(Reason::input(format!(
                        "{}: the timestamps of its sound (stream {}) go back at {moment:.3} s: use aac \
                         (convert.audio=aac), or write the file anew",
                        film.path(),
                        self.stream
                    )));
                }
                self.moved += 1;
                last + 1
            }
            _ => at,
        };
        self.last = Some(at);
        Ok(at)
    }

    /// What should be said of it.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self.damage.remark(self.stream).into_iter().collect();
        if self.edited_out > 0 {
            remarks.push(format!(
                "sound, stream {}: {} packets that the file's edits hide are left out",
                self.stream, self.edited_out
            ));
        }
        if self.moved > 0 {
            remarks.push(format!(
                "sound, stream {}: {} timestamps did not rise and were moved",
                self.stream, self.moved
            ));
        }
        remarks
    }
}

/// What the headers before the frames of a stream say, where it has such.
fn framed(
    film: &Film,
    par: &ffi::AVCodecParameters,
    stream: u32,
) -> Result<Option<adts::Config>, Reason> {
    if par.codec_id != ffi::AVCodecID::AV_CODEC_ID_AAC || !av::extradata(par).is_empty() {
        return Ok(None);
    }
    let mut source = Source::open(film.path(), Some(&film.plan.input), true)?;
    coder::hear_only(&source, &[stream]);
    let mut packet = Packet::new()?;
    while source.read(&mut packet)? {
        if packet.get().stream_index as u32 == stream {
            let config = adts::split(packet.data()).map(|(config, _)| config);
            return config.map(Some).ok_or_else(|| unframed(film, stream));
        }
    }
    Ok(None)
}

fn unframed(film: &Film, stream: u32) -> Reason {
    Reason::input(format!(
        "{}: its sound (stream {stream}) changes its form, or says too little of it to be copied: use aac \
         (convert.audio=aac)",
        film.path()
    ))
}
