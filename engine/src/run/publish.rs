//! The last step: a whole, verified file under a temporary name gets its own, at once or not at all, with
//! its manifest beside it. Nothing that lay there before is overwritten unless the user said so.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use dvp_model::error::Reason;
use dvp_model::job::step::{Event, step};
use dvp_model::job::{Job, Output, Phase};
use dvp_model::manifest::Manifest;
use dvp_model::plan::Plan;
use dvp_model::wire::feed::What;
use dvp_model::{Item, Millis};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::End;
use super::supervise::{Run, check_input};
use crate::reconcile::sweep;
use crate::store::Publication;

/// Space that is left free beside what is written, bytes.
pub const SPARE: u64 = 64 << 20;

/// Longest name of a file on Linux, bytes.
const NAME_MAX: usize = 255;

/// Where an output goes, and the hidden names beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its own name.
    pub output: PathBuf,
    /// Its name until it is verified.
    pub temporary: PathBuf,
    /// Its manifest's name.
    pub manifest: PathBuf,
    manifest_temporary: PathBuf,
    /// Hidden names of the job's earlier launches.
    earlier: Vec<PathBuf>,
}

impl Target {
    /// The target of a job's launch. Hidden names carry the epoch: a launch that was given up and wakes
    /// late can neither take nor name what a later one writes.
    pub fn of(job: &Job) -> Self {
        let output = job.output_path.as_path().to_owned();
        let name = output.file_name().unwrap_or(OsStr::new("output")).to_owned();
        let hidden = |epoch: u32, tail: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(&name);
            hidden.push(format!(".dvp-{}.{epoch}{tail}", job.id));
            match hidden.len() > NAME_MAX {
                true => output.with_file_name(format!(".dvp-{}.{epoch}{tail}", job.id)),
                false => output.with_file_name(hidden),
            }
        };
        let epoch = job.epoch.0;
        let mut manifest = name.clone();
        manifest.push(".dvp.json");
        if manifest.len() > NAME_MAX {
            manifest = OsString::from(format!("{}.dvp.json", job.id));
        }
        Self {
            temporary: hidden(epoch, ""),
            manifest_temporary: hidden(epoch, ".json"),
            earlier: (1..epoch).flat_map(|of| [hidden(of, ""), hidden(of, ".json")]).collect(),
            manifest: output.with_file_name(manifest),
            output,
        }
    }

    /// The folder that holds all of them.
    pub fn folder(&self) -> &Path {
        self.output.parent().unwrap_or(Path::new("/"))
    }

    /// Whether an output may be put here.
    ///
    /// # Errors
    /// When the folder is missing, or the name is taken and `force` is not set.
    pub fn check(&self, force: bool) -> Result<(), Reason> {
        if !self.folder().is_dir() {
            return Err(self.gone());
        }
        match fs::symlink_metadata(&self.output) {
            Ok(found) if found.is_dir() => Err(Reason::output(format!(
                "the output {} is a folder: give a file's name",
                self.output.display()
            ))),
            Ok(_) if !force => Err(self.taken()),
            _ => Ok(()),
        }
    }

    /// Removes what is left under the hidden names of this launch and the earlier ones.
    ///
    /// # Errors
    /// When something is there and can't be removed.
    pub fn clear(&self) -> Result<(), Reason> {
        for path in [&self.temporary, &self.manifest_temporary].into_iter().chain(&self.earlier) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Reason::output(format!(
                        "{} can't be removed: {error}",
                        path.display()
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether exactly this output lies under its own name.
    pub fn is_published(&self, output: &Output) -> bool {
        holds(&self.output, output)
    }

    /// Takes exactly this output over from an earlier launch that had it under its hidden name. Whether
    /// it was there.
    pub fn take_over(&self, output: &Output) -> bool {
        let mut found = self.earlier.iter().filter(|path| holds(path, output));
        found.any(|path| fs::rename(path, &self.temporary).is_ok())
    }

    fn taken(&self) -> Reason {
        Reason::output(format!(
            "the output {} exists by now: move it away and retry the job, or submit with --force",
            self.output.display()
        ))
    }

    fn gone(&self) -> Reason {
        Reason::output(format!(
            "the output's folder {} is gone: make it again and retry the job",
            self.folder().display()
        ))
    }

    /// Gives the file its name, unless it has it already, and the manifest its own. Both are there
    /// afterwards, or an error says why not.
    fn place(&self, force: bool, manifest: &Manifest) -> Result<(), Reason> {
        let failed = |what: &Path| {
            let what = what.display().to_string();
            move |error: io::Error| match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Reason::machine(format!("no space for {what}: {error}"))
                }
                _ if !self.folder().is_dir() => self.gone(),
                _ => Reason::output(format!("{what} can't be written: {error}")),
            }
        };
        let published = self.is_published(&manifest.output) && !self.temporary.exists();
        let write = || {
            let mut file = File::create(&self.manifest_temporary)?;
            serde_json::to_writer_pretty(&mut file, manifest)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(failed(&self.manifest_temporary))?;
        match force {
            _ if published => {}
            true => fs::rename(&self.temporary, &self.output).map_err(failed(&self.output))?,
            false => match rename_to_new(&self.temporary, &self.output) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(self.taken());
                }
                renamed => renamed.map_err(failed(&self.output))?,
            },
        }
        fs::rename(&self.manifest_temporary, &self.manifest).map_err(failed(&self.manifest))?;
        let sync = File::open(self.folder()).and_then(|folder| folder.sync_all());
        sync.map_err(failed(self.folder()))
    }
}

/// Renames, unless the new name is taken. File systems that can't do that in one step link instead.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

/// Whether a file is exactly `output`, by size and hash.
fn holds(path: &Path, output: &Output) -> bool {
    let same_size = fs::metadata(path).is_ok_and(|found| found.len() == output.bytes);
    same_size && sha256(path).is_ok_and(|hash| hash == output.sha256)
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a folder has `wanted` bytes free.
///
/// # Errors
/// A machine's reason when not.
pub fn check_space(folder: &Path, wanted: u64) -> Result<(), Reason> {
    let Ok(found) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    match free >= wanted {
        true => Ok(()),
        false => Err(Reason::machine(format!(
            "the disk that holds {} is nearly full: {} MB free, about {} MB wanted; make room there",
            folder.display(),
            free / 1_000_000,
            wanted / 1_000_000 + 1
        ))),
    }
}

/// Publishes a whole, verified file and completes the job.
pub(super) async fn publish(
    run: &Run<'_>,
    plan: &Plan,
    publication: &Publication,
) -> Result<(), End> {
    let (engine, guard) = (run.engine, &run.guard);
    let (store, owner) = (&engine.store, &engine.owner);
    if let Err(reason) = check_input(&plan.input) {
        run.target.clear()?;
        return Err(End::Fail(reason));
    }
    let put = || store.publication_put(run.id, run.epoch, owner, publication);
    guard.persist(put).await?;
    run.enter(Phase::Publishing).await?;
    let rows = guard.persist(|| store.ledger_read(run.id)).await?;
    let hash = |sound: bool| {
        let rows = rows.iter().filter(move |row| (row.item == Item::Sound) == sound);
        rows.filter_map(|row| Some(row.accepted.as_ref()?.sha256.clone()))
    };
    let manifest = Manifest {
        version: 1,
        job: run.id,
        input: plan.input.clone(),
        spec: plan.spec.clone(),
        plan: plan.hash(),
        fingerprint: plan.fingerprint.clone(),
        chunks: hash(false).collect(),
        sound: hash(true).next(),
        output: publication.output.clone(),
        epoch: run.epoch,
        ranks: run.ranks.load(std::sync::atomic::Ordering::Relaxed),
        nodes: run.job.nodes.clone(),
        carried: plan.carried.clone(),
        notes: plan.notes.clone(),
        remarks: publication.remarks.clone(),
        published_at: guard.persist(|| store.now()).await?,
    };
    // From here on no order is heard: in a moment the output is there, whole.
    let (target, force) = (run.target.clone(), run.job.force);
    let placed = tokio::task::spawn_blocking(move || target.place(force, &manifest)).await;
    let placed = placed.unwrap_or_else(|error| Err(Reason::bug(error.to_string())));
    // What this launch and the earlier ones left under hidden names.
    let _ = run.target.clear();
    placed?;
    // The file is what counts now: should the next write be lost, its hash is recognised.
    sweep::remove_all(engine, run.id).await;
    let complete = |job: &mut Job, now: Millis| {
        job.state = step(&job.state, Event::Complete(run.epoch), now)?;
        job.output = Some(publication.output.clone());
        job.barren = 0;
        let Output { sha256, bytes, .. } = publication.output.clone();
        Ok(vec![What::Completed { sha256, bytes }])
    };
    guard.persist(|| store.job_end_by(run.id, run.epoch, owner, complete)).await.map(drop)
}
