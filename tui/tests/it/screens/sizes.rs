//! Every view at many sizes, in every palette and both sets of signs: nothing panics, nothing is cut
//! without an ellipsis, no hint does nothing.

use dvp_console::glyph::Glyphs;
use dvp_console::screen::foot;
use dvp_console::state::State;
use dvp_console::theme::Palette;
use ratatui::style::Color;

use super::{Console, key, row, views};

const SIZES: &[(u16, u16)] = &[
    (1, 1),
    (20, 5),
    (39, 12),
    (40, 12),
    (48, 14),
    (60, 20),
    (79, 23),
    (80, 24),
    (99, 30),
    (100, 30),
    (110, 30),
    (120, 40),
    (160, 50),
    (200, 60),
];

/// A name from outside that was begun on this row is also ended there, or its cut shows.
fn cut_without_ellipsis(row: &str, ellipsis: &str) -> Option<String> {
    for begun in row.split('«').skip(1) {
        let end = begun.find('»');
        let cut = begun.find(ellipsis);
        if end.is_none() && cut.is_none() {
            return Some(begun.to_owned());
        }
    }
    None
}

#[test]
fn no_view_panics_or_cuts_silently_at_any_size_in_any_palette() {
    let mut faults = Vec::new();
    for (name, mut console) in views::all() {
        for palette in [Palette::Rich, Palette::Sixteen, Palette::Mono] {
            for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
                console.state.look.palette = palette;
                console.state.look.glyphs = glyphs;
                for (width, height) in SIZES {
                    let buffer = console.draw(*width, *height);
                    for y in 0..*height {
                        let text = row(&buffer, y);
                        // What lies over the screen covers what is below, and its border shows it.
                        let text = match &console.state.overlay {
                            Some(_) => text.replace(['│', '|', '╭', '╰', '+'], glyphs.ellipsis()),
                            None => text,
                        };
                        if let Some(cut) = cut_without_ellipsis(&text, glyphs.ellipsis()) {
                            faults.push(format!("{name} {width}x{height} {glyphs:?}: {cut}"));
                        }
                    }
                    let coloured = |cell: &ratatui::buffer::Cell| {
                        cell.fg != Color::Reset || cell.bg != Color::Reset
                    };
                    if palette == Palette::Mono && buffer.content().iter().any(coloured) {
                        faults.push(format!("{name} {width}x{height}: colour without colours"));
                    }
                    let own: &[char] = &['─', '│', '╭', '█', '…', '●', '▲', '·', '→', '▒'];
                    if glyphs == Glyphs::Ascii
                        && buffer.content().iter().any(|cell| cell.symbol().contains(own))
                    {
                        faults.push(format!("{name} {width}x{height}: signs that ASCII has not"));
                    }
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults[..faults.len().min(40)].join("\n")
    );
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    let mut console = Console::new(super::fixture::state());
    let buffer = console.draw(30, 8);
    let text: String = (0..8).map(|y| row(&buffer, y)).collect();
    assert!(text.contains("too small"), "{text}");
}

/// All of a state that a person could see or meet later.
fn told(state: &State) -> serde_json::Value {
    let mut value = serde_json::to_value(state).expect("a state is serializable");
    value["revision"] = 0.into();
    value
}

#[test]
fn every_hint_does_something() {
    let mut faults = Vec::new();
    let mut hints = 0;
    for (name, console) in views::all() {
        if console.state.overlay.is_some() {
            continue;
        }
        for hint in foot::here(&console.state) {
            let keys = hint[0].text.to_string();
            hints += 1;
            // "up down": one of them is enough, at the list's end the other does nothing.
            let works = keys.split(' ').any(|pressed| {
                let mut after = Console::new(console.state.clone());
                let before = told(&after.state);
                after.take(dvp_console::event::Event::Key(key(pressed)));
                told(&after.state) != before || !after.actions.is_empty()
            });
            if !works {
                faults.push(format!("{name}: {keys} ({})", hint[2].text));
            }
        }
    }
    assert!(hints > 100, "only {hints} hints were tried");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn all_text_goes_through_the_pen() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in ["screen", "widget"] {
        for entry in std::fs::read_dir(source.join(folder)).expect("the sources") {
            let path = entry.expect("an entry").path();
            if path.ends_with("pen.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            for word in
                ["set_string", "set_line", "set_span", "Paragraph", "render_widget", "set_symbol"]
            {
                assert!(!text.contains(word), "{} draws past the pen: {word}", path.display());
            }
        }
    }
}
