//! Edit lists for mp4 clips, which ffmpeg writes in simple cases only: the boxes are written anew. The
//! index (moov) must be the file's last box, as it is without `+faststart`.

use std::fs;
use std::path::Path;

/// One edit: its length in seconds, and where in the track's media it begins; none is a pause.
pub type Edit = (f64, Option<f64>);

/// A box: its kind, and its place with its header.
type Place = ([u8; 4], usize, usize);

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn boxes(bytes: &[u8], from: usize, to: usize) -> Vec<Place> {
    let mut found = Vec::new();
    let mut at = from;
    while at + 8 <= to {
        let size = number(bytes, at) as usize;
        assert!(size >= 8 && at + size <= to, "a box of {size} bytes at {at}");
        found.push((bytes[at + 4..at + 8].try_into().expect("four bytes"), at, at + size));
        at += size;
    }
    found
}

fn child(bytes: &[u8], parent: Place, kind: &[u8; 4]) -> Place {
    let children = boxes(bytes, parent.1 + 8, parent.2);
    *children.iter().find(|(found, ..)| found == kind).expect("the box is there")
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), kind, body].concat()
}

/// Gives tracks (by number from 0) these edits in place of those that they have.
///
/// # Panics
/// When the file is no mp4 with its index last.
pub fn set(path: &Path, tracks: &[(usize, &[Edit])]) {
    let bytes = fs::read(path).expect("the clip");
    let outer = boxes(&bytes, 0, bytes.len());
    let moov = *outer.last().expect("boxes");
    assert_eq!(&moov.0, b"moov", "the index is not the last box");
    // Version 0 of both headers: the ticks a second stand behind two times of four bytes.
    let film_rate = f64::from(number(&bytes, child(&bytes, moov, b"mvhd").1 + 20));
    let mut body = Vec::new();
    let mut track = 0;
    for place in boxes(&bytes, moov.1 + 8, moov.2) {
        let own = &bytes[place.1..place.2];
        if &place.0 != b"trak" {
            body.extend(own);
            continue;
        }
        match tracks.iter().find(|(number, _)| *number == track) {
            Some((_, edits)) => body.extend(edited(&bytes, place, film_rate, edits)),
            None => body.extend(own),
        }
        track += 1;
    }
    let whole = [&bytes[..moov.1], &boxed(b"moov", &body)].concat();
    fs::write(path, whole).expect("room");
}

/// A track with other edits.
fn edited(bytes: &[u8], trak: Place, film_rate: f64, edits: &[Edit]) -> Vec<u8> {
    let media = child(bytes, trak, b"mdia");
    let media_rate = f64::from(number(bytes, child(bytes, media, b"mdhd").1 + 20));
    let mut list = [0u32.to_be_bytes(), (edits.len() as u32).to_be_bytes()].concat();
    for (length, begin) in edits {
        let begin = begin.map_or(-1, |begin| (begin * media_rate).round() as i32);
        list.extend(((length * film_rate).round() as u32).to_be_bytes());
        list.extend(begin.to_be_bytes());
        list.extend([0, 1, 0, 0]);
    }
    let list = boxed(b"edts", &boxed(b"elst", &list));
    let mut body = Vec::new();
    for (kind, from, to) in boxes(bytes, trak.1 + 8, trak.2) {
        if &kind == b"mdia" {
            body.extend(&list);
        }
        if &kind != b"edts" {
            body.extend(&bytes[from..to]);
        }
    }
    boxed(b"trak", &body)
}
