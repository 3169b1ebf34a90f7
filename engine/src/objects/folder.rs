//! A local object folder: `objects/<job>/<epoch>.<item>.<attempt>`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dvp_model::wire::worker::Locator;
use dvp_model::{Item, JobId, RunTag};

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

    /// Where an attempt at an item puts its object. The job's folder is made.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn put(&self, run: &RunTag, item: Item, attempt: u32) -> io::Result<Locator> {
        let folder = self.of_job(run.job);
        fs::create_dir_all(&folder)?;
        let item = match item {
            Item::Sound => "sound".to_owned(),
            Item::Chunk(index) => format!("chunk{index}"),
        };
        Ok(Locator::File(folder.join(format!("{}.{item}.{attempt}", run.epoch)).into()))
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

    /// Every file of a job, accepted or not.
    pub fn files(&self, job: JobId) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.of_job(job)) else { return Vec::new() };
        entries.flatten().map(|entry| entry.path()).collect()
    }

    /// Removes these files of a job, and its folder if nothing else is in it.
    pub fn remove(&self, job: JobId, files: &[PathBuf]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use dvp_model::{ChunkIndex, Epoch};

    #[test]
    fn removes_what_it_is_told_and_empty_folders() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("objects")).unwrap();
        let run = |epoch| RunTag { job: JobId(uuid::Uuid::from_u128(7)), epoch: Epoch(epoch) };
        let item = Item::Chunk(ChunkIndex(4));
        let mut paths = Vec::new();
        for locator in [
            folder.put(&run(1), item, 1).unwrap(),
            folder.put(&run(2), item, 2).unwrap(),
            folder.put(&run(2), Item::Sound, 1).unwrap(),
        ] {
            let Locator::File(path) = locator;
            fs::write(&path, "x").unwrap();
            paths.push(path.0);
        }
        assert_eq!(folder.jobs().unwrap(), [run(1).job]);
        assert_eq!(folder.files(run(1).job).len(), 3);
        folder.remove(run(1).job, &[paths[0].clone(), paths[2].clone()]);
        assert_eq!(folder.files(run(1).job), [paths[1].clone()]);
        folder.remove(run(1).job, &paths);
        assert!(folder.jobs().unwrap().is_empty());
    }
}
