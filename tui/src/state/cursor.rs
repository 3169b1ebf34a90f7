//! A selection by id. A list that re-sorts under it moves the cursor with its object, never to another;
//! only when the object is gone does its place in the list decide. Knows no list's contents.

use serde::{Deserialize, Serialize};

/// What is selected in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor<Id> {
    /// The object.
    pub id: Option<Id>,
    /// Its row when last seen.
    row: usize,
}

impl<Id> Default for Cursor<Id> {
    fn default() -> Self {
        Self { id: None, row: 0 }
    }
}

impl<Id: PartialEq + Clone> Cursor<Id> {
    /// Follows the object in the list as it is now; when it is gone, takes the one now in its place.
    pub fn settle(&mut self, ids: &[Id]) {
        match self.position(ids) {
            Some(row) => self.row = row,
            None => self.to_row(ids, self.row),
        }
    }

    /// Row of the object, if it is in the list.
    pub fn position(&self, ids: &[Id]) -> Option<usize> {
        let id = self.id.as_ref()?;
        // Looked for first where it was last: long lists rarely change.
        if ids.get(self.row) == Some(id) {
            return Some(self.row);
        }
        ids.iter().position(|other| other == id)
    }

    /// Selects the object in this row, or in the last one.
    pub fn to_row(&mut self, ids: &[Id], row: usize) {
        self.row = row.min(ids.len().saturating_sub(1));
        self.id = ids.get(self.row).cloned();
    }

    /// Moves by so many rows; stops at the ends.
    pub fn step(&mut self, ids: &[Id], rows: isize) {
        let from = self.position(ids).unwrap_or(self.row);
        self.to_row(ids, from.saturating_add_signed(rows));
    }

    /// Selects this object.
    pub fn select(&mut self, id: Id) {
        self.id = Some(id);
    }
}

/// First row to show of a list of `len` rows in `height` lines so that `row` stands in the middle where
/// possible. A pure function: views keep no scroll position.
pub fn window(row: usize, len: usize, height: usize) -> usize {
    let last_top = len.saturating_sub(height);
    row.saturating_sub(height / 2).min(last_top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_on_its_object_while_the_list_changes() {
        let mut cursor = Cursor::default();
        cursor.settle(&['a', 'b', 'c']);
        assert_eq!(cursor.id, Some('a'));
        cursor.step(&['a', 'b', 'c'], 1);
        assert_eq!(cursor.id, Some('b'));
        cursor.settle(&['c', 'a', 'x', 'b']);
        assert_eq!(cursor.id, Some('b'));
        cursor.step(&['c', 'a', 'x', 'b'], -1);
        assert_eq!(cursor.id, Some('x'));
        cursor.settle(&['c', 'a']);
        assert_eq!(cursor.id, Some('a'), "its place is past the end: the last");
        cursor.settle(&[]);
        assert_eq!(cursor.id, None);
        cursor.settle(&['z']);
        assert_eq!(cursor.id, Some('z'));
    }

    #[test]
    fn windows_hold_the_row_and_are_full() {
        for (len, height) in [(0, 5), (3, 5), (5, 5), (100, 7), (100, 1)] {
            for row in 0..len.max(1) {
                let top = window(row, len, height);
                assert!(top <= row && row < top + height, "{row} of {len} in {height}");
                assert!(top == 0 || top + height <= len);
            }
        }
    }
}
