//! Text that fits: widths are those of graphemes on a terminal, cuts show an ellipsis, lines break at
//! words. Pure.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Cells that text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Text cut to `cells` with an ellipsis at its end.
pub fn end(text: &str, cells: usize, ellipsis: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let room = cells.saturating_sub(width(ellipsis));
    let mut out = take(text.graphemes(true), room);
    if cells > 0 {
        // No blank before the ellipsis: it belongs to the word that was cut.
        out.truncate(out.trim_end().len());
        out.push_str(ellipsis);
    }
    out
}

/// Text cut to `cells` with an ellipsis at its start: of a path, the name matters most.
pub fn start(text: &str, cells: usize, ellipsis: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let room = cells.saturating_sub(width(ellipsis));
    let tail = take(text.graphemes(true).rev(), room);
    let tail: String = tail.graphemes(true).rev().collect();
    if cells > 0 { format!("{ellipsis}{tail}") } else { tail }
}

fn take<'a>(graphemes: impl Iterator<Item = &'a str>, room: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for grapheme in graphemes {
        used += width(grapheme);
        if used > room {
            break;
        }
        out.push_str(grapheme);
    }
    out
}

/// Text in lines of at most `cells`, at most `most` of them, broken at blanks; the last one ends with an
/// ellipsis when there is more.
pub fn wrap(text: &str, cells: usize, most: usize, ellipsis: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let gap = usize::from(!line.is_empty());
            if width(&line) + gap + width(word) <= cells {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                // Longer than a line: broken where the line ends.
                let head = take(word.graphemes(true), cells.max(2));
                if head.is_empty() {
                    break;
                }
                word = &word[head.len()..];
                lines.push(head);
                continue;
            }
            lines.push(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let head = take(last.graphemes(true), cells.saturating_sub(width(ellipsis)));
            *last = format!("{}{ellipsis}", head.trim_end());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_show_and_never_exceed() {
        assert_eq!(end("holiday.mp4", 20, "…"), "holiday.mp4");
        assert_eq!(end("holiday.mp4", 6, "…"), "holid…");
        assert_eq!(end("a very long", 3, "…"), "a…");
        assert_eq!(start("/a/b/holiday.mp4", 8, "…"), "…day.mp4");
        assert_eq!(end("日本語", 4, "…"), "日…");
        assert_eq!(end("日本語", 5, "…"), "日本…");
        assert_eq!(end("abc", 0, "…"), "");
        assert_eq!(end("e\u{301}e\u{301}e\u{301}", 2, "…"), "e\u{301}…");
    }

    #[test]
    fn wraps_at_words() {
        assert_eq!(wrap("one two three", 8, 9, "…"), ["one two", "three"]);
        assert_eq!(wrap("one two three", 8, 1, "…"), ["one two…"]);
        assert_eq!(wrap("abcdefghij k", 4, 9, "…"), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 8, 2, "…"), Vec::<String>::new());
        for line in wrap("eight wide words of many lengths", 5, 3, "…") {
            assert!(width(&line) <= 5, "{line}");
        }
    }
}
