//! The signs that the console draws with: Unicode, or plain ASCII where the locale has no UTF-8. Knows
//! no colours.

use serde::{Deserialize, Serialize};

/// Which signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Glyphs {
    /// Box drawing, blocks, dots.
    Unicode,
    /// Seven bits.
    Ascii,
}

/// Corners and lines of a box: top left, top right, bottom left, bottom right, horizontal, vertical.
pub struct Corners(pub [&'static str; 6]);

impl Glyphs {
    /// By the locale's value (`LC_ALL`, else `LC_CTYPE`, else `LANG`).
    pub fn for_locale(locale: &str) -> Self {
        let locale = locale.to_ascii_lowercase();
        // An empty locale is usual in containers, whose terminals do speak UTF-8.
        if locale.is_empty() || locale.contains("utf-8") || locale.contains("utf8") {
            Glyphs::Unicode
        } else if locale == "c" || locale == "posix" || locale.contains('.') {
            Glyphs::Ascii
        } else {
            Glyphs::Unicode
        }
    }

    fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self == Glyphs::Unicode { unicode } else { ascii }
    }

    /// Marks where text was cut.
    pub fn ellipsis(self) -> &'static str {
        self.pick("…", "~")
    }

    /// Box drawing.
    pub fn corners(self) -> Corners {
        match self {
            Glyphs::Unicode => Corners(["╭", "╮", "╰", "╯", "─", "│"]),
            Glyphs::Ascii => Corners(["+", "+", "+", "+", "-", "|"]),
        }
    }

    /// Eighths of a cell, from empty to full.
    pub fn eighths(self) -> [&'static str; 9] {
        match self {
            Glyphs::Unicode => [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
            Glyphs::Ascii => [" ", " ", " ", " ", "#", "#", "#", "#", "#"],
        }
    }

    /// The unfilled part of a bar.
    pub fn track(self) -> &'static str {
        self.pick("─", ".")
    }

    /// Heights of a sparkline, from lowest to full.
    pub fn heights(self) -> [&'static str; 8] {
        match self {
            Glyphs::Unicode => ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
            Glyphs::Ascii => ["_", "_", ".", ".", "-", "-", "=", "="],
        }
    }

    /// A chunk nobody works on, one in work, one accepted; and one redone.
    pub fn cells(self) -> [&'static str; 4] {
        match self {
            Glyphs::Unicode => ["·", "▒", "█", "▓"],
            Glyphs::Ascii => [".", "o", "#", "%"],
        }
    }

    /// Everything is well.
    pub fn good(self) -> &'static str {
        self.pick("●", "*")
    }

    /// Something is wrong.
    pub fn bad(self) -> &'static str {
        self.pick("▲", "!")
    }

    /// Not known.
    pub fn unknown(self) -> &'static str {
        self.pick("○", "o")
    }

    /// The cursor of a list.
    pub fn cursor(self) -> &'static str {
        self.pick("▌", ">")
    }

    /// A marked row.
    pub fn mark(self) -> &'static str {
        self.pick("◆", "*")
    }

    /// Between input and output.
    pub fn arrow(self) -> &'static str {
        self.pick("→", "->")
    }

    /// Between figures.
    pub fn dot(self) -> &'static str {
        self.pick("·", "|")
    }

    /// The sign of a sum.
    pub fn about(self) -> &'static str {
        self.pick("≈", "~")
    }

    /// A heartbeat's frames.
    pub fn spinner(self) -> &'static [&'static str] {
        match self {
            Glyphs::Unicode => &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
            Glyphs::Ascii => &["|", "/", "-", "\\"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_locale_that_says_so_takes_the_signs_away() {
        for locale in ["", "en_US.UTF-8", "C.utf8", "de_DE"] {
            assert_eq!(Glyphs::for_locale(locale), Glyphs::Unicode, "{locale}");
        }
        for locale in ["C", "POSIX", "en_US.ISO-8859-1"] {
            assert_eq!(Glyphs::for_locale(locale), Glyphs::Ascii, "{locale}");
        }
    }
}
