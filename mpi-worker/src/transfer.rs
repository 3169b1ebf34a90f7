//! Brings an item's object to its place: written under a temporary name beside it, flushed, renamed.
//! An object is there whole or not at all. Knows nothing of what is in it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::wire::worker::{Locator, Report};

/// Calls `make` with a temporary name, and gives what it wrote there its place.
///
/// # Errors
/// Those of `make`; `Machine` when the object can't be written; `Bug` when `make` wrote another number
/// of bytes than it reports. Nothing is left then.
pub fn store(
    put: &Locator,
    make: impl FnOnce(&Path) -> Result<Report, Reason>,
) -> Result<Report, Reason> {
    let Locator::File(place) = put else { return Err(elsewhere(put)) };
    let temporary = Temporary::beside(place.as_path());
    let report = make(&temporary.0)?;
    let written = temporary.flush(place)?;
    if written != report.size {
        return Err(Reason::bug(format!(
            "the object {place} has {written} bytes, its report says {}",
            report.size
        )));
    }
    temporary.name(place)?;
    Ok(report)
}

/// Removes what [`store`] has written so far of the object at `put`, while it is still at it: for a
/// process that is about to end.
pub fn abandon(put: &Locator) {
    let Locator::File(place) = put else { return };
    drop(Temporary::beside(place.as_path()));
}

fn elsewhere(object: &Locator) -> Reason {
    Reason::bug(format!("the object {object} is no file"))
}

/// A file that is removed unless it gets its name.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(place: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        Self(place.with_file_name(name))
    }

    /// Flushes to disk; the number of bytes.
    fn flush(&self, place: &FilePath) -> Result<u64, Reason> {
        File::open(&self.0)
            .and_then(|file| file.sync_all().and_then(|()| file.metadata()))
            .map(|metadata| metadata.len())
            .map_err(|error| Reason::machine(format!("can't write the object {place}: {error}")))
    }

    fn name(&self, place: &FilePath) -> Result<(), Reason> {
        fs::rename(&self.0, place)
            .and_then(|()| match place.as_path().parent() {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            })
            .map_err(|error| Reason::machine(format!("can't name the object {place}: {error}")))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already where it got its name, or was never made.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(size: u64) -> Report {
        Report {
            frames: 1,
            span: (0, 0),
            witness: Default::default(),
            sha256: String::new(),
            size,
            wall_ms: 0,
            remarks: Vec::new(),
        }
    }

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn an_object_is_whole_or_absent() {
        let folder = tempfile::tempdir().unwrap();
        let put = Locator::File(folder.path().join("chunk-1").into());
        let write = |bytes: &'static [u8], size| {
            move |path: &Path| {
                fs::write(path, bytes).unwrap();
                Ok(report(size))
            }
        };
        assert_eq!(store(&put, write(b"12", 3)).unwrap_err().kind, dvp_model::error::Kind::Bug);
        assert!(names(folder.path()).is_empty());
        let failed = store(&put, |path| {
            fs::write(path, b"half").unwrap();
            Err(Reason::input("damaged"))
        });
        assert_eq!(failed.unwrap_err().text, "damaged");
        assert!(names(folder.path()).is_empty());
        assert!(store(&put, |_| Ok(report(0))).is_err());
        store(&put, write(b"123", 3)).unwrap();
        assert_eq!(names(folder.path()), ["chunk-1"]);
    }
}
