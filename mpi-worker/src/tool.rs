//! The commands without MPI: one JSON request on stdin, JSON lines on stdout, the last of which says how
//! it ended. Knows nothing of ranks.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use dvp_model::FilePath;
use dvp_model::error::Reason;
use dvp_model::wire::worker::{
    AssembleRequest, ChunkRequest, Locator, PlanRequest, Report, ToolLine, exit,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{exit as ending, media, transfer};

/// Address space of `plan`, which reads headers and packets of files that nobody has looked at yet.
const PLAN_MEMORY: u64 = 8 << 30;
/// Progress lines are at least so far apart.
const PACE: Duration = Duration::from_millis(200);

/// `plan`: a [`PlanRequest`], answered by progress and [`ToolLine::Planned`].
pub fn plan() -> u8 {
    let _ =
        setrlimit(Resource::As, Rlimit { current: Some(PLAN_MEMORY), maximum: Some(PLAN_MEMORY) });
    answer(|request: PlanRequest, progress| {
        let plan = media::plan(&request, progress).map_err(media::AssembleFault::from)?;
        Ok(ToolLine::Planned { plan: Box::new(plan) })
    })
}

/// `assemble`: an [`AssembleRequest`], answered by progress and [`ToolLine::Assembled`].
pub fn assemble() -> u8 {
    answer(|request: AssembleRequest, progress| {
        let output = media::assemble(&request, progress)?;
        Ok(ToolLine::Assembled { output })
    })
}

/// `chunk`: a [`ChunkRequest`], answered by its [`Report`] alone, or [`ToolLine::Failed`].
pub fn chunk() -> u8 {
    let Some(request) = begin::<ChunkRequest>() else { return exit::PROTOCOL };
    match repeat(&request) {
        Ok(report) => end(&report, exit::OK),
        Err(reason) => end(&ToolLine::Failed { reason, damaged: Vec::new() }, exit::FAILED),
    }
}

fn repeat(request: &ChunkRequest) -> Result<Report, Reason> {
    let Some(put) = &request.put else {
        // A folder that only this user can enter, removed with what is in it.
        let own = tempfile::tempdir().map_err(|error| {
            Reason::machine(format!("no temporary folder can be made: {error}"))
        })?;
        return repeat_to(request, own.path().join("chunk").into());
    };
    repeat_to(request, put.clone())
}

fn repeat_to(request: &ChunkRequest, put: FilePath) -> Result<Report, Reason> {
    let never = std::sync::atomic::AtomicBool::new(false);
    transfer::store(&Locator::File(put), |dest| {
        media::run_item(&request.plan, request.item, dest, &mut |_| (), &never)
    })
}

/// `versions`: prints [`dvp_model::wire::worker::Versions`].
pub fn versions() -> u8 {
    media::init();
    end(&media::versions(), exit::OK)
}

/// Runs a command that tells its progress.
fn answer<R: DeserializeOwned>(
    run: impl FnOnce(R, &mut dyn FnMut(u64, u64)) -> Result<ToolLine, media::AssembleFault>,
) -> u8 {
    let Some(request) = begin::<R>() else { return exit::PROTOCOL };
    let mut told: Option<Instant> = None;
    let mut progress = |done, total| {
        if told.is_none_or(|at| at.elapsed() >= PACE) {
            told = Some(Instant::now());
            end(&ToolLine::Progress { done, total }, exit::OK);
        }
    };
    match run(request, &mut progress) {
        Ok(line) => end(&line, exit::OK),
        Err(media::AssembleFault { reason, damaged }) => {
            end(&ToolLine::Failed { reason, damaged }, exit::FAILED)
        }
    }
}

fn begin<R: DeserializeOwned>() -> Option<R> {
    ending::with_parent();
    media::init();
    let mut text = Vec::new();
    let request = std::io::stdin()
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    request.map_err(|error| eprintln!("dvp-worker: no request on stdin: {error}")).ok()
}

/// Prints a line; `code`, or that nobody reads any more.
fn end(line: &impl Serialize, code: u8) -> u8 {
    let mut text = match serde_json::to_vec(line) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("dvp-worker: a line could not be written: {error}");
            return exit::BUG;
        }
    };
    text.push(b'\n');
    let mut out = std::io::stdout().lock();
    match out.write_all(&text).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => ending::now(exit::LINK),
    }
}
