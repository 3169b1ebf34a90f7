//! Runs a plan's filter graph: pictures in, pictures out, each with its time in source ticks. Knows
//! nothing of decoders and encoders.
//!
//! Unsafe because libav is C. Sound because the graph is owned here, frees its filters itself, and frames
//! go in and out by reference counts.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use dvp_model::error::{Kind, Reason};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, AvError, EAGAIN, Frame, NO_PTS};

/// Flags of every scaler, auto-inserted ones too: the same bits on every CPU.
const SCALER: &str = "flags=bicubic+accurate_rnd+bitexact";

/// What goes in.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// libavutil's number of the pixel format.
    pub format: c_int,
    /// Sample aspect; 0/1 when unknown.
    pub sample_aspect: Ratio,
    /// Seconds a tick.
    pub time_base: Ratio,
    /// Frames a second; 0/1 when unknown.
    pub frame_rate: Ratio,
}

/// A configured graph.
pub struct Graph {
    graph: NonNull<ffi::AVFilterGraph>,
    source: *mut ffi::AVFilterContext,
    sink: *mut ffi::AVFilterContext,
    time_base: Ratio,
}

impl Graph {
    /// A graph for pictures like `entry`, whose pictures leave in one of the pixel `formats` (names,
    /// joined by `|`).
    ///
    /// # Errors
    /// `Spec` when the filters don't take such pictures.
    pub fn open(filters: &str, entry: &Entry, formats: &str) -> Result<Graph, Reason> {
        let refused = |error: AvError| {
            error.reason(Kind::Spec, format!("the filters '{filters}' don't work with this film"))
        };
        let text = match filters {
            "" => format!("format=pix_fmts={formats}"),
            filters => format!("{filters},format=pix_fmts={formats}"),
        };
        // SAFETY: allocations are checked; the graph is owned at once, so that errors free it; names and
        // options live through the calls, which copy them.
        unsafe {
            let graph = NonNull::new(ffi::avfilter_graph_alloc())
                .ok_or_else(|| Reason::machine("out of memory"))?;
            let mut this = Graph {
                graph,
                source: ptr::null_mut(),
                sink: ptr::null_mut(),
                time_base: entry.time_base,
            };
            let raw = graph.as_ptr();
            (*raw).nb_threads = 1;
            (*raw).scale_sws_opts = ffi::av_strdup(av::c_string(SCALER).as_ptr());
            let filter = |name: &std::ffi::CStr, label: &std::ffi::CStr| {
                let context = ffi::avfilter_graph_alloc_filter(
                    raw,
                    ffi::avfilter_get_by_name(name.as_ptr()),
                    label.as_ptr(),
                );
                match context.is_null() {
                    true => Err(Reason::machine("out of memory")),
                    false => Ok(context),
                }
            };
            this.source = filter(c"buffer", c"in")?;
            let par = ffi::av_buffersrc_parameters_alloc();
            if par.is_null() {
                return Err(Reason::machine("out of memory"));
            }
            (*par).format = entry.format;
            (*par).width = entry.width as c_int;
            (*par).height = entry.height as c_int;
            (*par).time_base = av::rational(entry.time_base);
            (*par).sample_aspect_ratio = av::rational(entry.sample_aspect);
            (*par).frame_rate = av::rational(entry.frame_rate);
            let code = ffi::av_buffersrc_parameters_set(this.source, par);
            ffi::av_free(par.cast());
            av::check(code).map_err(refused)?;
            av::check(ffi::avfilter_init_dict(this.source, ptr::null_mut())).map_err(refused)?;
            this.sink = filter(c"buffersink", c"out")?;
            av::check(ffi::avfilter_init_dict(this.sink, ptr::null_mut())).map_err(refused)?;
            this.link(&text).map_err(refused)?;
            av::check(ffi::avfilter_graph_config(raw, ptr::null_mut())).map_err(refused)?;
            this.time_base = av::ratio(ffi::av_buffersink_get_time_base(this.sink));
            Ok(this)
        }
    }

    /// Puts the parsed filters between source and sink.
    fn link(&mut self, text: &str) -> Result<(), AvError> {
        // SAFETY: the open ends are libav's structures, which the parser consumes and the frees at the end
        // take back, whatever happened.
        unsafe {
            let end = |label: &std::ffi::CStr, context| {
                let end = ffi::avfilter_inout_alloc();
                if !end.is_null() {
                    (*end).name = ffi::av_strdup(label.as_ptr());
                    (*end).filter_ctx = context;
                    (*end).pad_idx = 0;
                    (*end).next = ptr::null_mut();
                }
                end
            };
            let mut outputs = end(c"in", self.source);
            let mut inputs = end(c"out", self.sink);
            let text = av::c_string(text);
            let code = match outputs.is_null() || inputs.is_null() {
                true => ffi::AVERROR(12),
                false => ffi::avfilter_graph_parse_ptr(
                    self.graph.as_ptr(),
                    text.as_ptr(),
                    &mut inputs,
                    &mut outputs,
                    ptr::null_mut(),
                ),
            };
            ffi::avfilter_inout_free(&mut inputs);
            ffi::avfilter_inout_free(&mut outputs);
            av::check(code).map(drop)
        }
    }

    /// Gives it a picture whose `pts` counts from the film's origin; none ends the film. The frame is
    /// emptied.
    pub fn push(&mut self, frame: Option<&mut Frame>) -> Result<(), Reason> {
        let raw = frame.map_or(ptr::null_mut(), |frame| frame.raw());
        // SAFETY: a configured graph; the frame is valid or null, and libav takes over its references.
        av::check(unsafe { ffi::av_buffersrc_add_frame_flags(self.source, raw, 0) })
            .map(drop)
            .map_err(|error| error.reason(Kind::Job, "a filter failed"))
    }

    /// Takes a picture if there is one: its time, in ticks of the entry's time base.
    pub fn pull(&mut self, frame: &mut Frame, base: Ratio) -> Result<Option<i64>, Reason> {
        frame.clear();
        // SAFETY: a configured graph and an empty frame.
        match av::check(unsafe { ffi::av_buffersink_get_frame(self.sink, frame.raw()) }) {
            Ok(_) if frame.get().pts == NO_PTS => {
                Err(Reason::job("a filter gives pictures without times"))
            }
            Ok(_) => Ok(Some(self.time_base.rescale(frame.get().pts, base))),
            Err(AvError(EAGAIN | ffi::AVERROR_EOF)) => Ok(None),
            Err(error) => Err(error.reason(Kind::Job, "a filter failed")),
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let mut raw = self.graph.as_ptr();
        // SAFETY: owned, freed once, with all its filters.
        unsafe { ffi::avfilter_graph_free(&mut raw) }
    }
}
