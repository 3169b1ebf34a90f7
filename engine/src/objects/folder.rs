//! Objects as files: `objects/<job>/<name>`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dvp_model::error::Reason;
use dvp_model::wire::worker::Locator;
use dvp_model::{FilePath, JobId};

/// The folder that holds all objects.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Objects below `root`, which is made when missing.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the object `name` of a job lies. The job's folder is made.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn put(&self, job: JobId, name: &str) -> io::Result<Locator> {
        let folder = self.of_job(job);
        fs::create_dir_all(&folder)?;
        Ok(Locator::File(folder.join(name).into()))
    }

    /// Writes something, reads it, removes it.
    ///
    /// # Errors
    /// What could not be done.
    pub fn test(&self) -> io::Result<()> {
        let path = self.root.join(format!(".test.{:016x}", rand::random::<u64>()));
        let words = b"written to be read";
        let tried = fs::write(&path, words).and_then(|()| fs::read(&path));
        let removed = fs::remove_file(&path);
        match tried? == words {
            true => removed,
            false => Err(io::Error::other("what was read is not what was written")),
        }
    }

    /// Every file of a job, and its bytes.
    pub fn list(&self, job: JobId) -> Vec<(Locator, u64)> {
        let Ok(entries) = fs::read_dir(self.of_job(job)) else { return Vec::new() };
        let sized = |entry: fs::DirEntry| Some((entry.path(), entry.metadata().ok()?.len()));
        let found = entries.flatten().filter_map(sized);
        found.map(|(path, bytes)| (Locator::File(path.into()), bytes)).collect()
    }

    /// Removes these files of a job, and its folder if nothing else is in it.
    pub fn remove<'a>(&self, job: JobId, files: impl Iterator<Item = &'a Path>) {
        for path in files {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("{} can't be removed: {error}", path.display());
            }
        }
        // Fails as long as something is in it.
        let _ = fs::remove_dir(self.of_job(job));
    }

    /// Jobs that have a folder here.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn jobs(&self) -> io::Result<Vec<JobId>> {
        let names = fs::read_dir(&self.root)?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    fn of_job(&self, job: JobId) -> PathBuf {
        self.root.join(job.to_string())
    }
}

/// Bytes of a file; none when it is not there.
///
/// # Errors
/// When it can't be looked at.
pub fn size(path: &FilePath) -> Result<Option<u64>, Reason> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Reason::machine(format!("the object {path} can't be read: {error}"))),
    }
}
