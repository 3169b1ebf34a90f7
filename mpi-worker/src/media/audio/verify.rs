//! Reads the sound's object back, as whoever joins it will, and decodes what was encoded: the object is
//! called done only when every sample is there. Knows nothing of how it was made.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use dvp_model::error::Reason;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::coder::Parameters;
use super::{convert, stopped};
use crate::media::av::{Frame, Packet};
use crate::media::decode::{Decoder, Setup};
use crate::media::object::{self, Reader};

/// What a stream of the object must be.
pub struct Expected {
    /// Parameters to decode it with; none for packets that were copied.
    pub parameters: Option<Parameters>,
    /// Packets.
    pub packets: u64,
    /// Samples that were encoded.
    pub samples: i64,
    /// Samples that the decoder gives before those.
    pub padding: i64,
    /// Samples of every packet but the last.
    pub frame: i64,
    /// Fingerprint of the samples, of a lossless codec.
    pub fingerprint: Option<String>,
}

/// A running hash over the samples that a lossless codec keeps.
pub struct Fingerprint(Option<blake3::Hasher>);

impl Fingerprint {
    /// Of a lossless codec, or of one where no equal samples come back.
    pub fn new(lossless: bool) -> Fingerprint {
        Fingerprint(lossless.then(blake3::Hasher::new))
    }

    /// Adds a frame's samples, channel by channel within each sample; of 32 bits the upper 24.
    pub fn add(&mut self, frame: &Frame) {
        let Some(hasher) = &mut self.0 else { return };
        let planes = convert::planes(frame);
        let Some(format) = convert::sample_format(frame.get().format) else { return };
        let size = convert::bytes_of(format);
        let mut mixed = Vec::new();
        let samples = frame.get().nb_samples.max(0) as usize;
        let width = planes.first().map_or(0, |plane| plane.len() / samples.max(1));
        for sample in 0..samples {
            for plane in &planes {
                mixed.extend_from_slice(&plane[sample * width..(sample + 1) * width]);
            }
        }
        if size == 4 {
            mixed.iter_mut().step_by(4).for_each(|low| *low = 0);
        }
        hasher.update(&mixed);
    }

    /// The hash; none for a lossy codec.
    pub fn hex(&self) -> Option<String> {
        self.0.as_ref().map(|hasher| hasher.finalize().to_hex().to_string())
    }
}

/// A stream as it is read back.
struct Seen {
    decoder: Option<Decoder>,
    fingerprint: Fingerprint,
    packets: u64,
    samples: i64,
    duration: i64,
    last: Option<i64>,
}

/// Reads `dest` and holds it against `expected`, a stream each. `progress` is told the packets so far.
///
/// # Errors
/// `Machine` when what was written can't be read, `Bug` when it is not what went in.
pub fn verify(
    dest: &Path,
    expected: &[Expected],
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Reason> {
    let mut seen = expected.iter().map(Seen::new).collect::<Result<Vec<_>, _>>()?;
    let mut frame = Frame::new()?;
    let mut count = 0;
    for packet in Reader::open(dest)? {
        let packet = packet?;
        if stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        let number = packet.stream;
        let stream = seen.get_mut(usize::from(number));
        stream
            .ok_or_else(|| wrong(number, "it has no such stream"))?
            .packet(&packet, &mut frame)?;
        count += 1;
        progress(count);
    }
    for (number, (seen, expected)) in seen.iter_mut().zip(expected).enumerate() {
        seen.finish(number as u16, expected, &mut frame)?;
    }
    Ok(())
}

impl Seen {
    fn new(expected: &Expected) -> Result<Seen, Reason> {
        let open = |parameters: &Parameters| {
            let rate = parameters.get().sample_rate.max(1);
            let setup = Setup { time_base: Ratio::new(1, rate.into()), reorder: 0 };
            Decoder::open(parameters.get(), setup)
        };
        Ok(Seen {
            decoder: expected.parameters.as_ref().map(open).transpose()?,
            fingerprint: Fingerprint::new(expected.fingerprint.is_some()),
            packets: 0,
            samples: 0,
            duration: 0,
            last: None,
        })
    }

    fn packet(&mut self, packet: &object::Packet, frame: &mut Frame) -> Result<(), Reason> {
        let number = packet.stream;
        self.packets += 1;
        if packet.data.is_empty() && packet.duration == 0 {
            // Headers that the encoder completes at its end.
            return Ok(());
        }
        if self.last.is_some_and(|last| packet.dts <= last) {
            return Err(wrong(
                number,
                format!("the times of its packets do not rise at {}", packet.dts),
            ));
        }
        self.last = Some(packet.dts);
        self.duration += packet.duration;
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut coded = Packet::from_bytes(&packet.data)?;
        (coded.get_mut().pts, coded.get_mut().dts) = (packet.pts, packet.dts);
        let sent = decoder.send(Some(&coded));
        sent.map_err(|error| {
            wrong(number, format!("packet {} does not decode: {error}", self.packets))
        })?;
        self.take(number, frame)
    }

    fn take(&mut self, number: u16, frame: &mut Frame) -> Result<(), Reason> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        loop {
            let got = decoder.receive(frame);
            if !got.map_err(|error| wrong(number, format!("it does not decode: {error}")))? {
                return Ok(());
            }
            self.samples += i64::from(frame.get().nb_samples);
            self.fingerprint.add(frame);
            if !is_finite(frame) {
                return Err(wrong(number, "it decodes to samples that are no numbers"));
            }
        }
    }

    fn finish(
        &mut self,
        number: u16,
        expected: &Expected,
        frame: &mut Frame,
    ) -> Result<(), Reason> {
        if self.packets != expected.packets {
            let (is, wanted) = (self.packets, expected.packets);
            return Err(wrong(number, format!("{is} packets, where {wanted} were written")));
        }
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        if expected.samples == 0 {
            return Ok(());
        }
        decoder.send(None).map_err(|error| wrong(number, format!("it does not end: {error}")))?;
        self.take(number, frame)?;
        let wanted = expected.samples + expected.padding;
        // A codec with priming fills up its last packet; the packets' lengths say what is heard.
        let filled = if expected.padding > 0 { expected.frame - 1 } else { 0 };
        let whole = (wanted..=wanted + filled).contains(&self.samples) && self.duration == wanted;
        if !whole {
            return Err(wrong(
                number,
                format!(
                    "{} samples come back and its packets last {}, where {wanted} went in",
                    self.samples, self.duration
                ),
            ));
        }
        if self.fingerprint.hex() != expected.fingerprint {
            return Err(wrong(number, "other samples come back than went in"));
        }
        Ok(())
    }
}

fn is_finite(frame: &Frame) -> bool {
    use ffi::AVSampleFormat::{AV_SAMPLE_FMT_FLT, AV_SAMPLE_FMT_FLTP};
    match convert::sample_format(frame.get().format) {
        Some(AV_SAMPLE_FMT_FLT | AV_SAMPLE_FMT_FLTP) => {
            convert::planes(frame).iter().all(|plane| {
                plane.chunks_exact(4).all(|bytes| match *bytes {
                    [a, b, c, d] => f32::from_ne_bytes([a, b, c, d]).is_finite(),
                    _ => true,
                })
            })
        }
        _ => true,
    }
}

fn wrong(number: u16, what: impl std::fmt::Display) -> Reason {
    Reason::bug(format!("the sound that was written (stream {number}) is wrong: {what}"))
}
