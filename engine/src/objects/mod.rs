//! Objects: finished items, in a folder or in S3, under names that are never used twice. Knows nothing of what
//! is in them.

pub mod folder;
pub mod health;
pub mod multipart;
pub mod s3;
pub mod uploads;

use std::path::{Path, PathBuf};

use dvp_model::error::Reason;
use dvp_model::wire::worker::Locator;
use dvp_model::{Epoch, Item, JobId, RunTag, S3Name};

pub use folder::Folder;
pub use s3::S3;
pub use uploads::Uploads;

/// What stands before the keys of objects in the bucket.
const PREFIX: &str = "objects/";

/// All objects: `<job>/<epoch>.<item>.<attempt>` in a folder, or below `PREFIX` in S3's bucket.
#[derive(Clone)]
pub struct Objects {
    folder: Folder,
    s3: Option<S3>,
}

impl Objects {
    /// Objects below the folder `root`, which is made when missing, unless `s3` holds them.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn open(root: PathBuf, s3: Option<S3>) -> std::io::Result<Self> {
        Ok(Self { folder: Folder::open(root)?, s3 })
    }

    /// S3, where it is set up, whether it holds objects or not.
    pub fn s3(&self) -> Option<&S3> {
        self.s3.as_ref()
    }

    /// S3, if it is what holds objects.
    pub fn bucket(&self) -> Option<&S3> {
        self.s3.as_ref().filter(|s3| s3.settings().holds_objects)
    }

    /// The folder that holds objects, unless S3 does.
    pub fn root(&self) -> Option<&Path> {
        self.bucket().is_none().then(|| self.folder.root())
    }

    /// The folder for objects, whether they go there or not.
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// Writes something, reads it, removes it. What the place is, for a person.
    ///
    /// # Errors
    /// What could not be done.
    pub async fn test(&self) -> Result<String, Reason> {
        if let Some(s3) = self.bucket() {
            let key = format!("{PREFIX}.test.{:016x}", rand::random::<u64>());
            let name = S3Name::new(&s3.settings().bucket, &key)?;
            let words = b"written to be read";
            s3.make_bucket().await?;
            s3.write(&name, "text/plain", words.to_vec()).await?;
            let read = s3.read(&name).await;
            s3.remove(&[name]).await?;
            return match read?.as_deref() == Some(words) {
                true => Ok(s3.place()),
                false => Err(s3.away("what was read is not what was written".to_owned())),
            };
        }
        let folder = self.folder.clone();
        let place = format!("folder {}", dvp_model::FilePath::from(folder.root()));
        let tested = tokio::task::spawn_blocking(move || folder.test()).await;
        let tested = tested.map_err(|error| Reason::bug(error.to_string()))?;
        tested.map_err(|error| Reason::machine(format!("the {place}: {error}")))?;
        Ok(place)
    }

    /// Where an attempt at an item puts its object.
    ///
    /// # Errors
    /// When the job's folder can't be made.
    pub fn put(&self, run: &RunTag, item: Item, attempt: u32) -> Result<Locator, Reason> {
        let item = match item {
            Item::Sound => "sound".to_owned(),
            Item::Chunk(index) => format!("chunk{index}"),
        };
        let name = format!("{}.{item}.{attempt}", run.epoch);
        match self.bucket() {
            Some(s3) => {
                let key = format!("{PREFIX}{}/{name}", run.job);
                Ok(Locator::S3(S3Name::new(&s3.settings().bucket, &key)?))
            }
            None => self.folder.put(run.job, &name).map_err(|error| {
                let root = self.folder.root().display();
                Reason::machine(format!("the object folder {root} can't be written: {error}"))
            }),
        }
    }

    /// Bytes of an object; none when it is not there.
    ///
    /// # Errors
    /// When that can't be found out.
    pub async fn size(&self, object: &Locator) -> Result<Option<u64>, Reason> {
        match object {
            Locator::File(path) => folder::size(path),
            Locator::S3(name) => match &self.s3 {
                Some(s3) => Ok(s3.find(name).await?.map(|found| found.bytes)),
                None => Ok(None),
            },
        }
    }

    /// Every object of a job, accepted or not, and its bytes.
    ///
    /// # Errors
    /// When S3 is away.
    pub async fn list(&self, job: JobId) -> Result<Vec<(Locator, u64)>, Reason> {
        let mut found = self.folder.list(job);
        if let Some(s3) = self.bucket() {
            let names = s3.list(&format!("{PREFIX}{job}/")).await?;
            found.extend(names.into_iter().map(|(name, bytes)| (Locator::S3(name), bytes)));
        }
        Ok(found)
    }

    /// Removes these objects of a job; what is not there is no fault.
    ///
    /// # Errors
    /// When S3 is away.
    pub async fn remove(&self, job: JobId, objects: &[Locator]) -> Result<(), Reason> {
        let files = objects.iter().filter_map(|object| match object {
            Locator::File(path) => Some(path.as_path()),
            Locator::S3(_) => None,
        });
        self.folder.remove(job, files);
        let names: Vec<S3Name> = objects
            .iter()
            .filter_map(|object| match object {
                Locator::S3(name) => Some(name.clone()),
                Locator::File(_) => None,
            })
            .collect();
        match self.bucket() {
            Some(s3) => s3.remove(&names).await,
            None => Ok(()),
        }
    }

    /// Jobs that have objects.
    ///
    /// # Errors
    /// When that can't be found out.
    pub async fn jobs(&self) -> Result<Vec<JobId>, Reason> {
        let mut jobs = self.folder.jobs().map_err(|error| {
            let root = self.folder.root().display();
            Reason::machine(format!("the object folder {root} can't be read: {error}"))
        })?;
        if let Some(s3) = self.bucket() {
            let names = s3.folders(PREFIX).await?;
            jobs.extend(names.iter().filter_map(|name| name.parse::<JobId>().ok()));
            jobs.sort();
            jobs.dedup();
        }
        Ok(jobs)
    }
}

/// The epoch that an object was made in, by its name.
pub fn epoch_of(object: &Locator) -> Option<Epoch> {
    let name = match object {
        Locator::File(path) => path.file_name().to_string_lossy().into_owned(),
        Locator::S3(name) => name.key().rsplit('/').next().unwrap_or_default().to_owned(),
    };
    name.split('.').next()?.parse().ok().map(Epoch)
}
