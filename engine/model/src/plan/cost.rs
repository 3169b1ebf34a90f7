//! What a plan's work costs: memory a rank, time of a core. Rough figures, for scheduling and for a person.

use crate::plan::Plan;
use crate::spec::codec::{Codec, Encode};

/// Bytes that a rank needs: a base, and pictures held by decoder, filters and encoder.
pub fn memory(plan: &Plan) -> u64 {
    let video = &plan.video;
    let bytes = |width: u32, height: u32, format: &str| {
        let deep = ["10", "12", "14", "16", "48", "64"].iter().any(|depth| format.contains(depth));
        let samples = if format.contains("420") || format.contains("nv12") { 3 } else { 6 };
        u64::from(width) * u64::from(height) * samples / 2 * if deep { 2 } else { 1 }
    };
    let source = bytes(video.source_width, video.source_height, &video.source_format);
    let output = bytes(video.width, video.height, &video.format);
    let margin = u64::from(video.margin.0 + video.margin.1);
    let held = held(&plan.spec.encode);
    (100 << 20) + source * (24 + margin) + output * held * 2
}

/// Pictures that an encoder holds at once.
fn held(encode: &Encode) -> u64 {
    match (encode.codec, encode.preset.as_str()) {
        (Codec::Ffv1 | Codec::Prores | Codec::Mjpeg, _) => 6,
        (Codec::Av1, _) => 60,
        (Codec::Vp9, _) => 40,
        (_, "ultrafast" | "superfast") => 10,
        (_, "veryfast") => 20,
        (_, "faster") => 30,
        (_, "fast") => 40,
        (_, "medium") => 50,
        (_, "slow") => 60,
        _ => 80,
    }
}

/// Milliseconds of one core, by pictures a second measured per megapixel.
pub fn cost_ms(plan: &Plan) -> u64 {
    let video = &plan.video;
    let megapixels = |width: u32, height: u32| f64::from(width) * f64::from(height) / 1e6;
    let encode = per_megapixel(&plan.spec.encode);
    let frame = megapixels(video.width, video.height) * encode
        + megapixels(video.source_width, video.source_height) * 4.0;
    let coded = plan.audio.iter().filter(|audio| audio.codec != "copy").count() as f64;
    let sound = coded * plan.duration_us() as f64 / 1000.0 / 40.0;
    (frame * plan.frames() as f64 + sound) as u64 + 1
}

/// Milliseconds that one core takes to encode a megapixel.
fn per_megapixel(encode: &Encode) -> f64 {
    let x264 = match encode.preset.as_str() {
        "ultrafast" => 5.0,
        "superfast" => 7.0,
        "veryfast" => 9.0,
        "faster" => 13.0,
        "fast" => 18.0,
        "medium" => 22.0,
        "slow" => 40.0,
        "slower" => 90.0,
        _ => 180.0,
    };
    match (encode.codec, encode.preset.as_str()) {
        (Codec::H264, _) => x264,
        (Codec::Hevc, "slower" | "veryslow") => x264 * 4.0,
        (Codec::Hevc, _) => x264 * 2.0,
        (Codec::Av1, "12") => 7.0,
        (Codec::Av1, "11" | "10") => 16.0,
        (Codec::Av1, "9" | "8") => 41.0,
        (Codec::Av1, "7" | "6" | "5") => 120.0,
        (Codec::Av1, "4" | "3") => 360.0,
        (Codec::Av1, _) => 1500.0,
        (Codec::Vp9, "0" | "1") => 200.0,
        (Codec::Vp9, "2" | "3") => 100.0,
        (Codec::Vp9, _) => 60.0,
        (Codec::Ffv1, _) => 40.0,
        (Codec::Prores, _) => 55.0,
        (Codec::Mjpeg, _) => 6.0,
    }
}
