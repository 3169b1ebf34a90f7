//! Reads every packet of a film once: the times of its pictures, and whether they can be believed.

use dvp_model::error::Reason;
use dvp_model::plan::line::Jumps;
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, NO_PTS, Packet};
use super::entry::{is_empty, is_hidden};
use super::source::Source;
use super::{layout, log, pass};

/// Most pictures of a film.
const MOST_PICTURES: usize = 20_000_000;

/// Codecs whose packets are pictures by the container's word alone: no parser looks at their bytes.
const SKIMMED: &[&str] = &[
    "h264",
    "hevc",
    "av1",
    "mpeg2video",
    "mpeg4",
    "mjpeg",
    "prores",
    "ffv1",
    "png",
    "qtrle",
    "dnxhd",
];

/// What packets tell of a film's pictures.
pub struct Scan {
    /// Times at which they are shown, sorted.
    pub stamps: Vec<i64>,
    /// Times at which they are decoded, in file order; none where one is missing.
    pub decoded: Option<Vec<i64>>,
    /// How long the one shown last is shown, by the container; 0 when it doesn't say.
    pub last_duration: i64,
    /// Why `stamps` can't be believed, if so.
    pub doubt: Option<String>,
    /// What the container calls broken, for a person: where that is tolerated.
    pub damage: Vec<String>,
}

/// What is no hold or reordering, but a jump. Streams that may be spliced are not believed when they step
/// back at all; others are when they hold a picture for long.
pub fn jumps(source: &Source, base: Ratio) -> Jumps {
    let ms = |ms| Ratio::new(1, 1000).rescale(ms, base);
    match source.is_strewn() {
        true => Jumps { back: 0, ahead: Some(ms(10_000)) },
        false => Jumps { back: ms(300), ahead: None },
    }
}

/// Reads the packets of stream `film`. `progress` counts bytes.
///
/// # Errors
/// `Input` when the container is damaged or cut off and that is not tolerated, `Machine` when reading
/// fails.
pub fn read(
    source: &mut Source,
    film: u32,
    codec: &str,
    tolerant: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Scan, Reason> {
    source.select(film);
    if SKIMMED.contains(&codec) && layout::is_one_index(source)? {
        source.skim();
    }
    let base = av::ratio(source.stream(film)?.time_base);
    let path = source.identity().path.clone();
    let total = source.identity().size;
    let mut packet = Packet::new()?;
    let (mut stamps, mut decoded, mut count) = (Vec::new(), Some(Vec::new()), 0u64);
    let (mut doubt, mut damage) = (None, Vec::new());
    let mut last = (i64::MIN, 0);
    let strewn = source.is_strewn();
    let mut line = InLine { jumps: jumps(source, base), last: None, step: 0, torn: false };
    while source.read(&mut packet)? {
        if packet.get().stream_index as u32 != film {
            continue;
        }
        if packet.has(ffi::AV_PKT_FLAG_CORRUPT) && !strewn && !tolerant {
            return Err(layout::cut_off(&path));
        }
        count += 1;
        if count % 1024 == 0 {
            progress(source.position(), total);
        }
        if packet.has(ffi::AV_PKT_FLAG_DISCARD) || is_hidden(codec, packet.data()) {
            continue;
        }
        let raw = packet.get();
        if is_empty(codec, raw.size) {
            doubt.get_or_insert_with(|| "some packets hold no picture".to_owned());
        }
        let time = [raw.dts, raw.pts].into_iter().find(|&time| time != NO_PTS);
        if let Some(time) = time {
            match line.next(time, packet.has(ffi::AV_PKT_FLAG_CORRUPT)) {
                Next::Follows => {}
                Next::Jumps => {
                    let moment = moment(source, time, base);
                    doubt.get_or_insert_with(|| format!("the timestamps jump to {moment}"));
                }
                Next::Lacks if tolerant => {
                    damage.push(format!("lost bytes before {}", moment(source, time, base)));
                }
                Next::Lacks => {
                    return Err(pass::damage(source.identity(), &moment(source, time, base)));
                }
            }
        }
        decoded = decoded.filter(|_| raw.dts != NO_PTS);
        if let Some(decoded) = &mut decoded {
            decoded.push(raw.dts);
        }
        if raw.pts == NO_PTS {
            doubt.get_or_insert_with(|| format!("picture {count} has no time"));
        } else {
            last = last.max((raw.pts, raw.duration));
            stamps.push(raw.pts);
        }
        if count as usize > MOST_PICTURES {
            return Err(Reason::input(format!("{path} has more than {MOST_PICTURES} pictures")));
        }
    }
    if log::said("ended prematurely") {
        match tolerant {
            true => damage.push("its end, which is cut off".to_owned()),
            false => return Err(layout::cut_off(&path)),
        }
    }
    progress(total, total);
    if count == 0 {
        return Err(Reason::input(format!("{path}: its video stream holds no pictures")));
    }
    stamps.sort_unstable();
    if let Some(pair) = stamps.windows(2).find(|pair| pair[0] == pair[1]) {
        let moment = moment(source, pair[0], base);
        doubt.get_or_insert_with(|| format!("two pictures share the time {moment}"));
    }
    Ok(Scan { stamps, decoded, last_duration: last.1, doubt, damage })
}

/// Watches times in file order.
struct InLine {
    jumps: Jumps,
    last: Option<i64>,
    /// From the packet before the last one to it.
    step: i64,
    /// The container called the last one broken.
    torn: bool,
}

/// What a time is to the one before.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Follows,
    /// Further than any film goes.
    Jumps,
    /// The container lost something here, and a picture's time is missing.
    Lacks,
}

impl InLine {
    /// Takes the next time. Streams that were joined are torn there, too: nothing is lost while times go on
    /// evenly, or jump.
    fn next(&mut self, time: i64, torn: bool) -> Next {
        let torn = std::mem::replace(&mut self.torn, torn) || torn;
        let Some(last) = self.last.replace(time) else { return Next::Follows };
        let step = std::mem::replace(&mut self.step, time - last);
        if time < last - self.jumps.back
            || self.jumps.ahead.is_some_and(|ahead| time - last > ahead)
        {
            self.step = step;
            return Next::Jumps;
        }
        if torn && step > 0 && 2 * (time - last) > 3 * step { Next::Lacks } else { Next::Follows }
    }
}

/// A moment as a person reads it, from the film's start.
pub fn moment(source: &Source, time: i64, base: Ratio) -> String {
    let start = match source.context().start_time {
        NO_PTS => 0.0,
        start => start as f64 / 1e6,
    };
    format!("{:.3} s", time as f64 * base.as_f64() - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_stream_lacks_a_picture_only_where_a_time_is_missing() {
        let jumps = Jumps { back: 0, ahead: Some(10_000) };
        let mut line = InLine { jumps, last: None, step: 0, torn: false };
        let mut next = |time, torn| line.next(time, torn);
        assert_eq!([next(0, false), next(40, true), next(80, false)], [const { Next::Follows }; 3]);
        // A hold, in a whole stream.
        assert_eq!([next(400, false), next(440, true)], [Next::Follows, Next::Follows]);
        assert_eq!(next(520, false), Next::Lacks);
        assert_eq!([next(560, true), next(20, false)], [Next::Follows, Next::Jumps]);
        assert_eq!([next(60, false), next(20_000, true)], [Next::Follows, Next::Jumps]);
    }
}
