//! The media pipeline: finds out what is in a file, makes chunks and the sound of a plan, joins them
//! into the output. Knows nothing of MPI, of the engine, or of where a request comes from.

mod assemble;
pub mod audio;
mod av;
mod bytes;
mod chunk;
mod color;
mod count;
mod decode;
mod edits;
mod encode;
mod entry;
mod filter;
mod index;
mod join;
mod lane;
mod layout;
mod log;
mod mux;
pub mod object;
mod parameters;
mod pass;
mod picture;
mod pixels;
mod proof;
mod scan;
mod source;
mod timeline;
mod verify;
mod versions;
mod window;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use dvp_model::error::Reason;
use dvp_model::media::Index;
use dvp_model::plan::Plan;
use dvp_model::plan::make::{self, Environment};
use dvp_model::plan::sizes;
use dvp_model::wire::worker::{AssembleRequest, Assembled, PlanRequest, Report, Versions};
use dvp_model::{FilePath, Item};

/// Why a film could not be joined, and which items must be computed again if that is why.
#[derive(Clone, Debug)]
pub struct AssembleFault {
    /// Why.
    pub reason: Reason,
    /// Items whose objects are missing, damaged, or disagree with their neighbours.
    pub damaged: Vec<Item>,
}

impl From<Reason> for AssembleFault {
    fn from(reason: Reason) -> Self {
        Self { reason, damaged: Vec::new() }
    }
}

/// Prepares libav for this process: silence on stdout and stderr, its last complaints kept for reasons.
/// To be called once, before anything else here.
pub fn init() {
    log::capture();
    av::bound_memory();
}

/// Silences libraries that write to stderr by themselves. To be called first of all, before any thread
/// starts.
pub fn silence() {
    log::silence_others();
}

/// Reads a file's headers and the index of its pictures. `progress(done, total)` counts bytes.
///
/// # Errors
/// `NotFound` for a missing file, `Input` for one that is unfit, `Machine` when reading fails.
pub fn index(input: &FilePath, progress: &mut dyn FnMut(u64, u64)) -> Result<Index, Reason> {
    Ok(index::read(input, false, progress)?.index)
}

/// Indexes the input and plans the work.
///
/// # Errors
/// As [`index()`]; and `Input` or `Spec` for what the spec can't do with this input.
pub fn plan(request: &PlanRequest, progress: &mut dyn FnMut(u64, u64)) -> Result<Plan, Reason> {
    let found = index::read(&request.input, request.spec.tolerant, progress)?;
    let (index, encode) = (&found.index, &request.spec.encode);
    sizes::check(index, &request.spec)?;
    let mut graph = make::graph(index, &request.spec);
    let mut picture = picture::through(&graph, index, &found.first, encode)?;
    let (width, height) = picture::fitting(&picture, encode.codec);
    if (width, height) != (picture.width, picture.height) {
        let separator = if graph.is_empty() { "" } else { "," };
        graph.push_str(&format!("{separator}scale={width}:{height}"));
        picture = picture::through(&graph, index, &found.first, encode)?;
    }
    picture.beside.extend(found.beside);
    if picture::has_alpha(&index.video.pixel_format) && !picture::has_alpha(&picture.format) {
        picture.beside.push("transparency".to_owned());
    }
    let fingerprint = versions().fingerprint;
    let plan = make::make(index, &request.spec, &Environment { fingerprint, picture, graph })?;
    encode::check(&plan)?;
    Ok(plan)
}

/// Makes one item of a plan and writes its object to `dest` (a temporary name: naming it is the
/// caller's business). What was written is decoded again and checked before this returns.
/// `progress` is told the pictures done so far (for the sound: thousandths). When `stop` is set, it
/// returns soon with a `Conflict` reason.
///
/// # Errors
/// `Input` for damage or a changed file, `Machine` for a full disk and the like, `Bug` when what was
/// written does not decode to what went in.
pub fn run_item(
    plan: &Plan,
    item: Item,
    dest: &Path,
    progress: &mut dyn FnMut(u64),
    stop: &AtomicBool,
) -> Result<Report, Reason> {
    match item {
        Item::Chunk(index) => chunk::run(plan, index, dest, progress, stop),
        Item::Sound => audio::sound(plan, dest, progress, stop),
    }
}

/// Joins accepted objects into the output under its temporary name, verifies and flushes it.
/// `progress(done, total)` counts pictures written, then pictures checked.
///
/// # Errors
/// With the damaged items, if objects are why; else as [`run_item`].
pub fn assemble(
    request: &AssembleRequest,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Assembled, AssembleFault> {
    assemble::assemble(request, progress)
}

/// What works here, and the fingerprint that every rank of a job must share.
pub fn versions() -> Versions {
    versions::versions()
}

/// The reason of work that was told to stop.
fn stopped() -> Reason {
    Reason::conflict("stopped before it was done, as asked")
}
