//! The demo: with a terminal a guided tour of one job that is disturbed and compared with an undisturbed
//! one; without, one job from start to end. Has a data folder of its own and writes nowhere else.

mod clip;
mod headless;
pub mod tour;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use dvp_engine::config::{Config, Flags};
use dvp_model::error::{Kind, Reason};
use dvp_model::wire::api::Errors;

use crate::state::field::Field;
use crate::state::form::Slot;
use crate::state::{Place, State};
use crate::{perform, run, terminal};

/// Chunks that the film is cut into, at least: enough to watch.
const CHUNKS: u64 = 26;

/// How the demo is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The settings of this process; the demo's data folder lies in theirs.
    pub config: Config,
    /// Another film than the sample.
    pub video: Option<PathBuf>,
}

/// Runs the demo.
pub fn run(options: Options) -> ExitCode {
    match prepared(&options) {
        Ok((config, film)) if terminal::is_there() => match tour(config, &film) {
            Ok(code) => code,
            Err(reason) => refuse(&reason.into()),
        },
        Ok((config, film)) => headless::run(config, &film),
        Err(errors) => refuse(&errors),
    }
}

/// Says why, and ends with its code.
fn refuse(errors: &Errors) -> ExitCode {
    for reason in &errors.errors {
        let _ = writeln!(std::io::stderr(), "dvp-console: {}", reason.text);
    }
    let kind = errors.errors.first().map_or(Kind::Bug, |reason| reason.kind);
    ExitCode::from(kind.exit_code())
}

/// The demo's own settings, and the film.
fn prepared(options: &Options) -> Result<(Config, PathBuf), Errors> {
    let film = match &options.video {
        Some(video) => std::path::absolute(video).map_err(|error| {
            Reason::input(format!("{} is no path: {error}", video.to_string_lossy()))
        })?,
        None => clip::sample()?,
    };
    if let Err(error) = std::fs::File::open(&film) {
        return Err(Reason::not_found(format!(
            "the film {} can't be read: {error}; give another one to `demo`",
            dvp_model::FilePath(film)
        ))
        .into());
    }
    let flags = Flags {
        data_dir: Some(options.config.data_dir.join("demo").into_os_string()),
        // A file that nobody named need not exist.
        connect: None,
        file: options.config.file.is_file().then(|| options.config.file.clone()),
    };
    let mut config = Config::load(&flags)?;
    config.demo = true;
    // Whatever keeps the person's real jobs: the demo has its own file.
    config.database = None;
    config.broker = None;
    config.connect = None;
    Ok((config, film))
}

/// The guided tour.
fn tour(config: Config, film: &std::path::Path) -> Result<ExitCode, Reason> {
    let looped = clip::looped(&config, film)?;
    let output = clip::output(&config, film, "mp4")?;
    let mut state = State::new(perform::now(), (80, 24), terminal::look());
    state.tour = Some(tour::Tour::default());
    state.place = Place::Submit;
    state.trail = vec![Place::Dashboard];
    state.form.folder = std::env::current_dir().unwrap_or_else(|_| "/".into());
    state.form.set_input(&looped.path.clone().into());
    state.form.output = Field::new(output.to_string_lossy());
    if let Some(frames) = looped.frames {
        let length = (frames / CHUNKS).max(2);
        state.form.set.insert("plan.chunk_frames".into(), Field::new(length.to_string()));
    }
    state.form.at = Slot::Start;
    state.form.edits = 1;
    Ok(run::run(config, state))
}
