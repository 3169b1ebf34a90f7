//! Writes the output's container through libavformat: bit-exact, times as given, through our own file
//! handle, so that a full disk is told from everything else. Knows nothing of plans or objects' places.
//!
//! Unsafe because libav is C and calls back with bytes. Sound because context, I/O context and file are
//! owned together, the file at a fixed address, and freed in that order; callbacks touch only that file and
//! can't panic.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::ptr;

use dvp_model::FilePath;
use dvp_model::error::{Kind, Reason};
use dvp_model::spec::Container;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, AvError, Dict, NO_PTS, Packet};
use super::log;
use super::object::{self, Stream};
use super::parameters::Parameters;

/// Bytes written at once.
const BUFFER: usize = 1 << 20;

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

/// The file above libav.
struct Bytes {
    file: File,
    at: u64,
    size: u64,
    error: Option<io::Error>,
}

/// A container in the making.
pub struct Muxer {
    context: *mut ffi::AVFormatContext,
    io: *mut ffi::AVIOContext,
    bytes: Box<Bytes>,
    path: FilePath,
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
        let mut muxer = Muxer {
            context: ptr::null_mut(),
            io: ptr::null_mut(),
            bytes: Box::new(Bytes { file, at: 0, size: 0, error: None }),
            path: path.clone(),
        };
        muxer.connect(container)?;
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
        if container == Container::Mp4 {
            // The index stands before the pictures, so that players start while the rest still arrives.
            options.set("movflags", "+faststart");
        }
        // SAFETY: an open context with its tracks.
        let code = unsafe { ffi::avformat_write_header(muxer.context, options.raw()) };
        muxer.check(code, "its header")?;
        Ok(muxer)
    }

    fn connect(&mut self, container: Container) -> Result<(), Reason> {
        let name = match container {
            Container::Mp4 => c"mp4",
            Container::Mkv => c"matroska",
        };
        // To make room for mp4's index, libav opens the file by name a second time, to read.
        let url = [b"file:", self.path.as_path().as_os_str().as_bytes()].concat();
        let url =
            CString::new(url).map_err(|_| Reason::bug("a file name with a NUL was opened"))?;
        // SAFETY: contexts and buffer are freshly allocated; `bytes` is boxed and outlives both.
        let code = unsafe {
            let buffer = ffi::av_malloc(BUFFER).cast::<u8>();
            self.io = ffi::avio_alloc_context(
                buffer,
                BUFFER as c_int,
                1,
                ptr::from_mut::<Bytes>(&mut self.bytes).cast(),
                None,
                Some(write),
                Some(seek),
            );
            if self.io.is_null() {
                ffi::av_free(buffer.cast());
                return Err(Reason::machine("out of memory"));
            }
            let code = ffi::avformat_alloc_output_context2(
                &mut self.context,
                ptr::null_mut(),
                name.as_ptr(),
                ptr::null(),
            );
            if let Some(context) = self.context.as_mut() {
                context.pb = self.io;
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
            // The container's own tag for the codec, not the one of some other container.
            (*stream.codecpar).codec_tag = 0;
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
        let code = unsafe {
            let code = ffi::av_write_trailer(self.context);
            ffi::avio_flush(self.io);
            code
        };
        self.check(code, "its end")?;
        self.bytes.file.sync_all().map_err(|error| unwritable(&self.path, &error))
    }

    fn check(&mut self, code: c_int, what: &str) -> Result<(), Reason> {
        if let Some(error) = self.bytes.error.take() {
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
        // SAFETY: the format context goes first (it does not own the I/O context: CUSTOM_IO), then the I/O
        // context's buffer, which libav may have replaced, then the I/O context.
        unsafe {
            ffi::avformat_free_context(self.context);
            if !self.io.is_null() {
                ffi::av_freep((&raw mut (*self.io).buffer).cast());
                ffi::avio_context_free(&mut self.io);
            }
        }
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

unsafe extern "C" fn write(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: `opaque` is the boxed `Bytes` of an open muxer; libav calls from the thread that uses it, with
    // a buffer of `size` bytes.
    let (bytes, buffer) = unsafe {
        let bytes = &mut *opaque.cast::<Bytes>();
        (bytes, std::slice::from_raw_parts(buffer, size.max(0) as usize))
    };
    match bytes.file.write_all_at(buffer, bytes.at) {
        Ok(()) => {
            bytes.at += buffer.len() as u64;
            bytes.size = bytes.size.max(bytes.at);
            size
        }
        Err(error) => {
            let code = error.raw_os_error().unwrap_or(5);
            bytes.error.get_or_insert(error);
            ffi::AVERROR(code)
        }
    }
}

unsafe extern "C" fn seek(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as in `write`.
    let bytes = unsafe { &mut *opaque.cast::<Bytes>() };
    let base = match whence & !(ffi::AVSEEK_FORCE as c_int) {
        0 => 0,
        1 => bytes.at as i64,
        2 => bytes.size as i64,
        whence if whence == ffi::AVSEEK_SIZE as c_int => return bytes.size as i64,
        _ => return i64::from(ffi::AVERROR(22)),
    };
    match base.checked_add(offset) {
        Some(to) if to >= 0 => {
            bytes.at = to as u64;
            to
        }
        _ => i64::from(ffi::AVERROR(22)),
    }
}
