//! What libav has to say: never on stdout or stderr, but kept, a few lines a thread, so that a reason can
//! quote the last complaint, and counted, so that a decoder's complaint is noticed.
//!
//! Unsafe because libav calls back with a C argument list. Sound because the list only goes on to libav's
//! own formatter, into a buffer of stated size, and nothing here can panic across the C frames. The
//! environment is changed while no other thread runs.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};

use ffmpeg_next::ffi;

/// Lines kept a thread.
const KEPT: usize = 8;

/// What libav calls an error and is none: the pictures come out right.
const HARMLESS: &[&str] = &[
    "mmco: unref short failure",
    "SEI type ",
    "Invalid NAL unit 0, skipping",
    // Cameras' notes in MJPEG.
    "unable to decode APP fields",
];

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    complaints: u64,
}

thread_local! {
    static HEARD: RefCell<Heard> = RefCell::default();
}

/// Silences what writes to stderr by itself and not through libav: SVT-AV1, but for errors. To be called
/// before any thread starts.
pub fn silence_others() {
    // SAFETY: no other thread reads the environment yet.
    unsafe { std::env::set_var("SVT_LOG", "1") }
}

/// Takes over libav's log for this process.
pub fn capture() {
    // SAFETY: the callback has the type that libav wants and lives for ever.
    unsafe {
        ffi::av_log_set_level(ffi::AV_LOG_WARNING);
        ffi::av_log_set_callback(Some(hear));
    }
}

/// Errors that libav reported on this thread so far.
pub fn complaints() -> u64 {
    HEARD.with_borrow(|heard| heard.complaints)
}

/// The last error line of this thread.
pub fn last_line() -> Option<String> {
    HEARD.with_borrow(|heard| heard.lines.last().cloned())
}

/// Whether one of the last error lines holds `part`.
pub fn said(part: &str) -> bool {
    HEARD.with_borrow(|heard| heard.lines.iter().any(|line| line.contains(part)))
}

/// Forgets the lines of this thread: what comes next has other causes.
pub fn forget() {
    HEARD.with_borrow_mut(|heard| heard.lines.clear());
}

unsafe extern "C" fn hear(
    object: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut ffi::__va_list_tag,
) {
    if level > ffi::AV_LOG_ERROR {
        return;
    }
    let mut buffer = [0 as c_char; 512];
    let mut prefix = 1;
    // SAFETY: libav's own arguments go to libav's own formatter, which ends the buffer with a NUL.
    let line = unsafe {
        ffi::av_log_format_line2(
            object,
            level,
            format,
            arguments,
            buffer.as_mut_ptr(),
            buffer.len() as c_int,
            &mut prefix,
        );
        CStr::from_ptr(buffer.as_ptr()).to_string_lossy()
    };
    // "[h264 @ 0x55d0] text": the address says nothing.
    let line = line.trim();
    let line = match (line.find(" @ 0x"), line.find("] ")) {
        (Some(at), Some(end)) if at < end => format!("{}: {}", &line[1..at], &line[end + 2..]),
        _ => line.to_owned(),
    };
    // Not while a borrow is held or the thread ends: then the line is lost, no harm.
    let _ = HEARD.try_with(|heard| {
        if let Ok(mut heard) = heard.try_borrow_mut() {
            heard.complaints += u64::from(!HARMLESS.iter().any(|part| line.contains(part)));
            if heard.lines.len() == KEPT {
                heard.lines.remove(0);
            }
            heard.lines.push(line);
        }
    });
}
