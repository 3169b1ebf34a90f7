//! Encodes the pictures of one chunk, by the encoder table. Knows nothing of decoding and filters.
//!
//! Unsafe because libav is C. Sound because the encoder context is owned here, never null, freed once.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::NonNull;

use dvp_model::error::{Kind, Reason};
use dvp_model::plan::{Chunk, Plan, cut};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, AvError, Dict, EAGAIN, Frame, Packet};
use super::color;
use super::decode::{Decoder, Setup};
use super::object::{Shape, Stream};

/// Tries the plan's encoder out.
///
/// # Errors
/// `Spec` when it does not take the pictures.
pub fn check(plan: &Plan) -> Result<(), Reason> {
    let Some(chunk) = plan.chunks.first() else { return Ok(()) };
    let stamps: Vec<i64> = plan.video.stamps.iter().take(chunk.frames as usize).collect();
    Encoder::open(plan, *chunk, &stamps).map(drop).map_err(|reason| {
        let video = &plan.video;
        let pictures = format!("pictures of {}x{} {}", video.width, video.height, video.format);
        Reason::new(Kind::Spec, format!("{pictures} don't go into this codec: {}", reason.text))
    })
}

/// The encoder of one chunk.
pub struct Encoder {
    context: NonNull<ffi::AVCodecContext>,
    /// Times of the chunk's frames in the encoder's ticks.
    times: Vec<i64>,
    frames: u32,
    given: u32,
    /// It was told the end.
    ended: bool,
    /// It must be told the end, after a picture at least: SVT-AV1 1.4 hangs at its own end otherwise.
    wants_end: bool,
    packet: Packet,
}

impl Encoder {
    /// For a chunk whose frames have these source times.
    ///
    /// # Errors
    /// `Bug` when the table and the library disagree.
    pub fn open(plan: &Plan, chunk: Chunk, stamps: &[i64]) -> Result<Encoder, Reason> {
        let video = &plan.video;
        let rate = video.frame_rate;
        let row = plan.spec.encode.row(video.threads, (rate.num, rate.den));
        let failed = |error: AvError| {
            error.reason(Kind::Job, format!("the encoder {} can't be opened", row.encoder))
        };
        // At a constant rate the encoder counts frames, so that what it writes about time is simple.
        let (time_base, times): (Ratio, Vec<i64>) = match video.constant_rate {
            true => (Ratio::new(rate.den, rate.num), (0..i64::from(chunk.frames)).collect()),
            false => (video.time_base, stamps.iter().map(|stamp| stamp - stamps[0]).collect()),
        };
        // SAFETY: lookups by static names; the context is owned at once, so that errors free it.
        unsafe {
            let codec = ffi::avcodec_find_encoder_by_name(av::c_string(row.encoder).as_ptr());
            if codec.is_null() {
                return Err(Reason::machine(format!(
                    "libavcodec here has no encoder {}",
                    row.encoder
                )));
            }
            let context = NonNull::new(ffi::avcodec_alloc_context3(codec))
                .ok_or_else(|| Reason::machine("out of memory"))?;
            let mut encoder = Encoder {
                context,
                times,
                frames: chunk.frames,
                given: 0,
                ended: false,
                wants_end: false,
                packet: Packet::new()?,
            };
            let raw = encoder.context.as_mut();
            raw.width = video.width as c_int;
            raw.height = video.height as c_int;
            let format = plan.spec.encode.coded_format(&video.format);
            raw.pix_fmt = ffi::av_get_pix_fmt(av::c_string(&format).as_ptr());
            raw.sample_aspect_ratio = av::rational(video.sample_aspect);
            raw.time_base = av::rational(time_base);
            raw.framerate = av::rational(rate);
            raw.gop_size = row.keyframe_interval as c_int;
            raw.thread_count = 1;
            raw.flags |=
                ffi::AV_CODEC_FLAG_BITEXACT as c_int | ffi::AV_CODEC_FLAG_GLOBAL_HEADER as c_int;
            color::set(raw, &video.color);
            let mut options =
                Dict::new(row.options.iter().map(|(key, value)| (*key, value.as_str())));
            av::check(ffi::avcodec_open2(raw, codec, options.raw())).map_err(failed)?;
            encoder.wants_end = row.encoder == "libsvtav1";
            if let Some((key, _)) = options.pairs().first() {
                return Err(Reason::bug(format!("{} knows no option {key}", row.encoder)));
            }
            Ok(encoder)
        }
    }

    /// What a muxer must know: the encoder's parameters, and those of the plan.
    pub fn stream(&self, plan: &Plan) -> Stream {
        let video = &plan.video;
        // SAFETY: owned and open; extradata is as long as stated.
        let (raw, extradata) = unsafe {
            let raw = self.context.as_ref();
            let extradata = match raw.extradata.is_null() {
                true => &[][..],
                false => {
                    std::slice::from_raw_parts(raw.extradata, raw.extradata_size.max(0) as usize)
                }
            };
            (raw, extradata)
        };
        Stream {
            codec: av::codec_name(raw.codec_id),
            time_base: Ratio::new(1, 1),
            extradata: extradata.to_vec(),
            tag: raw.codec_tag,
            profile: raw.profile,
            level: raw.level,
            bit_rate: 0,
            bits_per_coded_sample: raw.bits_per_coded_sample,
            bits_per_raw_sample: raw.bits_per_raw_sample,
            shape: Shape::Video {
                width: video.width,
                height: video.height,
                format: plan.spec.encode.coded_format(&video.format).into_owned(),
                sample_aspect: video.sample_aspect,
                color: video.color.clone(),
                delay: video.reorder,
            },
        }
    }

    /// A decoder for what this writes.
    pub fn decoder(&self, plan: &Plan) -> Result<Decoder, Reason> {
        let setup = Setup { time_base: plan.video.time_base, reorder: plan.video.reorder };
        let no_memory = || Reason::machine("out of memory");
        // SAFETY: the parameters are made, used and freed here.
        unsafe {
            let mut par = ffi::avcodec_parameters_alloc();
            let known = match par.is_null() {
                true => return Err(no_memory()),
                false => {
                    av::check(ffi::avcodec_parameters_from_context(par, self.context.as_ptr()))
                }
            };
            let decoder = match known {
                Ok(_) => Decoder::open(&*par, setup),
                Err(_) => Err(no_memory()),
            };
            ffi::avcodec_parameters_free(&mut par);
            decoder
        }
    }

    /// Encodes the chunk's next frame; none ends the chunk. What is ready goes to `take`: the frame's
    /// number in the chunk, and its packet.
    pub fn encode(
        &mut self,
        frame: Option<&mut Frame>,
        take: &mut dyn FnMut(u32, &Packet) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let failed = |error: AvError| error.reason(Kind::Job, "the encoder failed");
        let raw_frame = match frame {
            None => {
                self.ended = true;
                std::ptr::null_mut()
            }
            Some(frame) => {
                let raw = frame.get_mut();
                // SAFETY: an open context; only numbers are read.
                let context = unsafe { self.context.as_ref() };
                raw.quality = context.global_quality;
                // The same samples under the encoder's name for them.
                raw.format = context.pix_fmt as c_int;
                raw.pts = *self
                    .times
                    .get(self.given as usize)
                    .ok_or_else(|| Reason::bug("a chunk got more frames than it has"))?;
                raw.pict_type = match cut::is_keyframe(self.frames, self.given) {
                    true => ffi::AVPictureType::AV_PICTURE_TYPE_I,
                    false => ffi::AVPictureType::AV_PICTURE_TYPE_NONE,
                };
                self.given += 1;
                frame.raw()
            }
        };
        // SAFETY: an open context; the frame is valid or null.
        av::check(unsafe { ffi::avcodec_send_frame(self.context.as_ptr(), raw_frame) })
            .map_err(failed)?;
        loop {
            self.packet.clear();
            // SAFETY: an open context and an empty packet.
            match av::check(unsafe {
                ffi::avcodec_receive_packet(self.context.as_ptr(), self.packet.raw())
            }) {
                Ok(_) => {}
                Err(AvError(EAGAIN | ffi::AVERROR_EOF)) => return Ok(()),
                Err(error) => return Err(failed(error)),
            }
            let number = self
                .times
                .binary_search(&self.packet.get().pts)
                .map_err(|_| Reason::bug("the encoder gave a packet of no frame"))?;
            take(number as u32, &self.packet)?;
        }
    }
}

impl Encoder {
    /// Gives it a picture of nothing in particular.
    fn give_blank(&mut self) -> Result<(), Reason> {
        let mut frame = Frame::new()?;
        let raw = frame.get_mut();
        // SAFETY: an open context, of which numbers are read; libav allocates what size and format say.
        unsafe {
            let context = self.context.as_ref();
            (raw.width, raw.height) = (context.width, context.height);
            raw.format = context.pix_fmt as c_int;
            av::check(ffi::av_frame_get_buffer(frame.raw(), 0))
                .map_err(|error| error.reason(Kind::Machine, "a picture's memory"))?;
            frame.get_mut().pts = 0;
            ffi::avcodec_send_frame(self.context.as_ptr(), frame.raw());
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        if self.wants_end && !self.ended {
            if self.given == 0 {
                let _ = self.give_blank();
            }
            // SAFETY: an open context, which takes the end at any time.
            unsafe { ffi::avcodec_send_frame(raw, std::ptr::null()) };
        }
        // SAFETY: owned, freed once.
        unsafe { ffi::avcodec_free_context(&mut raw) }
    }
}
