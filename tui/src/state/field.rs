//! A line of text being typed: its text and its cursor, with the keys of a shell's line. Knows no form.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::event::Key;

/// A line of text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The text.
    pub text: String,
    /// Where the next letter goes: a byte offset at a grapheme's start.
    pub at: usize,
}

impl Field {
    /// A field with this text, its cursor behind it.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { at: text.len(), text }
    }

    /// Empties it.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Inserts text; line breaks and other control characters of a paste become blanks.
    pub fn insert(&mut self, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.text.insert_str(self.at, &clean);
        self.at += clean.len();
    }

    /// Takes a key; false when it means nothing in a field.
    pub fn on(&mut self, key: Key) -> bool {
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Left => self.at = self.before(),
            Key::Right => self.at = self.after(),
            Key::Home | Key::Ctrl('a') => self.at = 0,
            Key::End | Key::Ctrl('e') => self.at = self.text.len(),
            Key::Backspace => {
                let from = self.before();
                self.text.replace_range(from..self.at, "");
                self.at = from;
            }
            Key::Delete => {
                let to = self.after();
                self.text.replace_range(self.at..to, "");
            }
            Key::Ctrl('u') => {
                self.text.replace_range(..self.at, "");
                self.at = 0;
            }
            Key::Ctrl('k') => self.text.truncate(self.at),
            Key::Ctrl('w') => {
                let from = self.word_before();
                self.text.replace_range(from..self.at, "");
                self.at = from;
            }
            Key::Alt('b') => self.at = self.word_before(),
            _ => return false,
        }
        true
    }

    fn before(&self) -> usize {
        self.text[..self.at].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.text[self.at..].graphemes(true).next().map_or(self.at, |g| self.at + g.len())
    }

    /// Start of the word, or of the path's component, before the cursor.
    fn word_before(&self) -> usize {
        let head = self.text[..self.at].trim_end_matches([' ', '/']);
        head.rfind([' ', '/']).map_or(0, |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[Key], text: &str, at: usize) {
        let mut field = Field::new("/a b/c\u{301}d");
        for key in keys {
            field.on(*key);
        }
        assert_eq!((field.text.as_str(), field.at), (text, at), "{keys:?}");
    }

    #[test]
    fn edits_by_grapheme_and_word() {
        use Key::*;
        check(&[Backspace, Backspace], "/a b/", 5);
        check(&[Left, Left, Delete], "/a b/d", 5);
        check(&[Ctrl('w')], "/a b/", 5);
        check(&[Ctrl('w'), Ctrl('w')], "/a ", 3);
        check(&[Ctrl('a'), Char('x'), End, Char('é')], "x/a b/c\u{301}dé", 12);
        check(&[Home, Left, Backspace], "/a b/c\u{301}d", 0);
        check(&[Left, Ctrl('u')], "d", 0);
        check(&[Home, Right, Ctrl('k')], "/", 1);
    }

    #[test]
    fn a_paste_is_one_line() {
        let mut field = Field::default();
        field.insert("a\nb\x1b[31m");
        assert_eq!(field.text, "a b [31m");
    }
}
