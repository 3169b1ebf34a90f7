//! A decoder of one thread, set up as a run over the whole file would find it: packets in, pictures out,
//! and whether they came out clean. Which packets, from where in the file, is `window`'s to know.
//!
//! Unsafe because libav is C. Sound because the decoder context is owned here, never null, freed once.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::NonNull;

use dvp_model::error::{Kind, Reason};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, AvError, Dict, EAGAIN, Frame, NO_PTS, Packet};
use super::log;
use super::source::MOST_PIXELS;

/// A decoder, one thread.
pub struct Decoder(NonNull<ffi::AVCodecContext>);

/// How libavcodec should treat a stream.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Seconds a tick of packets and frames.
    pub time_base: Ratio,
    /// Pictures that may be held back for reordering, as far as the whole file showed.
    pub reorder: u32,
}

impl Decoder {
    /// For a stream with these parameters.
    ///
    /// # Errors
    /// `Input` when no decoder takes the stream.
    pub fn open(par: &ffi::AVCodecParameters, setup: Setup) -> Result<Decoder, Reason> {
        // SAFETY: parameters are valid; the context is checked and owned from here on.
        unsafe {
            let name = av::text(ffi::avcodec_get_name(par.codec_id));
            let codec = ffi::avcodec_find_decoder(par.codec_id);
            if codec.is_null() {
                return Err(Reason::input(format!("there is no decoder for {name} here")));
            }
            let context = NonNull::new(ffi::avcodec_alloc_context3(codec))
                .ok_or_else(|| Reason::machine("out of memory"))?;
            let mut decoder = Decoder(context);
            let failed =
                |error: AvError| error.reason(Kind::Input, format!("{name} can't be decoded"));
            let raw = decoder.get();
            av::check(ffi::avcodec_parameters_to_context(raw, par)).map_err(failed)?;
            raw.pkt_timebase = av::rational(setup.time_base);
            raw.thread_count = 1;
            raw.max_pixels = MOST_PIXELS;
            raw.has_b_frames = raw.has_b_frames.max(setup.reorder as c_int);
            if par.codec_id == ffi::AVCodecID::AV_CODEC_ID_H264 {
                // Without it the decoder guesses the reorder depth from the pictures that it happened to
                // see, and drops one when it guessed too low.
                raw.strict_std_compliance = 1;
            }
            let mut options = Dict::new([]);
            av::check(ffi::avcodec_open2(raw, codec, options.raw())).map_err(failed)?;
            Ok(decoder)
        }
    }

    fn get(&mut self) -> &mut ffi::AVCodecContext {
        // SAFETY: never null, owned, borrowed alone.
        unsafe { self.0.as_mut() }
    }

    /// Gives it a packet, or the end.
    pub fn send(&mut self, packet: Option<&Packet>) -> Result<(), AvError> {
        let raw = packet.map_or(std::ptr::null_mut(), Packet::raw);
        // SAFETY: an open context; the packet is valid or null.
        av::check(unsafe { ffi::avcodec_send_packet(self.0.as_ptr(), raw) }).map(drop)
    }

    /// Takes a frame if there is one.
    pub fn receive(&mut self, frame: &mut Frame) -> Result<bool, AvError> {
        frame.clear();
        // SAFETY: an open context and an empty frame.
        match av::check(unsafe { ffi::avcodec_receive_frame(self.0.as_ptr(), frame.raw()) }) {
            Ok(_) => Ok(true),
            Err(AvError(EAGAIN | ffi::AVERROR_EOF)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether what came out since `mark` (see [`log::complaints`]) is free of damage.
    pub fn is_clean(frame: &Frame, mark: u64) -> bool {
        let raw = frame.get();
        raw.decode_error_flags == 0
            && raw.flags & ffi::AV_FRAME_FLAG_CORRUPT as c_int == 0
            && log::complaints() == mark
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: owned, freed once.
        unsafe { ffi::avcodec_free_context(&mut raw) }
    }
}

/// The time of a decoded picture, in ticks of its stream.
pub fn stamp_of(frame: &Frame) -> Option<i64> {
    let raw = frame.get();
    [raw.pts, raw.best_effort_timestamp].into_iter().find(|&pts| pts != NO_PTS)
}
