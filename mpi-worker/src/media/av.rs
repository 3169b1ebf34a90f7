//! The few libav objects that everything here handles: frames, packets, dictionaries, error codes. Knows
//! nothing of plans.
//!
//! Unsafe because libav is C. Sound because each wrapper owns its pointer alone, is never null, frees it
//! once on drop, and hands out references that borrow the wrapper.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};

use dvp_model::error::{Kind, Reason};
use dvp_model::time::Ratio;
use ffmpeg_next::ffi;

/// libav's "come again".
pub const EAGAIN: c_int = ffi::AVERROR(11);
/// libav's "no timestamp".
pub const NO_PTS: i64 = i64::MIN;

/// Refuses single allocations beyond 1 GiB: no honest picture or index is larger, a hostile header may say
/// so.
pub fn bound_memory() {
    // SAFETY: sets a number.
    unsafe { ffi::av_max_alloc(1 << 30) }
}

/// An error code of libav, with what it kept about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvError(pub c_int);

impl AvError {
    /// Whether the machine is at fault: no space, no memory, a failing disk.
    pub fn kind(self, otherwise: Kind) -> Kind {
        // ENOSPC, EIO, ENOMEM, EDQUOT, EROFS, EMFILE, ENFILE.
        match self.0 {
            code if [28, 5, 12, 122, 30, 24, 23].map(ffi::AVERROR).contains(&code) => Kind::Machine,
            _ => otherwise,
        }
    }

    /// A reason: `what`, then libav's words.
    pub fn reason(self, otherwise: Kind, what: impl std::fmt::Display) -> Reason {
        Reason::new(self.kind(otherwise), format!("{what}: {self}"))
    }
}

impl std::fmt::Display for AvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut buffer = [0 as c_char; 128];
        // SAFETY: the buffer is as long as stated, and always ended by a NUL.
        let text = unsafe {
            ffi::av_strerror(self.0, buffer.as_mut_ptr(), buffer.len());
            CStr::from_ptr(buffer.as_ptr())
        };
        f.write_str(&text.to_string_lossy())?;
        match super::log::last_line() {
            Some(line) => write!(f, " ({line})"),
            None => Ok(()),
        }
    }
}

/// Turns a return code into a result.
pub fn check(code: c_int) -> Result<c_int, AvError> {
    if code < 0 { Err(AvError(code)) } else { Ok(code) }
}

/// A C string; NUL bytes, which no caller has, end it early.
pub fn c_string(text: &str) -> CString {
    let text: Vec<u8> = text.bytes().take_while(|&byte| byte != 0).collect();
    CString::new(text).unwrap_or_default()
}

/// Text of a static C string of libav's; empty for null.
///
/// # Safety
/// `text` is null or a NUL-ended string that lives as long as the call.
pub unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A `Ratio` of libav's.
pub fn ratio(value: ffi::AVRational) -> Ratio {
    match value.den {
        0 => Ratio::new(0, 1),
        den => Ratio::new(value.num.into(), den.into()),
    }
}

/// A stream's parameters.
pub fn parameters(stream: &ffi::AVStream) -> &ffi::AVCodecParameters {
    // SAFETY: libav gives every stream parameters, for the stream's life.
    unsafe { &*stream.codecpar }
}

/// A codec's extradata.
pub fn extradata(par: &ffi::AVCodecParameters) -> &[u8] {
    if par.extradata.is_null() || par.extradata_size <= 0 {
        return &[];
    }
    // SAFETY: libav holds `extradata_size` bytes there.
    unsafe { std::slice::from_raw_parts(par.extradata, par.extradata_size as usize) }
}

/// Name of a pixel format by libav's number; empty when it has none.
pub fn pixel_format_name(number: c_int) -> String {
    if number < 0 || number >= ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int {
        return String::new();
    }
    // SAFETY: the number is one of the enum's (checked above); names are static.
    unsafe {
        text(ffi::av_get_pix_fmt_name(std::mem::transmute::<c_int, ffi::AVPixelFormat>(number)))
    }
}

/// Name of a codec.
pub fn codec_name(id: ffi::AVCodecID) -> String {
    // SAFETY: names are static.
    unsafe { text(ffi::avcodec_get_name(id)) }
}

/// libav's form of a ratio, reduced if it must be to fit.
pub fn rational(value: Ratio) -> ffi::AVRational {
    let (mut num, mut den) = (0, 1);
    // SAFETY: both places are ours; the function only writes them.
    unsafe {
        ffi::av_reduce(&mut num, &mut den, value.num, value.den, i64::from(i32::MAX));
    }
    ffi::AVRational { num, den }
}

macro_rules! owned {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $alloc:path, $unref:path, $free:path) => {
        $(#[$doc])*
        pub struct $name(NonNull<ffi::$raw>);

        impl $name {
            /// An empty one.
            pub fn new() -> Result<Self, Reason> {
                // SAFETY: allocation only.
                NonNull::new(unsafe { $alloc() })
                    .map(Self)
                    .ok_or_else(|| Reason::machine("out of memory"))
            }

            /// The pointer, for libav; valid as long as this lives.
            pub fn raw(&self) -> *mut ffi::$raw {
                self.0.as_ptr()
            }

            /// Its fields.
            pub fn get(&self) -> &ffi::$raw {
                // SAFETY: never null, owned by us, borrowed from us.
                unsafe { self.0.as_ref() }
            }

            /// Its fields, to change.
            pub fn get_mut(&mut self) -> &mut ffi::$raw {
                // SAFETY: as for `get`, and borrowed alone.
                unsafe { self.0.as_mut() }
            }

            /// Lets go of what it holds.
            pub fn clear(&mut self) {
                // SAFETY: valid for any state of the object.
                unsafe { $unref(self.raw()) }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                let mut raw = self.raw();
                // SAFETY: freed once; the pointer is not used again.
                unsafe { $free(&mut raw) }
            }
        }
    };
}

owned!(
    /// A decoded picture, or decoded samples.
    Frame, AVFrame, ffi::av_frame_alloc, ffi::av_frame_unref, ffi::av_frame_free
);
owned!(
    /// A coded packet.
    Packet, AVPacket, ffi::av_packet_alloc, ffi::av_packet_unref, ffi::av_packet_free
);

impl Frame {
    /// Another reference to the same data.
    pub fn share(&self) -> Result<Self, Reason> {
        let other = Self::new()?;
        // SAFETY: both are valid, the target is empty.
        check(unsafe { ffi::av_frame_ref(other.raw(), self.raw()) })
            .map_err(|error| error.reason(Kind::Machine, "sharing a buffer"))?;
        Ok(other)
    }
}

impl Packet {
    /// A packet with a copy of `data`.
    pub fn from_bytes(data: &[u8]) -> Result<Self, Reason> {
        let packet = Self::new()?;
        let size = c_int::try_from(data.len()).map_err(|_| Reason::bug("a packet over 2 GiB"))?;
        // SAFETY: av_new_packet allocates `size` bytes, which are then filled.
        unsafe {
            check(ffi::av_new_packet(packet.raw(), size))
                .map_err(|error| error.reason(Kind::Machine, "a packet's memory"))?;
            ptr::copy_nonoverlapping(data.as_ptr(), packet.get().data, data.len());
        }
        Ok(packet)
    }

    /// Its bytes.
    pub fn data(&self) -> &[u8] {
        let packet = self.get();
        if packet.data.is_null() || packet.size <= 0 {
            return &[];
        }
        // SAFETY: libav holds `size` bytes at `data` as long as the packet is not changed.
        unsafe { std::slice::from_raw_parts(packet.data, packet.size as usize) }
    }

    /// Its side data: (type, bytes).
    pub fn side_data(&self) -> Vec<(u32, &[u8])> {
        let packet = self.get();
        (0..packet.side_data_elems.max(0) as usize)
            .map(|at| {
                // SAFETY: libav holds `side_data_elems` entries, each with `size` bytes.
                let entry = unsafe { &*packet.side_data.add(at) };
                let bytes = unsafe { std::slice::from_raw_parts(entry.data, entry.size) };
                (entry.type_ as u32, bytes)
            })
            .collect()
    }

    /// Adds side data of a type that libav gave before (see [`Packet::side_data`]).
    pub fn add_side_data(&mut self, kind: u32, bytes: &[u8]) -> Result<(), Reason> {
        if kind >= ffi::AVPacketSideDataType::AV_PKT_DATA_NB as u32 {
            return Err(Reason::bug(format!("side data of unknown type {kind}")));
        }
        // SAFETY: the number is one of the enum's (checked above; the enum has no gaps); the new block
        // has `len` bytes.
        unsafe {
            let kind = std::mem::transmute::<u32, ffi::AVPacketSideDataType>(kind);
            let to = ffi::av_packet_new_side_data(self.raw(), kind, bytes.len());
            if to.is_null() {
                return Err(Reason::machine("out of memory"));
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(())
    }

    /// Whether a flag of libav's is set.
    pub fn has(&self, flag: c_int) -> bool {
        self.get().flags & flag != 0
    }
}

/// Options for libav, by name.
pub struct Dict(*mut ffi::AVDictionary);

impl Dict {
    /// From pairs.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut dict = Self(ptr::null_mut());
        for (key, value) in pairs {
            dict.set(key, value);
        }
        dict
    }

    /// Sets one.
    pub fn set(&mut self, key: &str, value: &str) {
        let (key, value) = (c_string(key), c_string(value));
        // SAFETY: both strings live through the call, which copies them.
        unsafe { ffi::av_dict_set(&mut self.0, key.as_ptr(), value.as_ptr(), 0) };
    }

    /// For calls that take out what they know.
    pub fn raw(&mut self) -> *mut *mut ffi::AVDictionary {
        &mut self.0
    }

    /// Gives it away, to an owner who will free it.
    pub fn into_raw(mut self) -> *mut ffi::AVDictionary {
        std::mem::replace(&mut self.0, ptr::null_mut())
    }

    /// Its pairs.
    pub fn pairs(&self) -> Vec<(String, String)> {
        // SAFETY: our dictionary, alive.
        unsafe { pairs(self.0) }
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { ffi::av_dict_free(&mut self.0) }
    }
}

/// Pairs of a dictionary that someone else owns.
///
/// # Safety
/// `dict` is null or valid through the call.
pub unsafe fn pairs(dict: *const ffi::AVDictionary) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut entry: *const ffi::AVDictionaryEntry = ptr::null();
    loop {
        // SAFETY: the empty key with IGNORE_SUFFIX walks all entries.
        unsafe {
            entry =
                ffi::av_dict_get(dict, c"".as_ptr(), entry, ffi::AV_DICT_IGNORE_SUFFIX as c_int);
            if entry.is_null() {
                return found;
            }
            found.push((text((*entry).key), text((*entry).value)));
        }
    }
}

/// libavutil's number of a pixel format by name; -1 when there is none.
pub fn pixel_format(name: &str) -> c_int {
    // SAFETY: a lookup by name.
    unsafe { ffi::av_get_pix_fmt(c_string(name).as_ptr()) as c_int }
}

/// Name of a channel layout, e.g. `5.1`.
pub fn layout_name(layout: &ffi::AVChannelLayout) -> String {
    let mut buffer = [0 as c_char; 128];
    // SAFETY: the buffer is as long as stated; libav ends it with a NUL.
    unsafe {
        let known = *layout;
        if known.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
            let mut usual = std::mem::zeroed::<ffi::AVChannelLayout>();
            ffi::av_channel_layout_default(&mut usual, known.nb_channels);
            ffi::av_channel_layout_describe(&usual, buffer.as_mut_ptr(), buffer.len());
        } else {
            ffi::av_channel_layout_describe(layout, buffer.as_mut_ptr(), buffer.len());
        }
        text(buffer.as_ptr())
    }
}

/// Whether every picture of a codec decodes alone.
pub fn is_intra_only(id: ffi::AVCodecID) -> bool {
    // SAFETY: the table is static; an unknown codec gives null.
    unsafe {
        ffi::avcodec_descriptor_get(id)
            .as_ref()
            .is_some_and(|found| found.props & ffi::AV_CODEC_PROP_INTRA_ONLY as c_int != 0)
    }
}

/// Name of an opened file's demuxer.
pub fn format_name(context: &ffi::AVFormatContext) -> String {
    // SAFETY: an opened context has a static input format.
    unsafe { context.iformat.as_ref().map(|format| text(format.name)).unwrap_or_default() }
}

/// A tag by its name; none when absent or `und`.
pub fn tag(tags: *const ffi::AVDictionary, name: &str) -> Option<String> {
    // SAFETY: the dictionary is a live stream's or context's.
    let pairs = unsafe { pairs(tags) };
    let found = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value).filter(|value| !value.is_empty() && value != "und")
}

/// The side data of an encoder's or a demuxer's packet that a muxer must see.
pub fn kept_side_data(packet: &Packet) -> Vec<(u32, Vec<u8>)> {
    use ffi::AVPacketSideDataType as Type;
    let kept = [Type::AV_PKT_DATA_SKIP_SAMPLES as u32, Type::AV_PKT_DATA_NEW_EXTRADATA as u32];
    let side = packet.side_data().into_iter().filter(|(kind, _)| kept.contains(kind));
    side.map(|(kind, bytes)| (kind, bytes.to_vec())).collect()
}

/// A codec tag's four letters, e.g. `tmcd`; what is no letter becomes a dot.
pub fn tag_name(tag: u32) -> String {
    let letters = tag.to_le_bytes().map(char::from);
    letters.map(|c| if c.is_ascii_graphic() { c } else { '.' }).iter().collect()
}

/// An opened file's own tags.
pub fn tags(context: &ffi::AVFormatContext) -> Vec<(String, String)> {
    // SAFETY: the dictionary is the live context's.
    unsafe { pairs(context.metadata) }
}
