//! Finds out what is in a file: its streams, and the time of every picture that is shown. Decides
//! nothing: the planner does.

use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::media::{Audio, Index, Other, Video};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, NO_PTS, Packet};
use super::color;
use super::decode::{Setup, stamp_of};
use super::entry::is_hidden;
use super::source::Source;
use super::{layout, log, picture};

/// Most pictures of a film.
const MOST_PICTURES: usize = 20_000_000;

/// What [`read`] found, and the film's first picture.
pub struct Found {
    /// The index.
    pub index: Index,
    /// The first picture that can be decoded.
    pub first: av::Frame,
    /// What lies beside the pictures, by the container.
    pub beside: Vec<String>,
}

/// Reads the index of a file.
pub fn read(input: &FilePath, progress: &mut dyn FnMut(u64, u64)) -> Result<Found, Reason> {
    let mut source = Source::open(input, None, true)?;
    let streams = Streams::sort(&source)?;
    layout::check_whole(&source)?;
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
    let duration_us = source.context().duration.max(0);
    let setup = Setup { time_base, reorder };
    let mut again = Source::open(input, Some(source.identity()), false)?;
    let first = picture::first(&mut again, streams.film, setup)?;
    drop(again);
    let mut pictures = Pictures::read(&mut source, streams.film, &codec, progress)?;
    let undecodable = match stamp_of(&first) {
        Some(stamp) => pictures.drop_before(stamp),
        None => 0,
    };
    source.still_same()?;
    let raw = first.get();
    let step = match stated_rate.num {
        0 => pictures.stamps.windows(2).map(|pair| pair[1] - pair[0]).next_back().unwrap_or(0),
        _ => Ratio::new(stated_rate.den, stated_rate.num).rescale(1, time_base),
    };
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
            last_duration: if pictures.last_duration > 0 {
                pictures.last_duration
            } else {
                step.max(1)
            },
            stamps: pictures.stamps,
            untrusted: pictures.untrusted,
            undecodable,
        },
        tags: av::tags(source.context()),
        left_out: streams.left_out,
        audio: streams.audio,
        others: streams.others,
    };
    Ok(Found { index, first, beside })
}

/// Being the default is carried, or follows from the order.
const DEFAULT: i32 = ffi::AV_DISPOSITION_DEFAULT;

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
    last_duration: i64,
    untrusted: Option<String>,
}

impl Pictures {
    fn read(
        source: &mut Source,
        film: u32,
        codec: &str,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Pictures, Reason> {
        source.select(film);
        if SKIMMED.contains(&codec) && layout::is_one_index(source)? {
            source.skim();
        }
        let path = source.identity().path.clone();
        let total = source.identity().size;
        let mut packet = Packet::new()?;
        let (mut times, mut count) = (Vec::new(), 0u64);
        let mut untrusted = None;
        let mut last = (i64::MIN, 0);
        while source.read(&mut packet)? {
            if packet.get().stream_index as u32 != film {
                continue;
            }
            if packet.has(ffi::AV_PKT_FLAG_CORRUPT) {
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
            if raw.pts == NO_PTS {
                untrusted.get_or_insert_with(|| format!("picture {count} has no time"));
                continue;
            }
            last = last.max((raw.pts, raw.duration));
            times.push(raw.pts);
            if times.len() > MOST_PICTURES {
                return Err(Reason::input(format!(
                    "{path} has more than {MOST_PICTURES} pictures"
                )));
            }
        }
        if log::said("ended prematurely") {
            return Err(layout::cut_off(&path));
        }
        progress(total, total);
        times.sort_unstable();
        if let Some(pair) = times.windows(2).find(|pair| pair[0] == pair[1]) {
            let base = av::ratio(source.stream(film)?.time_base);
            untrusted.get_or_insert_with(|| {
                format!("two pictures share the time {:.3} s", pair[0] as f64 * base.as_f64())
            });
            times.dedup();
        }
        if times.is_empty() {
            return Err(Reason::input(format!("{path}: its video stream holds no pictures")));
        }
        Ok(Pictures { stamps: times, last_duration: last.1, untrusted })
    }

    /// Leaves out what comes before the first picture that can be decoded; says how many.
    fn drop_before(&mut self, first: i64) -> u32 {
        let count = self.stamps.partition_point(|&stamp| stamp < first);
        self.stamps.drain(..count);
        count as u32
    }
}
