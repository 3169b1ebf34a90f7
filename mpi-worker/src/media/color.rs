//! Colour descriptions between libav's numbers and the plan's names. Knows nothing of pixels.
//!
//! Unsafe because libav is C. Sound because numbers become enums only when libav itself gave them for a
//! name.
#![allow(unsafe_code)]

use std::ffi::c_int;

use dvp_model::media::Color;
use ffmpeg_next::ffi;

use super::av;

/// What a decoded frame says of its colours.
pub fn of_frame(frame: &ffi::AVFrame) -> Color {
    // SAFETY: the names are static; unknown numbers give null.
    unsafe {
        Color {
            range: av::text(ffi::av_color_range_name(frame.color_range)),
            primaries: av::text(ffi::av_color_primaries_name(frame.color_primaries)),
            transfer: av::text(ffi::av_color_transfer_name(frame.color_trc)),
            matrix: av::text(ffi::av_color_space_name(frame.colorspace)),
            chroma: av::text(ffi::av_chroma_location_name(frame.chroma_location)),
        }
    }
}

/// libav's number for a name; `$unknown` where it has none.
macro_rules! number {
    ($kind:ident, $lookup:ident, $name:expr, $unknown:ident) => {{
        let found = ffi::$lookup(av::c_string($name).as_ptr());
        match found >= 0 {
            // Every number that libav looks up by name is one of the enum's.
            true => std::mem::transmute::<c_int, ffi::$kind>(found),
            false => ffi::$kind::$unknown,
        }
    }};
}

/// Sets an encoder's colours.
pub fn set(context: &mut ffi::AVCodecContext, color: &Color) {
    // SAFETY: see `number!`.
    unsafe {
        context.color_range =
            number!(AVColorRange, av_color_range_from_name, &color.range, AVCOL_RANGE_UNSPECIFIED);
        context.color_primaries = number!(
            AVColorPrimaries,
            av_color_primaries_from_name,
            &color.primaries,
            AVCOL_PRI_UNSPECIFIED
        );
        context.color_trc = number!(
            AVColorTransferCharacteristic,
            av_color_transfer_from_name,
            &color.transfer,
            AVCOL_TRC_UNSPECIFIED
        );
        context.colorspace =
            number!(AVColorSpace, av_color_space_from_name, &color.matrix, AVCOL_SPC_UNSPECIFIED);
        context.chroma_sample_location = number!(
            AVChromaLocation,
            av_chroma_location_from_name,
            &color.chroma,
            AVCHROMA_LOC_UNSPECIFIED
        );
    }
}
