//! What is known of pictures before any is processed: how to turn them upright, what lies beside their
//! pixels, and what a filter graph makes of the film's first one.
//!
//! Unsafe because libav is C. Sound because side data is read within its stated size, and static tables
//! are only read.
#![allow(unsafe_code)]

use dvp_model::error::{Kind, Reason};
use dvp_model::media::{Index, Picture};
use dvp_model::plan::Plan;
use dvp_model::spec::codec::{Codec, Encode};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

use super::av::{self, Frame};
use super::color;
use super::filter::{Entry, Graph};

/// Pictures given to a graph, at most, until its first one comes out.
const MOST_PROBED: usize = 300;

/// Pixel formats that go into an encoder, joined by `|`.
fn formats(encode: &Encode) -> Result<String, Reason> {
    let listed = encode.formats();
    if !listed.is_empty() {
        return Ok(listed.join("|"));
    }
    let name = encode.codec.encoder();
    // SAFETY: the encoder's table is static and ends with AV_PIX_FMT_NONE.
    unsafe {
        let found = ffi::avcodec_find_encoder_by_name(av::c_string(name).as_ptr());
        let found = found
            .as_ref()
            .ok_or_else(|| Reason::machine(format!("libavcodec here has no encoder {name}")))?;
        let mut names = Vec::new();
        let mut at = found.pix_fmts;
        while !at.is_null() && *at != ffi::AVPixelFormat::AV_PIX_FMT_NONE {
            names.push(av::text(ffi::av_get_pix_fmt_name(*at)));
            at = at.add(1);
        }
        Ok(names.join("|"))
    }
}

/// Degrees clockwise and the filters that turn a stream's pictures upright, as ffmpeg does.
pub fn upright(stream: &ffi::AVStream) -> Result<(u32, String), String> {
    let Some(matrix) = matrix(stream) else { return Ok((0, String::new())) };
    // SAFETY: nine numbers, as libavutil wants.
    let turn = -unsafe { ffi::av_display_rotation_get(matrix.as_ptr()) }.round();
    if turn.is_nan() {
        return Err("a display matrix that is no rotation".to_owned());
    }
    let turn = turn - 360.0 * (turn / 360.0 + 0.9 / 360.0).floor();
    let near = |angle: f64| (turn - angle).abs() < 1.0;
    let mut filters = Vec::new();
    let degrees = if near(90.0) {
        filters.push(if matrix[3] > 0 { "transpose=cclock_flip" } else { "transpose=clock" });
        90
    } else if near(180.0) {
        if matrix[0] < 0 {
            filters.push("hflip");
        }
        if matrix[4] < 0 {
            filters.push("vflip");
        }
        180
    } else if near(270.0) {
        filters.push(if matrix[3] < 0 { "transpose=clock_flip" } else { "transpose=cclock" });
        270
    } else if near(0.0) || near(360.0) {
        if matrix[4] < 0 {
            filters.push("vflip");
        }
        0
    } else {
        return Err(format!("pictures turned by {turn} degrees"));
    };
    Ok((degrees, filters.join(",")))
}

fn matrix(stream: &ffi::AVStream) -> Option<[i32; 9]> {
    let bytes = side_data(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX)?;
    let mut matrix = [0; 9];
    for (number, bytes) in matrix.iter_mut().zip(bytes.chunks_exact(4)) {
        *number = i32::from_ne_bytes(bytes.try_into().ok()?);
    }
    Some(matrix)
}

fn side_data(stream: &ffi::AVStream, kind: ffi::AVPacketSideDataType) -> Option<&[u8]> {
    let mut size = 0;
    // SAFETY: libav returns null or a block of `size` bytes that lives as long as the stream.
    unsafe {
        let block = ffi::av_stream_get_side_data(stream, kind, &mut size);
        (!block.is_null()).then(|| std::slice::from_raw_parts(block, size))
    }
}

/// What a stream says lies beside its pictures that no output would keep.
pub fn beside_stream(stream: &ffi::AVStream) -> Vec<String> {
    use ffi::AVPacketSideDataType as Type;
    [
        (Type::AV_PKT_DATA_MASTERING_DISPLAY_METADATA, "mastering data of HDR"),
        (Type::AV_PKT_DATA_CONTENT_LIGHT_LEVEL, "light levels of HDR"),
        (Type::AV_PKT_DATA_DOVI_CONF, "Dolby Vision data"),
        (Type::AV_PKT_DATA_STEREO3D, "a stereo layout"),
        (Type::AV_PKT_DATA_SPHERICAL, "a spherical projection"),
    ]
    .into_iter()
    .filter(|&(kind, _)| side_data(stream, kind).is_some())
    .map(|(_, name)| name.to_owned())
    .collect()
}

/// What lies beside a picture's pixels that an output in `codec` would lose.
pub fn beside_frame(frame: &Frame, codec: Codec) -> Vec<String> {
    use ffi::AVFrameSideDataType as Type;
    let raw = frame.get();
    let mut found = Vec::new();
    for at in 0..raw.nb_side_data.max(0) as usize {
        // SAFETY: libav holds `nb_side_data` entries.
        let kind = unsafe { (**raw.side_data.add(at)).type_ };
        let name = match kind {
            Type::AV_FRAME_DATA_MASTERING_DISPLAY_METADATA => "mastering data of HDR",
            Type::AV_FRAME_DATA_CONTENT_LIGHT_LEVEL => "light levels of HDR",
            Type::AV_FRAME_DATA_DYNAMIC_HDR_PLUS => "HDR10+ data",
            Type::AV_FRAME_DATA_DOVI_METADATA | Type::AV_FRAME_DATA_DOVI_RPU_BUFFER => {
                "Dolby Vision data"
            }
            Type::AV_FRAME_DATA_A53_CC if !codec.facts().captions => "closed captions",
            _ => continue,
        };
        found.push(name.to_owned());
    }
    found
}

/// Whether a picture is one that the plan carries whole.
///
/// # Errors
/// What is not, for a person.
pub fn check_carried(plan: &Plan, frame: &Frame) -> Result<(), String> {
    let path = &plan.input.path;
    if frame.get().interlaced_frame != 0 {
        return Err(format!(
            "{path}: interlaced pictures (add --task filter --set filter.preset=deinterlace) begin"
        ));
    }
    match beside_frame(frame, plan.spec.encode.codec).first() {
        Some(what) => Err(format!("{path}: {what}, which can't be carried yet, begins")),
        None => Ok(()),
    }
}

/// Runs a graph on the film's first picture, again and again until one comes out, and says what it is.
pub fn through(
    graph: &str,
    index: &Index,
    first: &Frame,
    encode: &Encode,
) -> Result<Picture, Reason> {
    let video = &index.video;
    let entry = Entry {
        width: video.width,
        height: video.height,
        format: av::pixel_format(&video.pixel_format),
        sample_aspect: video.sample_aspect,
        time_base: video.time_base,
        frame_rate: video.frame_rate,
    };
    let mut running = Graph::open(graph, &entry, &formats(encode)?)?;
    let mut out = Frame::new()?;
    let origin = Ratio::new(1, 1_000_000).rescale(index.start_us, video.time_base);
    for at in 0..=MOST_PROBED {
        match video.stamps.get(at).filter(|_| at < MOST_PROBED) {
            Some(stamp) => {
                let mut frame = first.share()?;
                frame.get_mut().pts = stamp - origin;
                frame.get_mut().sample_aspect_ratio = av::rational(video.sample_aspect);
                running.push(Some(&mut frame))?;
            }
            None => running.push(None)?,
        }
        if running.pull(&mut out, video.time_base)?.is_some() {
            let raw = out.get();
            let format = av::pixel_format_name(raw.format);
            let mut color = color::of_frame(raw);
            if is_rgb(&video.pixel_format) && !is_rgb(&format) {
                // What the scaler makes of RGB when nobody says otherwise.
                color.matrix = "smpte170m".to_owned();
            }
            return Ok(Picture {
                width: raw.width as u32,
                height: raw.height as u32,
                format,
                sample_aspect: av::ratio(raw.sample_aspect_ratio),
                color,
                interlaced: raw.interlaced_frame != 0,
                beside: beside_frame(&out, encode.codec),
            });
        }
        if video.stamps.get(at).is_none() || at == MOST_PROBED {
            break;
        }
    }
    Err(Reason::new(Kind::Spec, format!("the filters '{graph}' give no picture for this film")))
}

/// Width and height that an encoder of these pictures takes: even where chroma is subsampled.
pub fn fitting(picture: &Picture, codec: Codec) -> (u32, u32) {
    if !codec.facts().even {
        return (picture.width, picture.height);
    }
    // SAFETY: the table is static; an unknown format gives null.
    let shifts = unsafe {
        let format = ffi::av_get_pix_fmt(av::c_string(&picture.format).as_ptr());
        ffi::av_pix_fmt_desc_get(format)
            .as_ref()
            .map(|found| (found.log2_chroma_w, found.log2_chroma_h))
    };
    let (across, down) = shifts.unwrap_or((0, 0));
    let up = |side: u32, shift: u8| side.div_ceil(1 << shift) << shift;
    (up(picture.width, across), up(picture.height, down))
}

/// Whether a pixel format has an alpha channel.
pub fn has_alpha(format: &str) -> bool {
    has_flag(format, ffi::AV_PIX_FMT_FLAG_ALPHA as u64)
}

fn is_rgb(format: &str) -> bool {
    has_flag(format, ffi::AV_PIX_FMT_FLAG_RGB as u64)
}

fn has_flag(format: &str, flag: u64) -> bool {
    // SAFETY: as in `fitting`.
    unsafe {
        let format = ffi::av_get_pix_fmt(av::c_string(format).as_ptr());
        ffi::av_pix_fmt_desc_get(format).as_ref().is_some_and(|found| found.flags & flag != 0)
    }
}
