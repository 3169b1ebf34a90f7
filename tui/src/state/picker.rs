//! The file picker: a folder's entries, a cursor by path, a filter by what is typed. Knows no file system.

use std::path::{Path, PathBuf};

use dvp_model::FilePath;
use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::field::Field;
use crate::event::{Found, Listing};

/// Endings of files that may be films.
const FILMS: &[&str] = &["mp4", "mov", "mkv", "m4v", "webm", "avi", "ts", "mts", "mxf"];

/// The picker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picker {
    /// The folder that is shown or being read.
    pub folder: PathBuf,
    /// Its entries, once read.
    pub listing: Option<Listing>,
    /// What is selected.
    pub cursor: Cursor<FilePath>,
    /// What is typed to narrow the list.
    pub typed: Field,
}

/// What a pick came to.
pub enum Picked {
    /// This file.
    File(FilePath),
    /// Another folder is to be read.
    Folder(PathBuf),
    /// Nothing was there.
    Nothing,
}

impl Picker {
    /// A picker in a folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, listing: None, cursor: Cursor::default(), typed: Field::default() }
    }

    /// Entries that match what is typed; hidden ones only when that begins with a dot.
    pub fn shown(&self) -> Vec<&Found> {
        let Some(Listing { entries: Ok(entries), .. }) = &self.listing else { return vec![] };
        let typed = self.typed.text.to_lowercase();
        entries
            .iter()
            .filter(|found| {
                let name = found.path.file_name().to_string_lossy().to_lowercase();
                let hidden = name.starts_with('.') && !typed.starts_with('.');
                !hidden && name.contains(&typed)
            })
            .collect()
    }

    /// Their paths.
    pub fn ids(&self) -> Vec<FilePath> {
        self.shown().into_iter().map(|found| found.path.clone()).collect()
    }

    /// Takes a folder's entries.
    pub fn take(&mut self, listing: &Listing) {
        if listing.folder.as_path() == self.folder {
            self.listing = Some(listing.clone());
            let ids = self.ids();
            self.cursor.settle(&ids);
        }
    }

    /// Goes to another folder; the one left is selected there when it is above.
    pub fn enter(&mut self, folder: PathBuf) {
        let left = std::mem::replace(&mut self.folder, folder);
        self.listing = None;
        self.typed.clear();
        self.cursor = Cursor::default();
        if left.parent() == Some(self.folder.as_path()) {
            self.cursor.select(left.into());
        }
    }

    /// Takes what is selected.
    pub fn pick(&self) -> Picked {
        let shown = self.shown();
        let Some(found) = shown.iter().find(|found| Some(&found.path) == self.cursor.id.as_ref())
        else {
            return Picked::Nothing;
        };
        if found.folder {
            Picked::Folder(found.path.as_path().to_owned())
        } else {
            Picked::File(found.path.clone())
        }
    }

    /// The folder above.
    pub fn parent(&self) -> Option<PathBuf> {
        self.folder.parent().map(Path::to_owned)
    }
}

/// Whether a file's name looks like a film's.
pub fn is_film(path: &FilePath) -> bool {
    let ending = path.as_path().extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    FILMS.contains(&ending.to_ascii_lowercase().as_str())
}
