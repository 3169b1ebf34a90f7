//! The chunk strip: a cell a chunk, or a cell for several when there are more chunks than cells.

use dvp_model::Item;
use dvp_model::job::{ChunkInfo, ChunkState, Lane};
use ratatui::layout::Rect;

use super::pen::Pen;
use crate::theme::Tone;

/// How one cell looks: its sign's place among [`crate::glyph::Glyphs::cells`], and its tone.
fn look(chunks: &[ChunkInfo], lanes: &[Lane]) -> (usize, Tone) {
    // A rank has its next chunk in hand before it works on it: that one still waits.
    let running = chunks.iter().any(|chunk| {
        let item = Some(Item::Chunk(chunk.index));
        chunk.state == ChunkState::Running
            && (chunk.progress > 0 || lanes.iter().any(|lane| lane.item == item))
    });
    let done = chunks.iter().all(|chunk| chunk.state == ChunkState::Done);
    // Handed out more than once: something was lost on the way.
    let again = chunks.iter().any(|chunk| chunk.attempts > 1);
    match (done, running, again) {
        (true, _, false) => (2, Tone::Good),
        (true, _, true) => (3, Tone::Warn),
        (false, true, false) => (1, Tone::Busy),
        (false, true, true) => (1, Tone::Warn),
        (false, false, _) => (0, Tone::Dim),
    }
}

/// Rows that a strip of so many chunks takes at this width, at most `most`.
pub fn rows(chunks: usize, width: u16, most: u16) -> u16 {
    let rows = chunks.div_ceil(usize::from(cells_a_row(chunks, width)).max(1));
    (rows as u16).clamp(1, most.max(1))
}

/// Cells in a row: two columns a chunk while that fits in one row.
fn cells_a_row(chunks: usize, width: u16) -> u16 {
    if chunks * 2 <= usize::from(width) { width / 2 } else { width }
}

/// Draws the strip.
pub fn strip(pen: &mut Pen<'_>, area: Rect, chunks: &[ChunkInfo], lanes: &[Lane]) {
    if chunks.is_empty() || area.is_empty() {
        return;
    }
    let wide = chunks.len() * 2 <= usize::from(area.width);
    let columns = usize::from(cells_a_row(chunks.len(), area.width));
    let cells = (columns * usize::from(area.height)).min(chunks.len());
    let signs = pen.glyphs().cells();
    for cell in 0..cells {
        let from = cell * chunks.len() / cells;
        let to = ((cell + 1) * chunks.len() / cells).max(from + 1);
        let (sign, tone) = look(&chunks[from..to], lanes);
        let (row, column) = (cell / columns, cell % columns);
        let x = area.x + (column * if wide { 2 } else { 1 }) as u16;
        pen.cell(x, area.y + row as u16, signs[sign], tone);
    }
}
