//! Whether a file is whole, as far as its own bookkeeping tells: does its index, or its outermost
//! element, reach past the file's end?
//!
//! Unsafe because libav is C. Sound because index entries are only read, one at a time, while the source
//! that owns them is borrowed.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;

use dvp_model::FilePath;
use dvp_model::error::Reason;
use ffmpeg_next::ffi;

use super::av;
use super::source::Source;

/// Matroska's segment element.
const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

/// Whether the container keeps an index of every packet in one place (mp4, mov).
pub fn has_index(source: &Source) -> bool {
    av::format_name(source.context()).split(',').any(|name| name == "mp4")
}

/// Whether every packet stands in one index at the file's start or end: not in a fragmented file, whose
/// index is strewn over it.
///
/// # Errors
/// `Machine` when reading fails.
pub fn is_one_index(source: &Source) -> Result<bool, Reason> {
    Ok(has_index(source) && !boxes(source)?.fragmented)
}

/// Where the body of an mp4 or mov file's index box lies; none in other files.
///
/// # Errors
/// `Machine` when reading fails.
pub fn index_box(source: &Source) -> Result<Option<(u64, u64)>, Reason> {
    if has_index(source) { Ok(boxes(source)?.index) } else { Ok(None) }
}

/// What the outermost boxes of an mp4 or mov file tell.
struct Boxes {
    fragmented: bool,
    index: Option<(u64, u64)>,
    cut_off: bool,
}

/// Kinds of outermost boxes; what is none of them is padding, and ends the walk.
const BOXES: [&[u8; 4]; 16] = [
    b"ftyp", b"moov", b"mdat", b"moof", b"sidx", b"mfra", b"styp", b"free", b"skip", b"wide",
    b"udta", b"uuid", b"meta", b"pnot", b"emsg", b"ssix",
];

/// Outermost boxes that are looked at: far more than a day's film in fragments has.
const MOST_BOXES: u32 = 1_000_000;

fn boxes(source: &Source) -> Result<Boxes, Reason> {
    let (path, size) = (&source.identity().path, source.identity().size);
    let unreadable = |error| Reason::machine(format!("{path} can't be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let mut found = Boxes { fragmented: false, index: None, cut_off: false };
    let mut at = 0u64;
    for _ in 0..MOST_BOXES {
        if at.saturating_add(16) > size {
            break;
        }
        let mut head = [0u8; 16];
        file.read_exact_at(&mut head, at).map_err(unreadable)?;
        let (length, kind) = head.split_at(4);
        let kind = &kind[..4];
        if !BOXES.iter().any(|known| known.as_slice() == kind) {
            break;
        }
        found.fragmented |= [&b"moof"[..], b"sidx", b"mfra"].contains(&kind);
        let number =
            |bytes: &[u8]| bytes.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        let length = match number(length) {
            0 => size - at,
            1 => number(&head[8..]),
            length => length,
        };
        if length < 8 {
            break;
        }
        if kind == b"moov" {
            let head = if number(&head[..4]) == 1 { 16 } else { 8 };
            found.index = Some((at + head, at.saturating_add(length).min(size)));
        }
        at = at.saturating_add(length);
    }
    found.cut_off = at > size;
    Ok(found)
}

/// Refuses a file that must have been longer.
///
/// # Errors
/// `Input` when it is cut off.
pub fn check_whole(source: &Source) -> Result<(), Reason> {
    let (path, size) = (&source.identity().path, source.identity().size);
    if !has_index(source) {
        let head = source.bytes_at(0, 4096)?;
        let end = segment_end(&head).or_else(|| riff_end(&head));
        return match end {
            Some(end) if end > size => Err(cut_off(path)),
            _ => Ok(()),
        };
    }
    if boxes(source)?.cut_off {
        return Err(cut_off(path));
    }
    for stream in source.streams() {
        // SAFETY: the entry numbers are within the count; libav only reads the stream it is given.
        unsafe {
            for at in 0..ffi::avformat_index_get_entries_count(stream) {
                let entry =
                    ffi::avformat_index_get_entry(std::ptr::from_ref(stream).cast_mut(), at);
                let Some(entry) = entry.as_ref() else { continue };
                let end = entry.pos.saturating_add(entry.size().max(0).into());
                if end > size as i64 {
                    return Err(cut_off(path));
                }
            }
        }
    }
    Ok(())
}

/// The reason for a file that ends too early.
pub fn cut_off(path: &FilePath) -> Reason {
    Reason::input(format!(
        "{path} is cut off: its index reaches past the file's end; get a whole copy"
    ))
}

/// Where a Matroska file's segment ends, if it says so.
fn segment_end(head: &[u8]) -> Option<u64> {
    let (_, header_size, at) = element(head, 0)?;
    let at = at.checked_add(usize::try_from(header_size?).ok()?)?;
    let (id, size, body) = element(head, at)?;
    (id == SEGMENT).then_some(())?;
    size?.checked_add(body as u64)
}

/// Where the first part of an AVI file ends, if it says so: a length of 0 was never filled in.
fn riff_end(head: &[u8]) -> Option<u64> {
    let (kind, length) = (head.get(..4)?, head.get(4..8)?);
    let length = u32::from_le_bytes(length.try_into().ok()?);
    (kind == b"RIFF" && head.get(8..11)? == b"AVI" && length > 0).then_some(u64::from(length) + 8)
}

/// An element of four id bytes at `at`: its id, its size if known, where its body begins.
fn element(head: &[u8], at: usize) -> Option<([u8; 4], Option<u64>, usize)> {
    let id: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
    let first = *head.get(at + 4)?;
    let length = first.leading_zeros() as usize + 1;
    let bytes = (length <= 8).then(|| head.get(at + 4..at + 4 + length))??;
    let marker = 0xffu64.checked_shr(length as u32)?;
    let size =
        bytes[1..].iter().fold(u64::from(first) & marker, |sum, &byte| sum << 8 | u64::from(byte));
    let unknown = (1u64 << (7 * length)) - 1;
    Some((id, (size != unknown).then_some(size), at + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_says_where_it_ends() {
        let mut head = vec![0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 2];
        head.extend(SEGMENT);
        head.extend([0x01, 0, 0, 0, 0, 0, 0x10, 0]);
        assert_eq!(segment_end(&head), Some(7 + 4 + 8 + 0x1000));
        let at = head.len() - 8;
        head[at..].copy_from_slice(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(segment_end(&head), None);
        assert_eq!(segment_end(&head[..9]), None);
    }
}
