//! A file below libav's I/O: libav asks for bytes or gives them, and never learns where they lie. Knows
//! nothing of containers.
//!
//! Unsafe because libav is C and calls back for bytes. Sound because the file is boxed and handed over as a
//! raw pointer that only `Io` frees, after the I/O context that knows it; libav calls from the thread that
//! uses the `Io`, never while a method of it runs; callbacks touch only that file and can't panic.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use dvp_model::error::Reason;
use ffmpeg_next::ffi;

/// Bytes read at once.
const READ_BUFFER: c_int = 1 << 16;
/// Bytes written at once.
const WRITE_BUFFER: c_int = 1 << 20;

/// The file, and how it stands.
struct Bytes {
    file: File,
    at: u64,
    size: u64,
    /// Payload is not wanted: give zeros without reading.
    skim: bool,
    error: Option<io::Error>,
}

/// libav's I/O context over a file.
pub struct Io {
    context: *mut ffi::AVIOContext,
    bytes: *mut Bytes,
}

impl Io {
    /// Reads the first `size` bytes of `file`.
    ///
    /// # Errors
    /// `Machine` when memory is short.
    pub fn reader(file: File, size: u64) -> Result<Io, Reason> {
        Self::open(Bytes { file, at: 0, size, skim: false, error: None }, false)
    }

    /// Writes to `file`, which is empty.
    ///
    /// # Errors
    /// `Machine` when memory is short.
    pub fn writer(file: File) -> Result<Io, Reason> {
        Self::open(Bytes { file, at: 0, size: 0, skim: false, error: None }, true)
    }

    fn open(bytes: Bytes, writes: bool) -> Result<Io, Reason> {
        let size = if writes { WRITE_BUFFER } else { READ_BUFFER };
        let bytes = Box::into_raw(Box::new(bytes));
        // SAFETY: the buffer is freshly allocated and becomes the context's.
        let context = unsafe {
            let buffer = ffi::av_malloc(size as usize).cast::<u8>();
            let context = ffi::avio_alloc_context(
                buffer,
                size,
                writes.into(),
                bytes.cast(),
                if writes { None } else { Some(read) },
                if writes { Some(write) } else { None },
                Some(seek),
            );
            if context.is_null() {
                ffi::av_free(buffer.cast());
            }
            context
        };
        let io = Io { context, bytes };
        if context.is_null() { Err(Reason::machine("out of memory")) } else { Ok(io) }
    }

    /// The context, for a format context that does not own it (`AVFMT_FLAG_CUSTOM_IO`).
    pub fn raw(&mut self) -> *mut ffi::AVIOContext {
        self.context
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.bytes().file
    }

    /// Where it stands, in bytes of the file.
    pub fn position(&self) -> u64 {
        self.bytes().at
    }

    /// From here on bytes read as zeros, at memory speed.
    pub fn skim(&mut self) {
        self.bytes_mut().skim = true;
    }

    /// What the file system said when libav was last told no more than that something failed.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.bytes_mut().error.take()
    }

    /// Hands to the file system what libav still holds.
    pub fn flush(&mut self) {
        // SAFETY: an open context.
        unsafe { ffi::avio_flush(self.context) }
    }

    fn bytes(&self) -> &Bytes {
        // SAFETY: lives as long as `self`; libav is not at it meanwhile.
        unsafe { &*self.bytes }
    }

    fn bytes_mut(&mut self) -> &mut Bytes {
        // SAFETY: as in `bytes`.
        unsafe { &mut *self.bytes }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        // SAFETY: the buffer, which libav may have replaced, goes first, then the context, then the box that
        // `open` made.
        unsafe {
            if !self.context.is_null() {
                ffi::av_freep((&raw mut (*self.context).buffer).cast());
                ffi::avio_context_free(&mut self.context);
            }
            drop(Box::from_raw(self.bytes));
        }
    }
}

unsafe extern "C" fn read(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: `opaque` is the `Bytes` of an `Io`.
    let bytes = unsafe { &mut *opaque.cast::<Bytes>() };
    let wanted = (size.max(0) as u64).min(bytes.size.saturating_sub(bytes.at)) as usize;
    if wanted == 0 {
        return ffi::AVERROR_EOF;
    }
    // SAFETY: libav gives a buffer of `size` bytes.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, wanted) };
    if bytes.skim {
        buffer.fill(0);
        bytes.at += wanted as u64;
        return wanted as c_int;
    }
    loop {
        match bytes.file.read_at(buffer, bytes.at) {
            Ok(0) => return ffi::AVERROR_EOF,
            Ok(read) => {
                bytes.at += read as u64;
                return read as c_int;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                bytes.error = Some(error);
                return ffi::AVERROR(5);
            }
        }
    }
}

unsafe extern "C" fn write(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: `opaque` is the `Bytes` of an `Io`; libav gives a buffer of `size` bytes.
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
    // SAFETY: `opaque` is the `Bytes` of an `Io`.
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
