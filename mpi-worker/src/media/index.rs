//! Finds out what is in a file: its streams, and the time of every picture that is shown. Decides
//! nothing: the planner does.

use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::media::{Audio, Index, Other, Splice, Video};
use dvp_model::plan::line::{self, Jumps, Line};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, NO_PTS};
use super::count::{self, Opening};
use super::decode::Setup;
use super::pass::Film;
use super::scan::{self, Scan, jumps};
use super::source::{How, Source};
use super::{color, edits, layout, picture};

/// What [`read`] found, and the film's first picture.
pub struct Found {
    /// The index.
    pub index: Index,
    /// The first picture that can be decoded.
    pub first: av::Frame,
    /// What lies beside the pictures, by the container.
    pub beside: Vec<String>,
}

/// Reads the index of a file. When `tolerant`, damage is no fault but named.
pub fn read(
    input: &FilePath,
    tolerant: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Found, Reason> {
    let how = How { probe: true, edited: true, tolerant };
    let mut source = Source::open_as(input, None, how)?;
    let edits = edits::read(&source)?;
    if edits.is_some() {
        let how = How { edited: false, ..how };
        source = Source::open_as(input, Some(source.identity()), how)?;
    }
    let mut streams = Streams::sort(&source)?;
    let whole = layout::check_whole(&source);
    let cut_off = tolerant && whole.is_err();
    if !cut_off {
        whole?;
    }
    let stream = source.stream(streams.film)?;
    let par = av::parameters(stream);
    let time_base = av::ratio(stream.time_base);
    let codec = av::codec_name(par.codec_id);
    let reorder = par.video_delay.max(0) as u32;
    let (rotation, upright) = picture::upright(stream)
        .map_err(|what| Reason::input(format!("{input} has {what}, which can't be carried yet")))?;
    let beside = picture::beside_stream(stream);
    let stated_rate = av::ratio(stream.avg_frame_rate);
    let stated_aspect = av::ratio(stream.sample_aspect_ratio);
    let intra_only = av::is_intra_only(par.codec_id);
    let format = av::format_name(source.context());
    let start_us = match source.context().start_time {
        NO_PTS => 0,
        start => start,
    };
    // Without its edits, a file is as long as all that was ever recorded.
    let duration_us = if edits.is_some() { 0 } else { source.context().duration.max(0) };
    let film = Film {
        input: source.identity().clone(),
        stream: streams.film,
        codec: codec.clone(),
        setup: Setup { time_base, reorder },
        edited: edits.is_none(),
        tolerant,
    };
    let opening = count::opening(&film)?;
    let mut scan = scan::read(&mut source, streams.film, &codec, tolerant, progress)?;
    if cut_off && scan.damage.is_empty() {
        scan.damage.push("its end, which is cut off".to_owned());
    }
    let step = match stated_rate.num {
        0 => scan.stamps.windows(2).map(|pair| pair[1] - pair[0]).next_back().unwrap_or(0),
        _ => Ratio::new(stated_rate.den, stated_rate.num).rescale(1, time_base),
    };
    let step = if step > 0 { step } else { scan.last_duration.max(1) };
    let last_duration = if scan.last_duration > 0 { scan.last_duration } else { step };
    let line = (step, jumps(&source, time_base));
    let moment = |stamp| scan::moment(&source, stamp, time_base);
    let mut pictures = Pictures::of(&film, &opening, scan, line, &moment, progress)?;
    let (mut start_us, mut last_duration) = (start_us, last_duration);
    let mut runs = Vec::new();
    if let Some(edits) = edits {
        if let Some(why) = pictures.counted {
            return Err(Reason::input(format!(
                "{input} has an edit list of several parts, and {why}"
            )));
        }
        let parts = edits.of(source.stream(streams.film)?.id);
        let rest;
        (pictures.stamps, runs, rest) = edits::shown(&parts, &pictures.stamps);
        last_duration = last_duration.min(rest);
        let first = pictures.stamps.first().copied();
        let first = first
            .ok_or_else(|| Reason::input(format!("{input}: its edit list shows no picture")))?;
        start_us = time_base.rescale(first, US);
        for audio in &mut streams.audio {
            audio.parts = edits.of(source.stream(audio.stream)?.id);
            if let Some(part) = audio.parts.first() {
                start_us = start_us.min(audio.time_base.rescale(part.at, US));
            }
        }
    }
    source.still_same()?;
    let first = opening.first;
    let raw = first.get();
    let index = Index {
        identity: source.identity().clone(),
        format,
        start_us,
        duration_us,
        video: Video {
            stream: streams.film,
            codec,
            width: raw.width as u32,
            height: raw.height as u32,
            pixel_format: av::pixel_format_name(raw.format),
            time_base,
            frame_rate: stated_rate,
            sample_aspect: match stated_aspect.num {
                0 => av::ratio(raw.sample_aspect_ratio),
                _ => stated_aspect,
            },
            rotation,
            upright,
            color: color::of_frame(raw),
            intra_only,
            reorder,
            last_duration,
            stamps: pictures.stamps,
            counted: pictures.counted,
            splices: pictures.splices,
            runs,
            damage: pictures.damage,
            undecodable: pictures.undecodable,
        },
        tags: av::tags(source.context()),
        left_out: streams.left_out,
        audio: streams.audio,
        others: streams.others,
    };
    Ok(Found { index, first, beside })
}

const US: Ratio = Ratio::new(1, 1_000_000);

/// Being the default is carried, or follows from the order.
const DEFAULT: i32 = ffi::AV_DISPOSITION_DEFAULT;

/// A file's streams, sorted by what they are.
struct Streams {
    film: u32,
    left_out: Vec<String>,
    audio: Vec<Audio>,
    others: Vec<Other>,
}

impl Streams {
    fn sort(source: &Source) -> Result<Streams, Reason> {
        let (mut film, mut audio, mut others) = (None, Vec::new(), Vec::new());
        let mut left_out = Vec::new();
        for (at, stream) in source.streams().enumerate() {
            let par = av::parameters(stream);
            let codec = av::codec_name(par.codec_id);
            let name = match codec.as_str() {
                "none" | "bin_data" => av::tag_name(par.codec_tag),
                name => name.to_owned(),
            };
            if let Some(title) = av::tag(stream.metadata, "title") {
                left_out.push(format!("the title of stream {at} ('{title}')"));
            }
            if stream.disposition & !(DEFAULT | ffi::AV_DISPOSITION_ATTACHED_PIC) != 0 {
                left_out.push(format!("what stream {at} is marked as, other than default"));
            }
            let mut other =
                |what: &str| others.push(Other { what: format!("{what} {at} ({name})") });
            match par.codec_type {
                ffi::AVMediaType::AVMEDIA_TYPE_VIDEO => {
                    if stream.disposition & ffi::AV_DISPOSITION_ATTACHED_PIC != 0 {
                        other("cover, stream");
                    } else if film.is_none() {
                        film = Some(at as u32);
                        if av::tag(stream.metadata, "alpha_mode").is_some_and(|mode| mode != "0") {
                            other("transparency of stream");
                        }
                    } else {
                        other("a second film, stream");
                    }
                }
                ffi::AVMediaType::AVMEDIA_TYPE_AUDIO => audio.push(Audio {
                    stream: at as u32,
                    codec,
                    sample_rate: par.sample_rate.max(0) as u32,
                    channels: par.ch_layout.nb_channels.max(0) as u32,
                    layout: av::layout_name(&par.ch_layout),
                    time_base: av::ratio(stream.time_base),
                    start: if stream.start_time == NO_PTS { 0 } else { stream.start_time },
                    parts: Vec::new(),
                    language: av::tag(stream.metadata, "language").unwrap_or_default(),
                }),
                ffi::AVMediaType::AVMEDIA_TYPE_SUBTITLE => other("subtitles, stream"),
                ffi::AVMediaType::AVMEDIA_TYPE_ATTACHMENT => other("attachment, stream"),
                _ => other("data, stream"),
            }
        }
        let chapters = source.context().nb_chapters;
        if chapters > 0 {
            others.push(Other { what: format!("{chapters} chapters") });
        }
        let film = film.ok_or_else(|| {
            let what = if audio.is_empty() { "it holds no film" } else { "it holds sound only" };
            Reason::input(format!("{} has no video stream: {what}", source.identity().path))
        })?;
        Ok(Streams { film, left_out, audio, others })
    }
}

/// The film's pictures by their times.
struct Pictures {
    stamps: Vec<i64>,
    counted: Option<String>,
    splices: Vec<Splice>,
    undecodable: u32,
    damage: Vec<String>,
}

impl Pictures {
    /// As the packets tell; or, where they can't be believed, as all pictures come out of the decoder.
    fn of(
        film: &Film,
        opening: &Opening,
        scan: Scan,
        line: (i64, Jumps),
        moment: &dyn Fn(i64) -> String,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Pictures, Reason> {
        let apart = || "packets are not pictures".to_owned();
        let doubt = scan.doubt.or_else(|| (!opening.is_as(&scan.stamps)).then(apart));
        let census = match doubt.is_some() || film.tolerant {
            true => Some(count::all(film, progress)?),
            false => None,
        };
        let whole = scan.damage.is_empty() && census.as_ref().is_none_or(|c| c.damaged.is_empty());
        let Some(census) = census.filter(|_| doubt.is_some() || !whole) else {
            let first = opening.stamp().unwrap_or(i64::MIN);
            let undecodable = scan.stamps.partition_point(|&stamp| stamp < first);
            let stamps = scan.stamps[undecodable..].to_vec();
            return Ok(Pictures { undecodable: undecodable as u32, ..Pictures::on(stamps) });
        };
        let mut times = census.times;
        let mut packets = None;
        if times.iter().all(Option::is_none) {
            // As many packets as pictures: shown one by one at the times at which they are decoded.
            packets = scan.decoded.filter(|decoded| decoded.len() == times.len());
        }
        if let Some(mut decoded) = packets {
            decoded.sort_unstable();
            times = decoded.into_iter().map(Some).collect();
        } else if whole {
            let line = line::rising(&times, line.0, line.1);
            if times.iter().zip(&line.stamps).all(|(time, stamp)| *time == Some(*stamp)) {
                // The pictures' own times are in order: they can be found by them.
                return Ok(Pictures::on(line.stamps));
            }
        }
        let Line { stamps, splices } = line::rising(&times, line.0, line.1);
        let place = |&number: &usize| match stamps.get(number) {
            Some(&stamp) => format!("the picture at {}", moment(stamp)),
            None => "the last packets".to_owned(),
        };
        let mut damage = scan.damage;
        damage.extend(census.damaged.iter().map(place));
        let counted = Some(doubt.unwrap_or_else(|| "the file is damaged".to_owned()));
        Ok(Pictures { counted, splices, damage, ..Pictures::on(stamps) })
    }

    /// At these times.
    fn on(stamps: Vec<i64>) -> Pictures {
        let (splices, damage) = (Vec::new(), Vec::new());
        Pictures { stamps, counted: None, splices, undecodable: 0, damage }
    }
}
