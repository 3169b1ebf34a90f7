//! Decoded samples in the form that an encoder takes: format, layout and rate by libswresample, and a
//! queue that gives them out in frames of any length. Knows nothing of time.
//!
//! Unsafe because libav is C. Sound because the resampler is owned here, never null, freed once; every
//! pointer that it is given points into a frame or buffer that lives through the call and is as long as
//! the counts beside it say.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use dvp_model::error::{Kind, Reason};
use ffmpeg_next::ffi;

use crate::media::av::{self, AvError, Frame};

/// The form of samples.
pub struct Form {
    /// Format.
    pub format: ffi::AVSampleFormat,
    /// Samples a second.
    pub rate: u32,
    /// Channels.
    pub layout: Layout,
}

/// An owned channel layout; never of unknown order.
pub struct Layout(ffi::AVChannelLayout);

impl Layout {
    /// By libavutil's name; one that only counts channels becomes the usual layout of that many.
    pub fn named(name: &str) -> Result<Layout, Reason> {
        let text = av::c_string(name);
        let mut layout = Layout::empty();
        // SAFETY: the layout is ours and empty, the string lives through the call.
        av::check(unsafe { ffi::av_channel_layout_from_string(&mut layout.0, text.as_ptr()) })
            .map_err(|_| Reason::input(format!("unknown channel layout '{name}'")))?;
        Ok(layout.ordered())
    }

    /// A copy of libav's.
    pub fn copied(from: &ffi::AVChannelLayout) -> Result<Layout, Reason> {
        let mut layout = Layout::empty();
        // SAFETY: both are valid layouts, the target is empty.
        av::check(unsafe { ffi::av_channel_layout_copy(&mut layout.0, from) })
            .map_err(|error| error.reason(Kind::Machine, "a channel layout"))?;
        Ok(layout.ordered())
    }

    fn empty() -> Layout {
        // SAFETY: all zeros is the empty layout, as libav's documentation says.
        Layout(unsafe { std::mem::zeroed() })
    }

    fn ordered(mut self) -> Layout {
        if self.0.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
            let channels = self.0.nb_channels;
            // SAFETY: ours; a layout of unknown order owns nothing.
            unsafe { ffi::av_channel_layout_default(&mut self.0, channels) };
        }
        self
    }

    /// libavutil's name.
    pub fn name(&self) -> String {
        name_of(&self.0)
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.0.nb_channels.max(0) as usize
    }

    /// Puts a copy into `to`, which must be a valid layout.
    pub fn copy_to(&self, to: &mut ffi::AVChannelLayout) -> Result<(), Reason> {
        // SAFETY: both are valid layouts.
        av::check(unsafe { ffi::av_channel_layout_copy(to, &self.0) })
            .map(drop)
            .map_err(|error| error.reason(Kind::Machine, "a channel layout"))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: ours, let go of once.
        unsafe { ffi::av_channel_layout_uninit(&mut self.0) }
    }
}

/// libavutil's name of a layout.
pub fn name_of(layout: &ffi::AVChannelLayout) -> String {
    let mut buffer = [0 as std::ffi::c_char; 256];
    // SAFETY: the buffer is as long as stated; libav ends it with a NUL.
    unsafe {
        ffi::av_channel_layout_describe(layout, buffer.as_mut_ptr(), buffer.len());
        buffer[buffer.len() - 1] = 0;
        av::text(buffer.as_ptr())
    }
}

/// A sample format by libavutil's number.
pub fn sample_format(number: c_int) -> Option<ffi::AVSampleFormat> {
    if number < 0 || number >= ffi::AVSampleFormat::AV_SAMPLE_FMT_NB as c_int {
        return None;
    }
    // SAFETY: the number is one of the enum's, which has no gaps.
    Some(unsafe { std::mem::transmute::<c_int, ffi::AVSampleFormat>(number) })
}

/// libavutil's name of a sample format; empty when it is unknown.
pub fn sample_format_name(number: c_int) -> String {
    // SAFETY: a number of the enum; names are static.
    sample_format(number)
        .map_or(String::new(), |f| unsafe { av::text(ffi::av_get_sample_fmt_name(f)) })
}

/// Bytes of one sample of one channel.
pub fn bytes_of(format: ffi::AVSampleFormat) -> usize {
    // SAFETY: a pure function.
    unsafe { ffi::av_get_bytes_per_sample(format) }.max(0) as usize
}

fn is_planar(format: ffi::AVSampleFormat) -> bool {
    // SAFETY: a pure function.
    unsafe { ffi::av_sample_fmt_is_planar(format) != 0 }
}

/// Planes, and bytes a sample in each.
fn shape(format: ffi::AVSampleFormat, channels: usize) -> (usize, usize) {
    match is_planar(format) {
        true => (channels, bytes_of(format)),
        false => (1, bytes_of(format) * channels),
    }
}

/// The planes of a frame of sound, as bytes.
pub fn planes(frame: &Frame) -> Vec<&[u8]> {
    let raw = frame.get();
    let Some(format) = sample_format(raw.format) else { return Vec::new() };
    let (count, step) = shape(format, raw.ch_layout.nb_channels.max(0) as usize);
    let length = raw.nb_samples.max(0) as usize * step;
    if raw.extended_data.is_null() {
        return Vec::new();
    }
    // SAFETY: libav holds that many planes, each with at least `nb_samples` samples.
    (0..count)
        .map(|at| unsafe { std::slice::from_raw_parts(*raw.extended_data.add(at), length) })
        .collect()
}

/// Converts samples.
pub struct Resampler {
    context: NonNull<ffi::SwrContext>,
    from: Form,
    to: Form,
}

impl Resampler {
    /// From one form to another.
    pub fn new(from: Form, to: Form) -> Result<Resampler, Reason> {
        let failed = |error: AvError| error.reason(Kind::Input, "this sound can't be converted");
        let mut raw: *mut ffi::SwrContext = ptr::null_mut();
        let (mut from_layout, mut to_layout) = (from.layout.0, to.layout.0);
        // SAFETY: the layouts are only read (the signature lacks const); the context is checked and owned.
        unsafe {
            av::check(ffi::swr_alloc_set_opts2(
                &mut raw,
                &mut to_layout,
                to.format,
                to.rate as c_int,
                &mut from_layout,
                from.format,
                from.rate as c_int,
                0,
                ptr::null_mut(),
            ))
            .map_err(failed)?;
            let context = NonNull::new(raw).ok_or_else(|| Reason::machine("out of memory"))?;
            let resampler = Resampler { context, from, to };
            av::check(ffi::swr_init(raw)).map_err(failed)?;
            Ok(resampler)
        }
    }

    /// What goes in.
    pub fn from(&self) -> &Form {
        &self.from
    }

    /// Converts `take` samples of `frame` after its first `skip`.
    pub fn frame(
        &mut self,
        frame: &Frame,
        skip: usize,
        take: usize,
        to: &mut Queue,
    ) -> Result<(), Reason> {
        let (_, step) = shape(self.from.format, self.from.layout.channels());
        let planes = planes(frame);
        let parts: Option<Vec<&[u8]>> =
            planes.iter().map(|plane| plane.get(skip * step..(skip + take) * step)).collect();
        let parts = parts.ok_or_else(|| Reason::bug("a frame of sound shorter than it says"))?;
        self.convert(&parts, take, to)
    }

    /// Converts silence.
    pub fn silence(&mut self, samples: usize, to: &mut Queue) -> Result<(), Reason> {
        let (count, step) = shape(self.from.format, self.from.layout.channels());
        let unsigned =
            [ffi::AVSampleFormat::AV_SAMPLE_FMT_U8, ffi::AVSampleFormat::AV_SAMPLE_FMT_U8P];
        let quiet = if unsigned.contains(&self.from.format) { 0x80 } else { 0 };
        let plane = vec![quiet; samples * step];
        self.convert(&vec![plane.as_slice(); count], samples, to)
    }

    /// Takes out what the resampler still holds.
    pub fn flush(&mut self, to: &mut Queue) -> Result<(), Reason> {
        self.convert(&[], 0, to)
    }

    fn convert(&mut self, planes: &[&[u8]], samples: usize, to: &mut Queue) -> Result<(), Reason> {
        let failed = |error: AvError| error.reason(Kind::Machine, "converting sound");
        // SAFETY: an initialized context.
        let room = unsafe { ffi::swr_get_out_samples(self.context.as_ptr(), samples as c_int) };
        let room = av::check(room).map_err(failed)? as usize + 1;
        let (count, step) = shape(self.to.format, self.to.layout.channels());
        let mut out: Vec<Vec<u8>> = vec![vec![0; room * step]; count];
        let mut to_raw: Vec<*mut u8> = out.iter_mut().map(|plane| plane.as_mut_ptr()).collect();
        let mut from_raw: Vec<*const u8> = planes.iter().map(|plane| plane.as_ptr()).collect();
        let input = if planes.is_empty() { ptr::null_mut() } else { from_raw.as_mut_ptr() };
        // SAFETY: `room` and `samples` samples lie behind the pointers, one a plane of either form.
        let got = unsafe {
            ffi::swr_convert(
                self.context.as_ptr(),
                to_raw.as_mut_ptr(),
                room as c_int,
                input,
                samples as c_int,
            )
        };
        let got = av::check(got).map_err(failed)? as usize;
        to.push(out.iter().map(|plane| &plane[..got * step]));
        Ok(())
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        let mut raw = self.context.as_ptr();
        // SAFETY: owned, freed once.
        unsafe { ffi::swr_free(&mut raw) }
    }
}

/// Samples that wait to be encoded.
pub struct Queue {
    planes: Vec<Vec<u8>>,
    step: usize,
}

impl Queue {
    /// For samples of a form.
    pub fn new(form: &Form) -> Queue {
        let (count, step) = shape(form.format, form.layout.channels());
        Queue { planes: vec![Vec::new(); count], step }
    }

    fn push<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) {
        for (plane, part) in self.planes.iter_mut().zip(parts) {
            plane.extend_from_slice(part);
        }
    }

    /// Samples that wait.
    pub fn samples(&self) -> usize {
        self.planes.first().map_or(0, |plane| plane.len() / self.step.max(1))
    }

    /// Takes the first `samples` (no more than there are) into a new frame.
    pub fn take(&mut self, samples: usize, form: &Form) -> Result<Frame, Reason> {
        let samples = samples.min(self.samples());
        let mut frame = Frame::new()?;
        let raw = frame.get_mut();
        raw.format = form.format as c_int;
        raw.sample_rate = form.rate as c_int;
        raw.nb_samples = samples as c_int;
        form.layout.copy_to(&mut raw.ch_layout)?;
        // SAFETY: format, layout and count are set; libav then holds a plane for each of ours, long enough.
        unsafe {
            av::check(ffi::av_frame_get_buffer(frame.raw(), 0))
                .map_err(|error| error.reason(Kind::Machine, "memory for sound"))?;
            for (at, plane) in self.planes.iter_mut().enumerate() {
                let length = samples * self.step;
                ptr::copy_nonoverlapping(
                    plane.as_ptr(),
                    *frame.get().extended_data.add(at),
                    length,
                );
                plane.drain(..length);
            }
        }
        Ok(frame)
    }
}
