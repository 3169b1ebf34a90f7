//! Films that came over the API: `uploads/<id>/<name>`, beside the objects, where every node sees them. One
//! that is not whole yet ends in `.part` and goes on where it stopped.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use dvp_model::JobId;
use dvp_model::error::Reason;
use dvp_model::path::printable;
use rustix::fs::{FlockOperation, flock};

/// Ends the name of a film that is not whole yet.
const PART: &str = ".part";
/// The longest name that is kept, bytes.
const LONGEST: usize = 200;
/// What a film's name may end in.
const FILMS: &[&str] = &[
    "mp4", "m4v", "mov", "mkv", "webm", "ts", "m2ts", "mts", "avi", "mpg", "mpeg", "vob", "h264",
    "264", "hevc", "h265", "265",
];

/// The folder of all uploads.
#[derive(Clone, Debug)]
pub struct Uploads {
    root: PathBuf,
}

/// A film that is being written; nobody else writes to it meanwhile.
#[derive(Debug)]
pub struct Part {
    /// Open for appending.
    pub file: fs::File,
    /// What is there already, bytes.
    pub received: u64,
}

impl Uploads {
    /// Uploads below `root`, which is made with the first one.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder of one.
    pub fn folder(&self, id: JobId) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// The name that an uploaded film is kept under.
    ///
    /// # Errors
    /// When it is no film's.
    pub fn name(given: &str) -> Result<String, Reason> {
        let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
        let name: String = last.chars().filter(|c| !c.is_control()).collect();
        let name = name.trim_start_matches(['.', '-', ' ']).trim_end();
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or("");
        if !FILMS.contains(&ending.to_ascii_lowercase().as_str()) {
            return Err(Reason::spec(format!(
                "'{}' is no film by its name: its end must be one of {}",
                printable(last),
                FILMS.join(", ")
            )));
        }
        if name.len() > LONGEST {
            return Err(Reason::spec(format!(
                "the name '{}' has more than {LONGEST} bytes: give a shorter one",
                printable(last)
            )));
        }
        Ok(name.to_owned())
    }

    /// A film that is whole, and its bytes.
    pub fn whole(&self, id: JobId, name: &str) -> Option<(PathBuf, u64)> {
        let path = self.folder(id).join(name);
        let bytes = fs::metadata(&path).ok()?.len();
        Some((path, bytes))
    }

    /// Opens a film to write on; made when it is new.
    ///
    /// # Errors
    /// When it can't be made, or somebody else writes to it.
    pub fn open(&self, id: JobId, name: &str) -> Result<Part, Reason> {
        let cannot = |error| self.cannot(error);
        let folder = self.folder(id);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
        let mut options = fs::OpenOptions::new();
        let path = folder.join(format!("{name}{PART}"));
        let file = options.append(true).create(true).mode(0o600).open(path).map_err(cannot)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Reason::conflict("another upload of this film is under way: wait for it")
        })?;
        let received = file.metadata().map_err(cannot)?.len();
        Ok(Part { file, received })
    }

    /// Gives a whole film its name. Done once more, it does nothing.
    ///
    /// # Errors
    /// When it has not `bytes` bytes.
    pub fn end(&self, id: JobId, name: &str, bytes: u64) -> Result<PathBuf, Reason> {
        let path = self.folder(id).join(name);
        let part = self.folder(id).join(format!("{name}{PART}"));
        let size = |path: &Path| fs::metadata(path).map(|meta| meta.len());
        match (size(&part), size(&path)) {
            (Ok(found), _) if found == bytes => {
                let kept = fs::File::open(&part).and_then(|file| file.sync_all());
                kept.and_then(|()| fs::rename(&part, &path)).map_err(|error| self.cannot(error))?;
                Ok(path)
            }
            (Err(_), Ok(found)) if found == bytes => Ok(path),
            (Ok(found), _) | (Err(_), Ok(found)) => Err(Reason::conflict(format!(
                "{found} bytes of {bytes} have come: go on from there"
            ))),
            (Err(error), Err(_)) => Err(self.cannot(error)),
        }
    }

    /// Why something can't be kept here.
    pub fn cannot(&self, error: io::Error) -> Reason {
        let at = printable(&self.root.to_string_lossy());
        match error.kind() {
            ErrorKind::NotFound => Reason::not_found("there is no such upload: begin it again"),
            _ => Reason::machine(format!("an upload can't be kept in {at}: {error}")),
        }
    }

    /// Removes one whole.
    pub fn remove(&self, id: JobId) {
        let folder = self.folder(id);
        if let Err(error) = fs::remove_dir_all(&folder)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!("{} can't be removed: {error}", folder.display());
        }
    }

    /// All that are here, each with the age of its folder in milliseconds.
    pub fn all(&self) -> Vec<(JobId, u64)> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let one = |entry: fs::DirEntry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let newest = fs::read_dir(entry.path()).ok()?.flatten();
            let newest = newest.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
            let changed = newest.or(entry.metadata().ok()?.modified().ok())?;
            let age = changed.elapsed().unwrap_or_default();
            Some((id, age.as_millis() as u64))
        };
        entries.flatten().filter_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_films_and_stay_in_their_folder() {
        for (given, kept) in [
            ("film.mp4", "film.mp4"),
            ("../../etc/x.MKV", "x.MKV"),
            ("C:\\films\\a b.mov", "a b.mov"),
            (".hidden.mp4", "hidden.mp4"),
            ("-rf.mp4", "rf.mp4"),
            ("a\nb.mp4", "ab.mp4"),
        ] {
            assert_eq!(Uploads::name(given).unwrap(), kept, "{given:?}");
        }
        for given in ["", "..", "mp4", "x.exe", "x.mp4.part", "x.m3u8", &"x".repeat(300)] {
            assert!(Uploads::name(given).unwrap_err().text.contains("no film"), "{given:?}");
        }
        let long = Uploads::name(&format!("{}.mp4", "x".repeat(300))).unwrap_err();
        assert!(long.text.contains("200 bytes"), "{long}");
    }

    #[test]
    fn a_film_grows_and_gets_its_name_once_it_is_whole() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(dir.path().join("uploads"));
        let id = JobId(uuid::Uuid::from_u128(7));
        let mut part = uploads.open(id, "a.mp4").unwrap();
        part.file.write_all(b"abc").unwrap();
        assert!(uploads.open(id, "a.mp4").unwrap_err().text.contains("under way"));
        drop(part);
        assert_eq!(uploads.open(id, "a.mp4").unwrap().received, 3);
        assert!(uploads.end(id, "a.mp4", 4).unwrap_err().text.contains("3 bytes of 4"));
        let path = uploads.end(id, "a.mp4", 3).unwrap();
        assert_eq!(uploads.whole(id, "a.mp4"), Some((path.clone(), 3)));
        assert_eq!(
            (fs::read(&path).unwrap(), uploads.end(id, "a.mp4", 3).unwrap()),
            (b"abc".to_vec(), path)
        );
        assert_eq!(uploads.all().len(), 1);
        uploads.remove(id);
        assert!(uploads.all().is_empty());
    }
}
