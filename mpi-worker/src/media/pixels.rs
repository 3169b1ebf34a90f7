//! Looks at decoded pictures: a hash of their pixels, and a small likeness to compare lossy ones by.
//! Knows nothing of where a picture comes from.
//!
//! Unsafe because libav hands out planes as pointers. Sound because rows are taken at the widths and
//! heights that libavutil computes for the picture's own format and size.
#![allow(unsafe_code)]

use dvp_model::error::Reason;
use ffmpeg_next::ffi;

use super::av::Frame;

/// Cells across and down of a [`likeness`].
const CELLS: (usize, usize) = (32, 32);

/// The pixel format of a frame.
fn format(frame: &Frame) -> Result<(ffi::AVPixelFormat, &'static ffi::AVPixFmtDescriptor), Reason> {
    let number = frame.get().format;
    // SAFETY: the number is checked to be one of libav's formats before it becomes one.
    unsafe {
        if number < 0 || number >= ffi::AVPixelFormat::AV_PIX_FMT_NB as i32 {
            return Err(Reason::bug(format!("a picture of unknown format {number}")));
        }
        let format = std::mem::transmute::<i32, ffi::AVPixelFormat>(number);
        let descriptor = ffi::av_pix_fmt_desc_get(format).as_ref();
        descriptor
            .map(|descriptor| (format, descriptor))
            .ok_or_else(|| Reason::bug("no pixel format"))
    }
}

/// For packed formats of three bytes in four, whose fourth holds anything: where the three begin, and
/// the bytes of a pixel.
fn padded(descriptor: &ffi::AVPixFmtDescriptor) -> Option<(usize, usize)> {
    let components = &descriptor.comp[..usize::from(descriptor.nb_components).min(4)];
    let packed = components.len() == 3
        && components.iter().all(|comp| comp.plane == 0 && comp.step == 4 && comp.depth == 8);
    let first = components.iter().map(|comp| comp.offset).min()?;
    packed.then_some((first.clamp(0, 1) as usize, 4))
}

/// Calls `each` with every row of visible bytes of one plane.
fn rows(frame: &Frame, plane: usize, mut each: impl FnMut(&[u8])) -> Result<(), Reason> {
    let (pixel_format, descriptor) = format(frame)?;
    let picture = frame.get();
    let palette = plane == 1 && descriptor.flags & ffi::AV_PIX_FMT_FLAG_PAL as u64 != 0;
    let (width, height) = if palette {
        (1024, 1)
    } else {
        // SAFETY: pure arithmetic of libavutil's.
        let width =
            unsafe { ffi::av_image_get_linesize(pixel_format, picture.width, plane as i32) };
        let shift = if plane == 1 || plane == 2 { descriptor.log2_chroma_h } else { 0 };
        (width, -((-picture.height) >> shift))
    };
    if width <= 0 || picture.data[plane].is_null() {
        return Ok(());
    }
    for row in 0..height as isize {
        // SAFETY: the plane has `height` rows of at least `width` bytes, `linesize` apart.
        let bytes = unsafe {
            let start = picture.data[plane].offset(row * picture.linesize[plane] as isize);
            std::slice::from_raw_parts(start, width as usize)
        };
        each(bytes);
    }
    Ok(())
}

/// Hash of a picture's visible pixels, its size and format: BLAKE3, hex.
pub fn hash(frame: &Frame) -> Result<String, Reason> {
    let picture = frame.get();
    let mut hasher = blake3::Hasher::new();
    for number in [picture.width, picture.height, picture.format] {
        hasher.update(&number.to_le_bytes());
    }
    let (_, descriptor) = format(frame)?;
    let padded = padded(descriptor);
    for plane in 0..4 {
        rows(frame, plane, |row| {
            match padded {
                None => hasher.update(row),
                Some((first, step)) => {
                    let kept = row.chunks_exact(step).flat_map(|pixel| &pixel[first..first + 3]);
                    hasher.update(&kept.copied().collect::<Vec<u8>>())
                }
            };
        })?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Mean brightness (0 to 255) of each cell of a coarse grid.
pub fn likeness(frame: &Frame) -> Result<Vec<f32>, Reason> {
    let (_, descriptor) = format(frame)?;
    let component = &descriptor.comp[0];
    let deep = component.depth > 8;
    let scale = 255.0 / ((1u32 << component.depth) - 1) as f32;
    let step = component.step as usize;
    let (width, height) = (frame.get().width as usize, frame.get().height as usize);
    let mut sums = vec![(0u64, 0u64); CELLS.0 * CELLS.1];
    let mut y = 0;
    rows(frame, component.plane as usize, |row| {
        let line = (y * CELLS.1 / height) * CELLS.0;
        for x in 0..width {
            let at = x * step + component.offset as usize;
            let value = match deep {
                true => u16::from_le_bytes([row[at], row[at + 1]]) >> component.shift,
                false => row[at].into(),
            };
            let cell = &mut sums[line + x * CELLS.0 / width];
            cell.0 += u64::from(value);
            cell.1 += 1;
        }
        y += 1;
    })?;
    Ok(sums.iter().map(|&(sum, count)| sum as f32 / count.max(1) as f32 * scale).collect())
}

/// Mean difference of two likenesses, in steps of brightness (0 to 255).
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
    sum / a.len().max(1) as f32
}
