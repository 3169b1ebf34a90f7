//! The proof that a chunk's object holds what was encoded: it is decoded again and compared with what
//! entered the encoder, every frame by its hash where the codec is lossless, sampled ones by their
//! likeness where it is not.

use std::path::Path;

use dvp_model::ChunkIndex;
use dvp_model::error::Reason;
use dvp_model::spec::codec::Codec;
use ffmpeg_next::ffi;

use super::av::{self, Frame};
use super::decode::Decoder;
use super::{log, object, pixels};

/// One frame in so many is compared after lossy encoding, and the chunk's last.
const SAMPLE: usize = 10;
/// Largest mean difference of brightness, of 255, between a picture and what was made of it.
const LARGEST_DIFFERENCE: f32 = 10.0;

/// What entered the encoder.
pub enum Evidence {
    /// Of every frame, its hash.
    Hashes(Vec<String>),
    /// Of sampled frames: number, likeness.
    Likenesses(Vec<(usize, Vec<f32>)>),
}

impl Evidence {
    /// None yet, of the kind that a codec allows.
    pub fn new(codec: Codec) -> Self {
        match codec.is_lossless() {
            true => Evidence::Hashes(Vec::new()),
            false => Evidence::Likenesses(Vec::new()),
        }
    }

    /// Adds the chunk's next frame.
    pub fn add(&mut self, number: usize, last: bool, frame: &Frame) -> Result<(), Reason> {
        match self {
            Evidence::Hashes(hashes) => hashes.push(pixels::hash(frame)?),
            Evidence::Likenesses(likenesses) if last || number.is_multiple_of(SAMPLE) => {
                likenesses.push((number, pixels::likeness(frame)?));
            }
            Evidence::Likenesses(_) => {}
        }
        Ok(())
    }

    /// Whether a decoded frame is the one that entered, as far as the evidence goes.
    fn agrees(&self, number: usize, frame: &Frame) -> Result<bool, Reason> {
        match self {
            Evidence::Hashes(hashes) => Ok(hashes.get(number) == Some(&pixels::hash(frame)?)),
            Evidence::Likenesses(likenesses) => {
                match likenesses.binary_search_by_key(&number, |(number, _)| *number) {
                    Err(_) => Ok(true),
                    Ok(at) => {
                        let found = pixels::likeness(frame)?;
                        Ok(pixels::difference(&likenesses[at].1, &found) <= LARGEST_DIFFERENCE)
                    }
                }
            }
        }
    }
}

/// Decodes the object at `dest`, which must have this hash, and compares it with the evidence.
///
/// # Errors
/// What differs, for a person.
pub fn check(
    dest: &Path,
    sha256: &str,
    mut decoder: Decoder,
    evidence: &Evidence,
    frames: usize,
) -> Result<(), String> {
    let words = |reason: Reason| reason.text;
    let failed = |error: av::AvError| error.to_string();
    let mut object = object::Reader::open(dest).map_err(|fault| fault.to_string())?;
    let mark = log::complaints();
    let mut frame = Frame::new().map_err(words)?;
    let (mut count, mut ended) = (0, false);
    while !ended {
        match object.next() {
            Some(packet) => {
                let packet = packet.map_err(|fault| fault.to_string())?;
                decoder.send(Some(&packet_out(&packet).map_err(words)?)).map_err(failed)?;
            }
            None => {
                decoder.send(None).map_err(failed)?;
                ended = true;
            }
        }
        while decoder.receive(&mut frame).map_err(failed)? {
            let in_order = frame.get().pts == count as i64;
            if !in_order
                || !Decoder::is_clean(&frame, mark)
                || !evidence.agrees(count, &frame).map_err(words)?
            {
                return Err(format!("frame {count} is another picture"));
            }
            count += 1;
        }
    }
    if count != frames {
        return Err(format!("{count} frames of {frames}"));
    }
    if object.sha256() != Some(sha256) {
        return Err("its bytes changed".to_owned());
    }
    Ok(())
}

/// The reason for a chunk that did not pass.
pub fn failed(index: ChunkIndex, what: &str) -> Reason {
    Reason::machine(format!(
        "chunk {index} does not decode to what was encoded ({what}); it has to be made anew"
    ))
}

/// A packet for a decoder.
fn packet_out(packet: &object::Packet) -> Result<av::Packet, Reason> {
    let mut out = av::Packet::from_bytes(&packet.data)?;
    out.get_mut().pts = packet.pts;
    if packet.key {
        out.get_mut().flags |= ffi::AV_PKT_FLAG_KEY;
    }
    for (kind, bytes) in &packet.side {
        out.add_side_data(*kind, bytes)?;
    }
    Ok(out)
}
