//! The encoders of sound, each set up so that its bits depend on nothing but the samples, and the
//! parameters that describe a coded stream in an object. Knows nothing of plans.
//!
//! Unsafe because libav is C. Sound because contexts and parameters are owned here, never null, freed once.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use dvp_model::error::{Kind, Reason};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::convert::{self, Form};
use crate::media::av::{self, AvError, Dict, EAGAIN, Frame, Packet};
use crate::media::object::{Shape, Stream};
use crate::media::source::Source;

/// An encoder of sound.
pub struct Encoder {
    context: NonNull<ffi::AVCodecContext>,
    name: String,
}

impl Encoder {
    /// Opens `name` (`aac`, `flac`) for samples of `form`.
    ///
    /// # Errors
    /// `Input` when it does not take that form.
    pub fn open(name: &str, form: &Form) -> Result<Encoder, Reason> {
        let what =
            || format!("{} Hz {} sound can't be encoded as {name}", form.rate, form.layout.name());
        let text = av::c_string(name);
        // SAFETY: the context is checked and owned from its allocation on.
        unsafe {
            let codec = ffi::avcodec_find_encoder_by_name(text.as_ptr());
            if codec.is_null() {
                return Err(Reason::machine(format!("there is no encoder {name} here")));
            }
            let context = NonNull::new(ffi::avcodec_alloc_context3(codec))
                .ok_or_else(|| Reason::machine("out of memory"))?;
            let mut encoder = Encoder { context, name: name.to_owned() };
            let raw = encoder.context.as_mut();
            raw.sample_fmt = form.format;
            raw.sample_rate = form.rate as c_int;
            raw.time_base = ffi::AVRational { num: 1, den: form.rate as c_int };
            form.layout.copy_to(&mut raw.ch_layout)?;
            raw.thread_count = 1;
            raw.flags |= (ffi::AV_CODEC_FLAG_BITEXACT | ffi::AV_CODEC_FLAG_GLOBAL_HEADER) as c_int;
            if form.format == ffi::AVSampleFormat::AV_SAMPLE_FMT_S32 {
                raw.bits_per_raw_sample = 24;
            }
            let mut options = Dict::new([]);
            av::check(ffi::avcodec_open2(raw, codec, options.raw()))
                .map_err(|error| error.reason(Kind::Input, what()))?;
            Ok(encoder)
        }
    }

    fn get(&self) -> &ffi::AVCodecContext {
        // SAFETY: never null, owned.
        unsafe { self.context.as_ref() }
    }

    /// Samples a frame; all but the last have that many.
    pub fn frame_size(&self) -> usize {
        match self.get().frame_size {
            size if size > 0 => size as usize,
            _ => 1024,
        }
    }

    /// Samples that the decoder gives before the first one that went in.
    pub fn padding(&self) -> i64 {
        self.get().initial_padding.into()
    }

    /// Parameters of what comes out.
    pub fn parameters(&self) -> Result<Parameters, Reason> {
        let par = Parameters::new()?;
        // SAFETY: an open context, and parameters of ours.
        av::check(unsafe {
            ffi::avcodec_parameters_from_context(par.0.as_ptr(), self.context.as_ptr())
        })
        .map_err(|error| error.reason(Kind::Machine, "the encoder's parameters"))?;
        Ok(par)
    }

    /// Gives it a frame, or the end.
    pub fn send(&mut self, frame: Option<&Frame>) -> Result<(), Reason> {
        let raw = frame.map_or(ptr::null_mut(), Frame::raw);
        // SAFETY: an open context; the frame is valid or null.
        let code = unsafe { ffi::avcodec_send_frame(self.context.as_ptr(), raw) };
        av::check(code).map(drop).map_err(|error| self.failed(error))
    }

    /// Takes a packet if there is one.
    pub fn receive(&mut self, packet: &mut Packet) -> Result<bool, Reason> {
        packet.clear();
        // SAFETY: an open context and an empty packet.
        match av::check(unsafe { ffi::avcodec_receive_packet(self.context.as_ptr(), packet.raw()) })
        {
            Ok(_) => Ok(true),
            Err(AvError(EAGAIN | ffi::AVERROR_EOF)) => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: AvError) -> Reason {
        error.reason(Kind::Bug, format!("the encoder {} failed", self.name))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        // SAFETY: owned, freed once.
        unsafe { ffi::avcodec_free_context(&mut raw) }
    }
}

/// Owned codec parameters.
pub struct Parameters(NonNull<ffi::AVCodecParameters>);

impl Parameters {
    fn new() -> Result<Parameters, Reason> {
        // SAFETY: allocation only.
        NonNull::new(unsafe { ffi::avcodec_parameters_alloc() })
            .map(Parameters)
            .ok_or_else(|| Reason::machine("out of memory"))
    }

    /// Their fields.
    pub fn get(&self) -> &ffi::AVCodecParameters {
        // SAFETY: never null, owned, borrowed from us.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: owned, freed once.
        unsafe { ffi::avcodec_parameters_free(&mut raw) }
    }
}

/// What an object says of a stream of sound with these parameters.
pub fn described(par: &ffi::AVCodecParameters) -> Stream {
    Stream {
        codec: av::codec_name(par.codec_id),
        time_base: Ratio::new(1, par.sample_rate.max(1).into()),
        extradata: av::extradata(par).to_vec(),
        tag: 0,
        profile: par.profile,
        level: par.level,
        bit_rate: par.bit_rate,
        bits_per_coded_sample: par.bits_per_coded_sample,
        bits_per_raw_sample: par.bits_per_raw_sample,
        shape: Shape::Audio {
            format: convert::sample_format_name(par.format),
            sample_rate: par.sample_rate.max(0) as u32,
            layout: convert::name_of(&par.ch_layout),
            frame_size: par.frame_size.max(0) as u32,
            initial_padding: par.initial_padding.max(0) as u32,
            trailing_padding: par.trailing_padding.max(0) as u32,
            seek_preroll: par.seek_preroll.max(0) as u32,
            block_align: par.block_align.max(0) as u32,
        },
    }
}

/// Samples of a packet of `size` bytes; 0 when its parameters do not tell.
pub fn samples_of(par: &ffi::AVCodecParameters, size: usize) -> i64 {
    // SAFETY: the function reads the parameters only (its signature lacks const).
    unsafe { ffi::av_get_audio_frame_duration2(ptr::from_ref(par).cast_mut(), size as c_int) }
        .max(0)
        .into()
}

/// Packets of these streams only are wanted from `source`.
pub fn hear_only(source: &Source, streams: &[u32]) {
    let context = source.context();
    for at in 0..context.nb_streams {
        // SAFETY: libav holds `nb_streams` valid streams, and `discard` is a field for callers to set.
        unsafe {
            (**context.streams.add(at as usize)).discard = match streams.contains(&at) {
                true => ffi::AVDiscard::AVDISCARD_DEFAULT,
                false => ffi::AVDiscard::AVDISCARD_ALL,
            };
        }
    }
}
