//! Writes the output's container through libavformat: bit-exact, times as given, through our own file
//! handle, so that a full disk is told from everything else. Knows nothing of plans or objects' places.
//!
//! Unsafe because libav is C. Sound because the context and its I/O are owned together, and freed in that
//! order.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use dvp_model::FilePath;
use dvp_model::error::{Kind, Reason};
use dvp_model::spec::Container;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, AvError, Dict, NO_PTS, Packet};
use super::bytes::Io;
use super::log;
use super::object::{self, Stream};
use super::parameters::Parameters;

/// A track to write.
pub struct Track<'a> {
    /// Coded parameters.
    pub stream: &'a Stream,
    /// Ticks a second of an mp4 video track.
    pub timescale: Option<i32>,
    /// Frames a second to declare; none for sound, and for films whose rate varies.
    pub frame_rate: Option<Ratio>,
    /// ISO 639-2 code; empty when unknown.
    pub language: &'a str,
    /// Players choose it when nobody says otherwise.
    pub default: bool,
}

/// Times of one packet, in ticks of its track.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it is shown.
    pub pts: i64,
    /// When it is decoded.
    pub dts: i64,
    /// How long it is shown.
    pub duration: i64,
}

impl Times {
    /// The same, later by so many ticks.
    pub fn later(self, ticks: i64) -> Times {
        let there = |time: i64| if time == NO_PTS { NO_PTS } else { time + ticks };
        Times { pts: there(self.pts), dts: there(self.dts), duration: self.duration }
    }
}

/// A container in the making.
pub struct Muxer {
    context: *mut ffi::AVFormatContext,
    // Dropped after the context, which writes through it.
    io: Io,
    path: FilePath,
    container: Container,
}

impl Muxer {
    /// Starts the file, in place of what lies there, with these tags and tracks.
    ///
    /// # Errors
    /// `Output` when the place is unfit, `Machine` when writing fails, `Bug` when libav takes no such track.
    pub fn create(
        path: &FilePath,
        container: Container,
        tags: &[(String, String)],
        tracks: &[Track],
    ) -> Result<Muxer, Reason> {
        log::forget();
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|error| no_place(path, &error))?;
        let io = Io::writer(file)?;
        let mut muxer = Muxer { context: ptr::null_mut(), io, path: path.clone(), container };
        muxer.connect()?;
        let tags = tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // SAFETY: an open context, which takes over the dictionary; it had none.
        unsafe { (*muxer.context).metadata = Dict::new(tags).into_raw() };
        for track in tracks {
            muxer.add(track)?;
        }
        let mut options = Dict::new([]);
        if let Some(scale) = tracks.iter().find_map(|track| track.timescale) {
            let scale = scale.to_string();
            options.set("video_track_timescale", &scale);
            // The film's own ticks in edit lists, too: a late start is kept to the tick.
            options.set("movie_timescale", &scale);
        }
        if container.is_mp4() {
            // The index stands before the pictures, so that players start while the rest still arrives.
            options.set("movflags", "+faststart");
        }
        // SAFETY: an open context with its tracks.
        let code = unsafe { ffi::avformat_write_header(muxer.context, options.raw()) };
        muxer.check(code, "its header")?;
        Ok(muxer)
    }

    fn connect(&mut self) -> Result<(), Reason> {
        let name = av::c_string(self.container.muxer());
        // To make room for mp4's index, libav opens the file by name a second time, to read.
        let url = [b"file:", self.path.as_path().as_os_str().as_bytes()].concat();
        let url =
            CString::new(url).map_err(|_| Reason::bug("a file name with a NUL was opened"))?;
        // SAFETY: the context is freshly allocated; its I/O outlives it.
        let code = unsafe {
            let code = ffi::avformat_alloc_output_context2(
                &mut self.context,
                ptr::null_mut(),
                name.as_ptr(),
                ptr::null(),
            );
            if let Some(context) = self.context.as_mut() {
                context.pb = self.io.raw();
                context.url = ffi::av_strdup(url.as_ptr());
                // No dates, no random ids, no versions. Times stay as they are given.
                context.flags |= ffi::AVFMT_FLAG_CUSTOM_IO | ffi::AVFMT_FLAG_BITEXACT;
                context.avoid_negative_ts = 0;
                // FLAC in mp4 is standard by now; libavformat 59 still asks for this.
                context.strict_std_compliance = ffi::FF_COMPLIANCE_EXPERIMENTAL;
            }
            code
        };
        self.check(code, "its container")
    }

    fn add(&mut self, track: &Track) -> Result<(), Reason> {
        let parameters = Parameters::of_stream(track.stream)?;
        // SAFETY: the context is open; the new stream is the context's; all that it keeps is copied, or
        // given away for it to free.
        let code = unsafe {
            let Some(stream) = ffi::avformat_new_stream(self.context, ptr::null()).as_mut() else {
                return Err(Reason::machine("out of memory"));
            };
            let code = ffi::avcodec_parameters_copy(stream.codecpar, parameters.raw());
            if self.container.is_mp4() && track.stream.codec == "hevc" {
                // All headers stand in the track's description: Apple's players take nothing else.
                (*stream.codecpar).codec_tag = u32::from_le_bytes(*b"hvc1");
            }
            stream.sample_aspect_ratio = parameters.get().sample_aspect_ratio;
            stream.time_base = match track.timescale {
                Some(scale) => ffi::AVRational { num: 1, den: scale },
                None => av::rational(track.stream.time_base),
            };
            if let Some(rate) = track.frame_rate {
                stream.avg_frame_rate = av::rational(rate);
            }
            if track.default {
                stream.disposition |= ffi::AV_DISPOSITION_DEFAULT as c_int;
            }
            if !track.language.is_empty() {
                stream.metadata = Dict::new([("language", track.language)]).into_raw();
            }
            code
        };
        self.check(code, "a track")
    }

    /// Seconds a tick of a track, as the container counts.
    pub fn time_base(&self, track: usize) -> Ratio {
        // SAFETY: an open context, which holds `nb_streams` streams.
        unsafe {
            let context = &*self.context;
            assert!(track < context.nb_streams as usize, "a track that was given to `create`");
            av::ratio((**context.streams.add(track)).time_base)
        }
    }

    /// Writes a packet of a track. Packets come in the order in which they shall lie in the file.
    ///
    /// # Errors
    /// `Machine` when writing fails, `Bug` when libav does not take the packet.
    pub fn write(
        &mut self,
        track: usize,
        packet: &object::Packet,
        times: Times,
    ) -> Result<(), Reason> {
        let mut raw = match packet.data.is_empty() {
            true => Packet::new()?,
            false => Packet::from_bytes(&packet.data)?,
        };
        for (kind, bytes) in &packet.side {
            raw.add_side_data(*kind, bytes)?;
        }
        let fields = raw.get_mut();
        fields.stream_index = track as c_int;
        (fields.pts, fields.dts, fields.duration) = (times.pts, times.dts, times.duration);
        if packet.key {
            fields.flags |= ffi::AV_PKT_FLAG_KEY as c_int;
        }
        // SAFETY: an open context and a valid packet that it does not keep.
        let code = unsafe { ffi::av_write_frame(self.context, raw.raw()) };
        match self.check(code, "a packet") {
            Err(mut reason) if reason.kind == Kind::Bug && times.dts != NO_PTS => {
                reason.text = format!("{} (track {track}, {times:?})", reason.text);
                Err(reason)
            }
            result => result,
        }
    }

    /// Writes what a container has at its end, and flushes the file to the disk.
    ///
    /// # Errors
    /// `Machine` when writing fails.
    pub fn finish(mut self) -> Result<(), Reason> {
        // SAFETY: an open context whose header was written; its last call but the freeing.
        let code = unsafe { ffi::av_write_trailer(self.context) };
        self.io.flush();
        self.check(code, "its end")?;
        self.io.file().sync_all().map_err(|error| unwritable(&self.path, &error))
    }

    fn check(&mut self, code: c_int, what: &str) -> Result<(), Reason> {
        if let Some(error) = self.io.take_error() {
            return Err(unwritable(&self.path, &error));
        }
        match av::check(code) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refused(error, what)),
        }
    }

    fn refused(&self, error: AvError, what: &str) -> Reason {
        error.reason(Kind::Bug, format!("{}: libav does not write {what}", self.path))
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        // SAFETY: a context of ours, or null. It does not own its I/O (CUSTOM_IO).
        unsafe { ffi::avformat_free_context(self.context) }
    }
}

fn no_place(path: &FilePath, error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem => {
            Reason::output(format!("{path} can't be written: {error}; choose another place"))
        }
        _ => unwritable(path, error),
    }
}

fn unwritable(path: &FilePath, error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Reason::machine(format!("{path} can't be written: the disk is full; make room"))
        }
        _ => Reason::machine(format!("{path} can't be written: {error}")),
    }
}
