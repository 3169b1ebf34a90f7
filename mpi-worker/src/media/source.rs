//! Opens an input: only formats of the list below, only this one file, within bounds, and only if it still
//! is the file that was planned. All reading goes through our own file handle: libav opens nothing.
//!
//! Unsafe because libav is C. Sound because the context and its I/O are owned together, and freed in that
//! order.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::ptr;

use dvp_model::FilePath;
use dvp_model::error::{Kind, Reason};
use dvp_model::media::Identity;
use ffmpeg_next::ffi;

use super::av::{self, AvError, Dict, Packet};
use super::bytes::Io;
use super::log;

/// Most streams of a file.
const MOST_STREAMS: c_int = 64;
/// Largest width or height.
const LARGEST_SIDE: c_int = 16384;
/// Most pixels of a picture.
pub const MOST_PIXELS: i64 = 8192 * 8192;
/// Demuxers that may run.
const FORMATS: &str =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,h264,hevc,mpegvideo,m4v";
/// The same, for a person.
const READ: &str = "mp4, mov, mkv, webm, ts, mpg, avi and raw H.264, HEVC and MPEG-2";
/// Those without an index of their own: a seek in them ends anywhere.
const STREWN: &[&str] = &["mpegts", "mpeg"];
/// Those whose bytes may be anything: what is hardly recognised is not taken for one of them.
const FAINT: &[&str] = &["mpegts", "mpeg", "h264", "hevc", "mpegvideo", "m4v"];

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// The streams' parameters are completed by decoding a little of each.
    pub probe: bool,
    /// Edit lists are followed.
    pub edited: bool,
    /// A damaged container ends where it can't be read on.
    pub tolerant: bool,
}

/// An opened input.
pub struct Source {
    context: *mut ffi::AVFormatContext,
    tolerant: bool,
    // Dropped after the context, which reads through it.
    io: Io,
    path: FilePath,
    identity: Identity,
}

impl Source {
    /// Opens `path`, which must be the file `expected` if that is given, as a whole and edited film.
    ///
    /// # Errors
    /// `NotFound`; `Input` for what is no fit file or has changed; `Machine` when reading fails.
    pub fn open(
        path: &FilePath,
        expected: Option<&Identity>,
        probe: bool,
    ) -> Result<Source, Reason> {
        Self::open_as(path, expected, How { probe, edited: true, tolerant: false })
    }

    /// As [`Source::open`], read in another way.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_as(
        path: &FilePath,
        expected: Option<&Identity>,
        how: How,
    ) -> Result<Source, Reason> {
        let found = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if found.is_dir() {
            return Err(Reason::input(format!("{path} is a folder: name a video file")));
        }
        if !found.is_file() {
            return Err(Reason::input(format!("{path} is not a regular file: name a video file")));
        }
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let identity = identity(path, &file.metadata().map_err(|error| unreadable(path, &error))?);
        if expected.is_some_and(|expected| !expected.is_same(&identity)) {
            return Err(changed(path));
        }
        if identity.size == 0 {
            return Err(Reason::input(format!("{path} is empty: it holds no video")));
        }
        log::forget();
        let format = detect(path, &file)?;
        let io = Io::reader(file, identity.size)?;
        let tolerant = how.tolerant;
        let mut source =
            Source { context: ptr::null_mut(), tolerant, io, path: path.clone(), identity };
        source.connect(format, how.edited)?;
        // Some formats tell their streams only as they come.
        let unknown = source.context().nb_streams == 0;
        if !unknown {
            source.check_bounds()?;
        }
        if how.probe || unknown {
            source.probe()?;
        }
        Ok(source)
    }

    fn connect(&mut self, format: *const ffi::AVInputFormat, edited: bool) -> Result<(), Reason> {
        let mut options =
            Dict::new([("format_whitelist", FORMATS), ("protocol_whitelist", "none")]);
        if !edited {
            options.set("ignore_editlist", "1");
        }
        // SAFETY: the context is freshly allocated; its I/O outlives it.
        let code = unsafe {
            let mut context = ffi::avformat_alloc_context();
            if context.is_null() {
                return Err(Reason::machine("out of memory"));
            }
            (*context).pb = self.io.raw();
            (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            (*context).io_open = Some(refuse_open);
            (*context).max_streams = MOST_STREAMS;
            // Frees the context and sets it to null when it fails.
            let code = ffi::avformat_open_input(&mut context, c"".as_ptr(), format, options.raw());
            self.context = context;
            code
        };
        av::check(code).map(drop).map_err(|error| self.unfit(error))
    }

    /// Why the file can't be opened, for a person.
    fn unfit(&mut self, error: AvError) -> Reason {
        let path = self.path.clone();
        if let Some(failed) = self.io.take_error() {
            return unreadable(&path, &failed);
        }
        if log::said("moov atom not found") {
            return Reason::input(format!(
                "{path} is cut off or was never finished: its index (moov) is missing; get a whole copy"
            ));
        }
        error.reason(Kind::Input, format!("{path} can't be read as a video file"))
    }

    fn check_bounds(&self) -> Result<(), Reason> {
        let unfit = |text: String| Err(Reason::input(format!("{}: {text}", self.path)));
        if self.context().nb_streams == 0 {
            return unfit("it has no streams".to_owned());
        }
        if self.context().nb_streams > MOST_STREAMS as u32 {
            return unfit(format!("it has more than {MOST_STREAMS} streams"));
        }
        for stream in self.streams() {
            // SAFETY: every stream has parameters.
            let par = unsafe { &*stream.codecpar };
            let pixels = i64::from(par.width) * i64::from(par.height);
            if par.width > LARGEST_SIDE || par.height > LARGEST_SIDE || pixels > MOST_PIXELS {
                return unfit(format!(
                    "its pictures are {}x{}: at most {LARGEST_SIDE} a side and {MOST_PIXELS} pixels",
                    par.width, par.height
                ));
            }
        }
        Ok(())
    }

    fn probe(&mut self) -> Result<(), Reason> {
        let pixels = MOST_PIXELS.to_string();
        let count = self.context().nb_streams as usize;
        let mut options: Vec<Dict> = (0..count)
            .map(|_| Dict::new([("max_pixels", pixels.as_str()), ("threads", "1")]))
            .collect();
        let mut raw: Vec<*mut ffi::AVDictionary> =
            options.iter_mut().map(|dict| unsafe { *dict.raw() }).collect();
        // SAFETY: one dictionary a stream, as libav wants; what it changes is put back to be freed.
        let code = unsafe { ffi::avformat_find_stream_info(self.context, raw.as_mut_ptr()) };
        for (dict, raw) in options.iter_mut().zip(raw) {
            // SAFETY: libav keeps the dictionaries valid and leaves them to us.
            unsafe { *dict.raw() = raw };
        }
        av::check(code).map_err(|error| self.unfit(error))?;
        self.check_bounds()
    }

    /// libav's context.
    pub fn context(&self) -> &ffi::AVFormatContext {
        // SAFETY: not null once `open` has returned.
        unsafe { &*self.context }
    }

    /// Its streams, in file order.
    pub fn streams(&self) -> impl Iterator<Item = &ffi::AVStream> {
        let context = self.context();
        // SAFETY: libav holds `nb_streams` valid streams.
        (0..context.nb_streams as usize).map(|at| unsafe { &**context.streams.add(at) })
    }

    /// Stream `index`.
    pub fn stream(&self, index: u32) -> Result<&ffi::AVStream, Reason> {
        self.streams().nth(index as usize).ok_or_else(|| changed(&self.path))
    }

    /// Reads packets of stream `index` only.
    pub fn select(&mut self, index: u32) {
        let context = self.context();
        for at in 0..context.nb_streams as usize {
            // SAFETY: `discard` is a field for callers to set.
            unsafe {
                (**context.streams.add(at)).discard = if at == index as usize {
                    ffi::AVDiscard::AVDISCARD_DEFAULT
                } else {
                    ffi::AVDiscard::AVDISCARD_ALL
                };
            }
        }
    }

    /// From here on packets are wanted for their times alone: their bytes read as zeros, at memory speed.
    /// Only for mp4 and mov, whose index lies in one place.
    pub fn skim(&mut self) {
        self.io.skim();
    }

    /// Where reading stands, in bytes of the file.
    pub fn position(&self) -> u64 {
        self.io.position()
    }

    /// Whether a seek may end anywhere, and the first packet decides how times are read.
    pub fn is_strewn(&self) -> bool {
        STREWN.contains(&av::format_name(self.context()).as_str())
    }

    /// The file.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Goes to the last entry point of stream `index` at or before `target` (its ticks).
    pub fn seek(&mut self, index: u32, target: i64) -> Result<(), AvError> {
        // SAFETY: an open context.
        av::check(unsafe {
            ffi::av_seek_frame(self.context, index as c_int, target, ffi::AVSEEK_FLAG_BACKWARD)
        })
        .map(drop)
    }

    /// The next packet of the selected streams; none at the end.
    ///
    /// # Errors
    /// `Machine` when reading fails, `Input` when the container is damaged.
    pub fn read(&mut self, packet: &mut Packet) -> Result<bool, Reason> {
        packet.clear();
        // SAFETY: an open context and an empty packet.
        let code = unsafe { ffi::av_read_frame(self.context, packet.raw()) };
        if let Some(error) = self.io.take_error() {
            return Err(unreadable(&self.path, &error));
        }
        match av::check(code) {
            Ok(_) => Ok(true),
            Err(AvError(ffi::AVERROR_EOF)) => Ok(false),
            Err(error) if self.tolerant && error.kind(Kind::Input) == Kind::Input => Ok(false),
            Err(error) => {
                Err(error.reason(Kind::Input, format!("{} is damaged or cut off", self.path)))
            }
        }
    }

    /// Bytes of the file from `at` on, `size` or as many as there are.
    ///
    /// # Errors
    /// `Machine` when reading fails.
    pub fn bytes_at(&self, at: u64, size: usize) -> Result<Vec<u8>, Reason> {
        let mut bytes = vec![0; size];
        let read = self.io.file().read_at(&mut bytes, at);
        bytes.truncate(read.map_err(|error| unreadable(&self.path, &error))?);
        Ok(bytes)
    }

    /// Whether the file that was planned is still there.
    ///
    /// # Errors
    /// `Input` when another one is.
    pub fn check_unchanged(planned: &Identity) -> Result<(), Reason> {
        let path = &planned.path;
        let found = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if planned.is_same(&identity(path, &found)) { Ok(()) } else { Err(changed(path)) }
    }

    /// Whether the file at the path still is the one that was opened.
    ///
    /// # Errors
    /// `Input` when it isn't.
    pub fn still_same(&self) -> Result<(), Reason> {
        let found = std::fs::metadata(&self.path).map_err(|_| changed(&self.path))?;
        let open = self.io.file().metadata().map_err(|error| unreadable(&self.path, &error))?;
        let same =
            [found, open].iter().all(|file| self.identity.is_same(&identity(&self.path, file)));
        if same { Ok(()) } else { Err(changed(&self.path)) }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: a context of ours, or null. It does not own its I/O (CUSTOM_IO).
        unsafe { ffi::avformat_close_input(&mut self.context) }
    }
}

fn identity(path: &FilePath, found: &Metadata) -> Identity {
    Identity {
        path: path.clone(),
        size: found.len(),
        mtime_ns: found.mtime() * 1_000_000_000 + found.mtime_nsec(),
        ctime_ns: found.ctime() * 1_000_000_000 + found.ctime_nsec(),
        inode: found.ino(),
    }
}

fn changed(path: &FilePath) -> Reason {
    Reason::input(format!(
        "input changed: {path} is no longer the file that was planned; submit it anew"
    ))
}

fn unreadable(path: &FilePath, error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::NotFound => Reason::not_found(format!("there is no file {path}")),
        io::ErrorKind::NotADirectory => Reason::not_found(format!("there is no file {path}")),
        io::ErrorKind::PermissionDenied => {
            Reason::input(format!("{path} can't be read: permission denied"))
        }
        _ => Reason::machine(format!("{path} can't be read: {error}")),
    }
}

/// The demuxer for a file's first bytes, if it is one of ours.
fn detect(path: &FilePath, file: &File) -> Result<*const ffi::AVInputFormat, Reason> {
    const PADDING: usize = ffi::AVPROBE_PADDING_SIZE as usize;
    let mut head = vec![0u8; (1 << 17) + PADDING];
    let room = head.len() - PADDING;
    let mut filled = 0;
    while filled < room {
        match file.read_at(&mut head[filled..room], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
    let data = ffi::AVProbeData {
        filename: c"".as_ptr(),
        buf: head.as_mut_ptr(),
        buf_size: filled as c_int,
        mime_type: ptr::null(),
    };
    let mut score = 0;
    // SAFETY: the buffer has the padding of zeros that libav asks for; the format found is static.
    let (format, name, long_name) = unsafe {
        let format = ffi::av_probe_input_format3(&data, 1, &mut score);
        match format.as_ref() {
            None => (format, String::new(), String::new()),
            Some(found) => (format, av::text(found.name), av::text(found.long_name)),
        }
    };
    let known = name.split(',').any(|name| FORMATS.split(',').any(|known| known == name));
    let faint = FAINT.contains(&name.as_str()) && score <= ffi::AVPROBE_SCORE_MAX / 4;
    if known && !faint {
        return Ok(format);
    }
    if name.is_empty() || score <= ffi::AVPROBE_SCORE_MAX / 4 {
        return Err(Reason::input(format!("{path} is not a video file: {READ} are read")));
    }
    Err(Reason::input(format!(
        "{path} is none of {READ}, which are read (it looks like {long_name})"
    )))
}

/// Nothing else is ever opened: no playlist's entries, no data references.
unsafe extern "C" fn refuse_open(
    _context: *mut ffi::AVFormatContext,
    _io: *mut *mut ffi::AVIOContext,
    _url: *const c_char,
    _flags: c_int,
    _options: *mut *mut ffi::AVDictionary,
) -> c_int {
    ffi::AVERROR(13)
}
