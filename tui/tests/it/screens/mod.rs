//! The screen without a terminal: keys in, cells out. One helper for all: [`Console`].

mod deeds;
mod fixture;
mod sizes;
mod views;

use dvp_console::action::Action;
use dvp_console::event::{Event, Key, Reply};
use dvp_console::screen;
use dvp_console::state::State;
use dvp_console::update::update;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Style;

/// A console under test.
pub struct Console {
    /// Its state.
    pub state: State,
    /// What it wanted done, in order.
    pub actions: Vec<Action>,
}

impl Console {
    /// A console in this state.
    pub fn new(state: State) -> Self {
        Self { state, actions: Vec::new() }
    }

    /// Keys by their names, blanks between them; each is followed by a frame, as a person's are.
    pub fn keys(mut self, names: &str) -> Self {
        for name in names.split_whitespace() {
            self.take(Event::Key(key(name)));
            self.take(Event::Shown);
        }
        self
    }

    /// Text, letter by letter.
    pub fn types(mut self, text: &str) -> Self {
        for letter in text.chars() {
            self.take(Event::Key(Key::Char(letter)));
        }
        self
    }

    /// An answer.
    pub fn reply(mut self, reply: Reply) -> Self {
        self.take(Event::Reply(Box::new(reply)));
        self
    }

    /// An event.
    pub fn take(&mut self, event: Event) {
        self.actions.extend(update(&mut self.state, event));
    }

    /// What is drawn at this size.
    pub fn draw(&mut self, width: u16, height: u16) -> Buffer {
        self.take(Event::Resize(width, height));
        let mut terminal =
            Terminal::new(TestBackend::new(width, height)).expect("a test's terminal");
        terminal.draw(|frame| screen::view(&self.state, frame)).expect("a test's frame");
        terminal.backend().buffer().clone()
    }
}

/// The key of a name.
pub fn key(name: &str) -> Key {
    let single = |name: &str| name.chars().next().expect("a key's name");
    match name {
        "enter" => Key::Enter,
        "esc" => Key::Esc,
        "tab" => Key::Tab,
        "shift-tab" => Key::BackTab,
        "space" => Key::Char(' '),
        "up" => Key::Up,
        "down" => Key::Down,
        "left" => Key::Left,
        "right" => Key::Right,
        "home" => Key::Home,
        "end" => Key::End,
        "backspace" => Key::Backspace,
        _ => match name.strip_prefix("ctrl-") {
            Some(rest) => Key::Ctrl(single(rest)),
            None => {
                assert_eq!(name.chars().count(), 1, "'{name}' is no key");
                Key::Char(single(name))
            }
        },
    }
}

/// A row's text; cells behind a wide sign are left out.
pub fn row(buffer: &Buffer, y: u16) -> String {
    let mut text = String::new();
    let mut skip = 0;
    for x in 0..buffer.area.width {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        let sign = buffer[(x, y)].symbol();
        text.push_str(sign);
        skip = unicode_width::UnicodeWidthStr::width(sign).saturating_sub(1);
    }
    text
}

/// Text, then a letter a cell for its style, then what the letters mean: for snapshots.
pub fn picture(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        out += row(buffer, y).trim_end();
        out.push('\n');
    }
    let mut styles: Vec<Style> = vec![Style::reset()];
    out += "-- styles\n";
    for y in 0..buffer.area.height {
        let mut line = String::new();
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = if cell.symbol() == " "
                && cell.bg == ratatui::style::Color::Reset
                && !cell.modifier.contains(ratatui::style::Modifier::REVERSED)
            {
                Style::reset()
            } else {
                cell.style()
            };
            let at = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            line.push(if at == 0 { '.' } else { (b'a' + at as u8 - 1) as char });
        }
        out += line.trim_end_matches('.');
        out.push('\n');
    }
    for (at, style) in styles.iter().enumerate().skip(1) {
        let modifiers = format!("{:?}", style.add_modifier);
        out += &format!(
            "{}: {} on {} {}\n",
            (b'a' + at as u8 - 1) as char,
            style.fg.unwrap_or_default(),
            style.bg.unwrap_or_default(),
            if modifiers == "NONE" { String::new() } else { modifiers }
        );
    }
    out
}
