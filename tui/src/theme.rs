//! What colour means. Three palettes: full colour, the terminal's own sixteen, none (NO_COLOR). Meaning
//! never hangs on colour alone. Knows no screen.

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Serialize};

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Palette {
    /// 24 bits.
    Rich,
    /// The terminal's sixteen.
    Sixteen,
    /// None: bold, dim and reverse only.
    Mono,
}

impl Palette {
    /// By the environment: `NO_COLOR` (set and not empty), `COLORTERM`, `TERM`.
    pub fn for_terminal(no_color: &str, colorterm: &str, term: &str) -> Self {
        if !no_color.is_empty() || term == "dumb" || term.ends_with("-m") {
            Palette::Mono
        } else if colorterm == "truecolor" || colorterm == "24bit" {
            Palette::Rich
        } else {
            Palette::Sixteen
        }
    }
}

/// What a piece of the screen means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Plain text.
    Text,
    /// Figures and names that stand out.
    Strong,
    /// Labels, units, what matters less.
    Dim,
    /// Too old to be trusted.
    Stale,
    /// Lines of a box.
    Border,
    /// Lines of the box that has the cursor.
    Focus,
    /// A box's title.
    Title,
    /// A key in a hint.
    Key,
    /// DVP's own colour.
    Accent,
    /// Well.
    Good,
    /// In work.
    Busy,
    /// Waits, is held, wants attention soon.
    Warn,
    /// Failed, lost.
    Bad,
    /// The selected row, its box having the cursor.
    Select,
    /// The selected row elsewhere.
    SelectFaint,
    /// A banner across the screen.
    Banner,
}

// Solarized's accents: readable on dark and on light backgrounds.
const BLUE: Color = Color::Rgb(0x26, 0x8b, 0xd2);
const CYAN: Color = Color::Rgb(0x2a, 0xa1, 0x98);
const GREEN: Color = Color::Rgb(0x7c, 0xa3, 0x2c);
const YELLOW: Color = Color::Rgb(0xc9, 0x9a, 0x1c);
const RED: Color = Color::Rgb(0xe5, 0x4b, 0x4b);
const GREY: Color = Color::Rgb(0x85, 0x8d, 0x96);
const LINE: Color = Color::Rgb(0x5c, 0x66, 0x70);
const DEEP: Color = Color::Rgb(0x1f, 0x4e, 0x79);
const WHITE: Color = Color::Rgb(0xff, 0xff, 0xff);

impl Palette {
    /// How a tone looks.
    pub fn style(self, tone: Tone) -> Style {
        match self {
            Palette::Rich => rich(tone),
            Palette::Sixteen => sixteen(tone),
            Palette::Mono => mono(tone),
        }
    }
}

fn rich(tone: Tone) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Text => plain,
        Tone::Strong => plain.add_modifier(Modifier::BOLD),
        Tone::Dim => plain.fg(GREY),
        Tone::Stale => plain.fg(GREY).add_modifier(Modifier::ITALIC),
        Tone::Border => plain.fg(LINE),
        Tone::Focus => plain.fg(CYAN),
        Tone::Title => plain.add_modifier(Modifier::BOLD),
        Tone::Key => plain.fg(BLUE).add_modifier(Modifier::BOLD),
        Tone::Accent => plain.fg(CYAN).add_modifier(Modifier::BOLD),
        Tone::Good => plain.fg(GREEN),
        Tone::Busy => plain.fg(BLUE),
        Tone::Warn => plain.fg(YELLOW),
        Tone::Bad => plain.fg(RED).add_modifier(Modifier::BOLD),
        Tone::Select => plain.fg(WHITE).bg(DEEP).add_modifier(Modifier::BOLD),
        Tone::SelectFaint => plain.add_modifier(Modifier::BOLD),
        Tone::Banner => plain.fg(WHITE).bg(RED).add_modifier(Modifier::BOLD),
    }
}

fn sixteen(tone: Tone) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Text => plain,
        Tone::Strong | Tone::Title => plain.add_modifier(Modifier::BOLD),
        Tone::Dim | Tone::Stale | Tone::Border => plain.fg(Color::DarkGray),
        Tone::Focus => plain.fg(Color::Cyan),
        Tone::Key => plain.fg(Color::Blue).add_modifier(Modifier::BOLD),
        Tone::Accent => plain.fg(Color::Cyan).add_modifier(Modifier::BOLD),
        Tone::Good => plain.fg(Color::Green),
        Tone::Busy => plain.fg(Color::Blue),
        Tone::Warn => plain.fg(Color::Yellow),
        Tone::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
        Tone::Select => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        Tone::SelectFaint => plain.add_modifier(Modifier::BOLD),
        Tone::Banner => plain.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

fn mono(tone: Tone) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Text | Tone::Good | Tone::Busy | Tone::Focus => plain,
        Tone::Dim | Tone::Stale | Tone::Border => plain.add_modifier(Modifier::DIM),
        Tone::Strong | Tone::Title | Tone::Key | Tone::Accent => plain.add_modifier(Modifier::BOLD),
        Tone::Warn | Tone::Bad | Tone::SelectFaint => plain.add_modifier(Modifier::BOLD),
        Tone::Select | Tone::Banner => plain.add_modifier(Modifier::REVERSED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_wins_and_has_none() {
        let palette = Palette::for_terminal("1", "truecolor", "xterm-256color");
        assert_eq!(palette, Palette::Mono);
        for tone in [Tone::Bad, Tone::Select, Tone::Banner, Tone::Border] {
            let style = palette.style(tone);
            assert_eq!((style.fg, style.bg), (None, None), "{tone:?}");
        }
        assert_eq!(Palette::for_terminal("", "truecolor", "xterm"), Palette::Rich);
        assert_eq!(Palette::for_terminal("", "", "xterm-256color"), Palette::Sixteen);
    }
}
