//! Codec parameters for libav, from what an object's header says. Knows nothing of plans.
//!
//! Unsafe because libav is C. Sound because the parameters are owned, never null and freed once; numbers
//! are written into libav's enums only when libav itself gave them for a name.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::ptr::{self, NonNull, addr_of_mut};

use dvp_model::error::{Kind, Reason};
use dvp_model::media::Color;
use ffmpeg_next::ffi;

use super::av;
use super::object::{Shape, Stream};

/// Codec parameters of one stream.
pub struct Parameters(NonNull<ffi::AVCodecParameters>);

impl Parameters {
    fn new() -> Result<Self, Reason> {
        // SAFETY: allocation only.
        let raw = unsafe { ffi::avcodec_parameters_alloc() };
        NonNull::new(raw).map(Self).ok_or_else(|| Reason::machine("out of memory"))
    }

    /// A copy of a stream's.
    ///
    /// # Errors
    /// `Machine` when memory is out.
    pub fn copy_of(parameters: &ffi::AVCodecParameters) -> Result<Self, Reason> {
        let this = Self::new()?;
        // SAFETY: both are valid; what is needed is copied.
        av::check(unsafe { ffi::avcodec_parameters_copy(this.raw(), parameters) })
            .map_err(|error| error.reason(Kind::Machine, "copying codec parameters"))?;
        Ok(this)
    }

    /// Those that an object's header describes.
    ///
    /// # Errors
    /// `Bug` for names that libav does not know.
    pub fn of_stream(stream: &Stream) -> Result<Self, Reason> {
        let unknown =
            |what: &str, name: &str| Reason::bug(format!("libav knows no {what} '{name}'"));
        let this = Self::new()?;
        let par = this.raw();
        // SAFETY: `par` is valid. The extradata block has libav's padding and goes to `par`, which frees it.
        unsafe {
            let descriptor =
                ffi::avcodec_descriptor_get_by_name(av::c_string(&stream.codec).as_ptr());
            let descriptor = descriptor.as_ref().ok_or_else(|| unknown("codec", &stream.codec))?;
            (*par).codec_id = descriptor.id;
            (*par).codec_type = descriptor.type_;
            if !stream.extradata.is_empty() {
                let size = stream.extradata.len();
                let room = size + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
                (*par).extradata = ffi::av_mallocz(room).cast();
                if (*par).extradata.is_null() {
                    return Err(Reason::machine("out of memory"));
                }
                ptr::copy_nonoverlapping(stream.extradata.as_ptr(), (*par).extradata, size);
                (*par).extradata_size = size as c_int;
            }
            (*par).codec_tag = stream.tag;
            (*par).profile = stream.profile;
            (*par).level = stream.level;
            (*par).bit_rate = stream.bit_rate;
            (*par).bits_per_coded_sample = stream.bits_per_coded_sample;
            (*par).bits_per_raw_sample = stream.bits_per_raw_sample;
            match &stream.shape {
                Shape::Video { width, height, format, sample_aspect, color, delay } => {
                    (*par).width = *width as c_int;
                    (*par).height = *height as c_int;
                    (*par).format = ffi::av_get_pix_fmt(av::c_string(format).as_ptr()) as c_int;
                    if (*par).format < 0 {
                        return Err(unknown("pixel format", format));
                    }
                    (*par).sample_aspect_ratio = av::rational(*sample_aspect);
                    (*par).field_order = ffi::AVFieldOrder::AV_FIELD_PROGRESSIVE;
                    (*par).video_delay = *delay as c_int;
                    set_color(par, color);
                }
                Shape::Audio {
                    format,
                    sample_rate,
                    layout,
                    frame_size,
                    initial_padding,
                    trailing_padding,
                    seek_preroll,
                    block_align,
                } => {
                    (*par).format = ffi::av_get_sample_fmt(av::c_string(format).as_ptr()) as c_int;
                    (*par).sample_rate = *sample_rate as c_int;
                    let name = av::c_string(layout);
                    av::check(ffi::av_channel_layout_from_string(
                        addr_of_mut!((*par).ch_layout),
                        name.as_ptr(),
                    ))
                    .map_err(|_| unknown("channel layout", layout))?;
                    (*par).frame_size = *frame_size as c_int;
                    (*par).initial_padding = *initial_padding as c_int;
                    (*par).trailing_padding = *trailing_padding as c_int;
                    (*par).seek_preroll = *seek_preroll as c_int;
                    (*par).block_align = *block_align as c_int;
                }
            }
        }
        Ok(this)
    }

    /// Their fields.
    pub fn get(&self) -> &ffi::AVCodecParameters {
        // SAFETY: owned, never null.
        unsafe { self.0.as_ref() }
    }

    /// The pointer, for libav; valid as long as this lives.
    pub fn raw(&self) -> *mut ffi::AVCodecParameters {
        self.0.as_ptr()
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        let mut raw = self.raw();
        // SAFETY: owned, freed once.
        unsafe { ffi::avcodec_parameters_free(&mut raw) }
    }
}

/// Writes colours; names that libav does not know leave the field as it is, which is "unknown".
///
/// # Safety
/// `par` is valid.
unsafe fn set_color(par: *mut ffi::AVCodecParameters, color: &Color) {
    type Lookup = unsafe extern "C" fn(*const c_char) -> c_int;
    // SAFETY: the fields are C enums, as wide as an int; only numbers that libav gave are written.
    unsafe {
        let fields: [(&str, Lookup, *mut c_int); 5] = [
            (&color.range, ffi::av_color_range_from_name, addr_of_mut!((*par).color_range).cast()),
            (
                &color.primaries,
                ffi::av_color_primaries_from_name,
                addr_of_mut!((*par).color_primaries).cast(),
            ),
            (
                &color.transfer,
                ffi::av_color_transfer_from_name,
                addr_of_mut!((*par).color_trc).cast(),
            ),
            (&color.matrix, ffi::av_color_space_from_name, addr_of_mut!((*par).color_space).cast()),
            (
                &color.chroma,
                ffi::av_chroma_location_from_name,
                addr_of_mut!((*par).chroma_location).cast(),
            ),
        ];
        for (name, lookup, field) in fields {
            let found = lookup(av::c_string(name).as_ptr());
            if found >= 0 {
                field.write(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_model::time::Ratio;

    fn audio(codec: &str, layout: &str) -> Stream {
        let shape = Shape::Audio {
            format: "fltp".into(),
            sample_rate: 48000,
            layout: layout.into(),
            frame_size: 1024,
            initial_padding: 1024,
            trailing_padding: 7,
            seek_preroll: 0,
            block_align: 0,
        };
        Stream {
            codec: codec.into(),
            time_base: Ratio::new(1, 48000),
            extradata: vec![1, 2, 3],
            tag: 0,
            profile: 1,
            level: -99,
            bit_rate: 128_000,
            bits_per_coded_sample: 0,
            bits_per_raw_sample: 0,
            shape,
        }
    }

    #[test]
    fn pictures_keep_their_colours() {
        let shape = Shape::Video {
            width: 320,
            height: 180,
            format: "yuv420p10le".into(),
            sample_aspect: Ratio::new(4, 3),
            color: Color {
                range: "tv".into(),
                primaries: "bt2020".into(),
                transfer: "smpte2084".into(),
                matrix: "bt2020nc".into(),
                chroma: "unspecified".into(),
            },
            delay: 2,
        };
        let made = Parameters::of_stream(&Stream { shape, ..audio("h264", "") }).unwrap();
        let par = made.get();
        assert_eq!((par.width, par.height, par.video_delay), (320, 180, 2));
        assert_eq!(av::pixel_format_name(par.format), "yuv420p10le");
        assert_eq!(av::ratio(par.sample_aspect_ratio), Ratio::new(4, 3));
        assert_eq!(par.color_range, ffi::AVColorRange::AVCOL_RANGE_MPEG);
        assert_eq!(par.color_primaries, ffi::AVColorPrimaries::AVCOL_PRI_BT2020);
        assert_eq!(par.color_trc, ffi::AVColorTransferCharacteristic::AVCOL_TRC_SMPTE2084);
        assert_eq!(par.color_space, ffi::AVColorSpace::AVCOL_SPC_BT2020_NCL);
        assert_eq!(par.chroma_location, ffi::AVChromaLocation::AVCHROMA_LOC_UNSPECIFIED);
        assert_eq!(av::extradata(par), [1, 2, 3]);
    }

    #[test]
    fn sound_keeps_its_layout_and_padding() {
        let made = Parameters::of_stream(&audio("aac", "5.1")).unwrap();
        let par = made.get();
        assert_eq!((par.sample_rate, par.frame_size), (48000, 1024));
        assert_eq!((par.initial_padding, par.trailing_padding), (1024, 7));
        assert_eq!(av::layout_name(&par.ch_layout), "5.1");
        let copy = Parameters::copy_of(par).unwrap();
        assert_eq!(av::layout_name(&copy.get().ch_layout), "5.1");
    }

    #[test]
    fn unknown_names_are_no_crash() {
        for (codec, layout) in [("no such codec", "stereo"), ("aac", "no such layout")] {
            assert!(Parameters::of_stream(&audio(codec, layout)).is_err(), "{codec} {layout}");
        }
    }
}
