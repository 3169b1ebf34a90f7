//! Edit lists of mp4 and mov. libavformat follows one edit, perhaps behind a pause; where there are more
//! it moves pictures and sound by up to a packet each, so such files are read without their edits, which
//! are applied here. ISO/IEC 14496-12, 8.6.6.

use dvp_model::error::Reason;
use dvp_model::media::{Part, Run};
use dvp_model::time::Ratio;

use super::layout;
use super::source::Source;

/// Boxes within one other, and edits of a track, at most.
const MOST: usize = 10_000;
/// Far more than any track's media lasts, in ticks.
const FOREVER: i64 = i64::MAX / 4;

/// Edits of all tracks of a file.
pub struct Edits(Vec<Track>);

struct Track {
    id: i32,
    parts: Vec<Part>,
}

/// An edit as it stands in the file.
struct Edit {
    /// Ticks of the film.
    length: u64,
    /// Ticks of the track; -1 is a pause.
    from: i64,
    rate: u32,
}

/// The edits of a file that libavformat would not follow; none when it does.
///
/// # Errors
/// `Input` for edits that play slowly or hold a picture, `Machine` when reading fails.
pub fn read(source: &Source) -> Result<Option<Edits>, Reason> {
    let Some(moov) = layout::index_box(source)? else { return Ok(None) };
    let moov = children(source, moov)?;
    let Some(film_base) = base_of(source, find(&moov, b"mvhd"))? else { return Ok(None) };
    let (mut tracks, mut needed) = (Vec::new(), false);
    for place in moov.iter().filter(|found| &found.kind == b"trak") {
        let boxes = children(source, (place.from, place.to))?;
        let media = find(&boxes, b"mdia").map_or(Ok(Vec::new()), |at| children(source, at))?;
        let base = base_of(source, find(&media, b"mdhd"))?;
        let (Some(id), Some(base)) = (id_of(source, find(&boxes, b"tkhd"))?, base) else {
            continue;
        };
        let edits = find(&boxes, b"edts").map_or(Ok(Vec::new()), |at| children(source, at))?;
        let list = find(&edits, b"elst").map_or(Ok(Vec::new()), |at| list(source, at))?;
        let shown = list.iter().skip(usize::from(list.first().is_some_and(|edit| edit.from < 0)));
        let many = shown.clone().count() > 1;
        if many && list.iter().any(|edit| edit.from >= 0 && edit.rate != 1 << 16) {
            return Err(Reason::input(format!(
                "{}: an edit list holds a picture or plays it slowly, which can't be carried: write the file \
                 anew",
                source.identity().path
            )));
        }
        needed |= many;
        tracks.push(Track { id, parts: parts(&list, film_base, base) });
    }
    Ok(needed.then_some(Edits(tracks)))
}

/// What a list of edits shows.
fn parts(list: &[Edit], film_base: Ratio, base: Ratio) -> Vec<Part> {
    if list.is_empty() {
        return vec![Part { from: 0, to: FOREVER, at: 0 }];
    }
    let there = |ticks: u64| film_base.rescale(ticks.min(1 << 60) as i64, base);
    let (mut parts, mut at) = (Vec::new(), 0u64);
    for edit in list {
        let end = at.saturating_add(edit.length);
        if edit.from >= 0 {
            // A length of 0 is to the media's end.
            let length = if edit.length == 0 { FOREVER } else { there(end) - there(at) };
            parts.push(Part {
                from: edit.from,
                to: edit.from.saturating_add(length),
                at: there(at),
            });
        }
        at = end;
    }
    parts
}

impl Edits {
    /// What is shown of a track.
    pub fn of(&self, id: i32) -> Vec<Part> {
        let found = self.0.iter().find(|track| track.id == id);
        found.map_or_else(|| parts(&[], Ratio::new(1, 1), Ratio::new(1, 1)), |t| t.parts.clone())
    }
}

/// Pictures at `stamps`, rising, as `parts` show them: their times, rising, how to come back from these,
/// and how long the last one is shown at most.
pub fn shown(parts: &[Part], stamps: &[i64]) -> (Vec<i64>, Vec<Run>, i64) {
    let (mut times, mut runs, mut rest) = (Vec::<i64>::new(), Vec::new(), FOREVER);
    for part in parts {
        let first = stamps.partition_point(|&stamp| stamp < part.from);
        let last = stamps.partition_point(|&stamp| stamp < part.to);
        let Some(&begin) = stamps.get(first).filter(|_| first < last) else { continue };
        let behind = times.last().map_or(i64::MIN, |last| last + 1);
        let from = (part.at + (begin - part.from)).max(behind);
        let shift = begin - from;
        runs.push(Run { from, shift });
        times.extend(stamps[first..last].iter().map(|stamp| stamp - shift));
        rest = part.to - stamps[last - 1];
    }
    (times, runs, rest)
}

/// A box within another: its kind, and where its body lies.
struct Found {
    kind: [u8; 4],
    from: u64,
    to: u64,
}

fn find(boxes: &[Found], kind: &[u8; 4]) -> Option<(u64, u64)> {
    boxes.iter().find(|found| &found.kind == kind).map(|found| (found.from, found.to))
}

fn children(source: &Source, (mut at, to): (u64, u64)) -> Result<Vec<Found>, Reason> {
    let mut found = Vec::new();
    while at + 8 <= to && found.len() < MOST {
        let head = source.bytes_at(at, 16)?;
        let (Some(size), Some(kind)) = (number(&head, 0, 4), head.get(4..8)) else { break };
        let (size, from) = match size {
            0 => (to - at, at + 8),
            1 => (number(&head, 8, 8).unwrap_or(0), at + 16),
            size => (size, at + 8),
        };
        let end = at.saturating_add(size);
        if size < 8 || end > to {
            break;
        }
        let kind = kind.try_into().unwrap_or_default();
        found.push(Found { kind, from, to: end });
        at = end;
    }
    Ok(found)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// The body of a box, its first bytes.
fn body(source: &Source, (from, to): (u64, u64), most: usize) -> Result<Vec<u8>, Reason> {
    source.bytes_at(from, usize::try_from(to - from).unwrap_or(most).min(most))
}

/// Seconds a tick, by mvhd or mdhd.
fn base_of(source: &Source, place: Option<(u64, u64)>) -> Result<Option<Ratio>, Reason> {
    let Some(place) = place else { return Ok(None) };
    let head = body(source, place, 32)?;
    let at = if head.first() == Some(&1) { 20 } else { 12 };
    let scale = number(&head, at, 4).filter(|&scale| scale > 0);
    Ok(scale.map(|scale| Ratio::new(1, scale as i64)))
}

/// The track's number, by tkhd.
fn id_of(source: &Source, place: Option<(u64, u64)>) -> Result<Option<i32>, Reason> {
    let Some(place) = place else { return Ok(None) };
    let head = body(source, place, 32)?;
    let at = if head.first() == Some(&1) { 20 } else { 12 };
    Ok(number(&head, at, 4).and_then(|id| i32::try_from(id).ok()))
}

fn list(source: &Source, place: (u64, u64)) -> Result<Vec<Edit>, Reason> {
    let bytes = body(source, place, 8 + 20 * MOST)?;
    let (wide, size) = if bytes.first() == Some(&1) { (8, 20) } else { (4, 12) };
    let entries = bytes.get(8..).unwrap_or_default().chunks_exact(size);
    let count = number(&bytes, 4, 4).unwrap_or(0) as usize;
    let edit = |entry: &[u8]| {
        let from = number(entry, wide, wide)?;
        // Signed, of either width.
        let from = if wide == 8 { from as i64 } else { i64::from(from as u32 as i32) };
        let rate = number(entry, 2 * wide, 4)? as u32;
        Some(Edit { length: number(entry, 0, wide)?, from, rate })
    };
    Ok(entries.take(count).filter_map(edit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(length: u64, from: i64) -> Edit {
        Edit { length, from, rate: 1 << 16 }
    }

    #[test]
    fn pictures_are_shown_as_the_edits_say() {
        let ms = Ratio::new(1, 1000);
        // A pause, a part, a pause, the same part again, to the end.
        let list = [edit(100, -1), edit(20, 50), edit(30, -1), edit(20, 50), edit(0, 80)];
        let parts = parts(&list, ms, Ratio::new(1, 10_000));
        assert_eq!(parts[0], Part { from: 50, to: 250, at: 1000 });
        assert_eq!((parts[1].at, parts[2].at), (1500, 1700));
        let stamps: Vec<i64> = (0..30).map(|at| at * 40).collect();
        let (times, runs, _) = shown(&parts[..2], &stamps);
        assert_eq!(times, [1030, 1070, 1110, 1150, 1190, 1530, 1570, 1610, 1650, 1690]);
        assert_eq!(runs, [Run { from: 1030, shift: -950 }, Run { from: 1530, shift: -1450 }]);
        assert!(
            times
                .iter()
                .all(|time| stamps.contains(&(time + if *time < 1500 { -950 } else { -1450 })))
        );
        let (times, _, rest) = shown(&parts[..1], &stamps[..5]);
        assert_eq!((times.last(), rest), (Some(&1110), 90));
    }
}
