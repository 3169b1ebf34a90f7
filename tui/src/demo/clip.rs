//! The demo's films: where the sample lies, and how it is made longer without touching its pictures.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use dvp_engine::config::Config;
use dvp_model::FilePath;
use dvp_model::error::Reason;

/// The sample's place among the assets.
const SAMPLE: &str = "sample/big-buck-bunny.mp4";
/// Shorter films are repeated until they last so long, seconds.
const LONG_ENOUGH_S: f64 = 60.0;
/// Outputs of earlier runs are removed when they are older.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// A film that is long enough.
pub(super) struct Looped {
    /// Where it lies.
    pub path: PathBuf,
    /// Its frames, where they can be told.
    pub frames: Option<u64>,
}

/// The sample: among the assets that `./dvp` names, else beside a folder above this program.
pub(super) fn sample() -> Result<PathBuf, Reason> {
    let named = std::env::var_os("DVP_ASSETS").map(PathBuf::from);
    let program = std::env::current_exe().unwrap_or_default();
    let above = program.ancestors().skip(1).map(|folder| folder.join("assets"));
    named
        .into_iter()
        .chain(above)
        .map(|assets| assets.join(SAMPLE))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Reason::not_found(format!(
                "the sample film assets/{SAMPLE} is not found: run ./dvp demo in the clone, or give \
                 the demo a film"
            ))
        })
}

/// A name for this run's output that no earlier run used; outputs of earlier runs are removed.
pub(super) fn output(config: &Config, film: &Path, ending: &str) -> Result<PathBuf, Reason> {
    let folder = folder(config, "outputs")?;
    if let Ok(entries) = std::fs::read_dir(&folder) {
        for entry in entries.flatten() {
            let old = entry
                .metadata()
                .and_then(|about| about.modified())
                .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT));
            if old {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    let stem = film.file_stem().unwrap_or_default().to_string_lossy();
    Ok(folder.join(format!("{stem}-{}.{ending}", crate::perform::now().0)))
}

fn folder(config: &Config, name: &str) -> Result<PathBuf, Reason> {
    let folder = config.data_dir.join(name);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        let at = FilePath(folder.clone());
        Reason::machine(format!("the demo's folder {at} can't be made: {error}; give a --data-dir"))
    })?;
    Ok(folder)
}

/// The film, repeated as often as it takes, its packets copied as they are.
pub(super) fn looped(config: &Config, film: &Path) -> Result<Looped, Reason> {
    let (seconds, frames) = measure(film);
    let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0 && *seconds < LONG_ENOUGH_S) else {
        return Ok(Looped { path: film.to_owned(), frames });
    };
    let times = (LONG_ENOUGH_S / seconds).ceil().clamp(1.0, 2000.0) as u64;
    let folder = folder(config, "films")?;
    let stem = film.file_stem().unwrap_or_default().to_string_lossy();
    let ending = film.extension().and_then(|ending| ending.to_str()).unwrap_or("mp4");
    // Another film of that name gets another one; the same is made once, and jobs may still need it.
    let made_of =
        std::fs::metadata(film).map(|found| (found.len(), found.mtime())).unwrap_or_default();
    let path = folder
        .join(format!("{stem}-{times}-times-{:x}.{ending}", made_of.0 ^ made_of.1.unsigned_abs()));
    if path.is_file() {
        return Ok(Looped { frames: measure(&path).1, path });
    }
    // Written aside, then named: a second demo never reads half of it.
    let part = folder.join(format!("{stem}-{}.part.{ending}", std::process::id()));
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-stream_loop"])
        .arg((times - 1).to_string())
        .arg("-i")
        .arg(film)
        .args(["-c", "copy"])
        .arg(&part)
        .stdin(Stdio::null())
        .output();
    let said = match made {
        Ok(made) if made.status.success() => None,
        Ok(made) => Some(String::from_utf8_lossy(&made.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    let renamed = said.map_or_else(
        || std::fs::rename(&part, &path).map_err(|error| error.to_string()),
        |said| Err(said.lines().last().unwrap_or_default().to_owned()),
    );
    if let Err(why) = renamed {
        let _ = std::fs::remove_file(&part);
        return Err(Reason::machine(format!(
            "the film could not be made longer with ffmpeg: {why}; install ffmpeg, or give the demo \
             a film of a minute"
        )));
    }
    Ok(Looped { frames: measure(&path).1, path })
}

/// Seconds and frames by the container, where it tells.
fn measure(film: &Path) -> (Option<f64>, Option<u64>) {
    let said = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries"])
        .args(["stream=nb_frames:format=duration", "-of", "default=noprint_wrappers=1"])
        .arg("-i")
        .arg(film)
        .stdin(Stdio::null())
        .output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    let said = said.unwrap_or_default();
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key));
    (
        value("duration=").and_then(|text| text.parse().ok()),
        value("nb_frames=").and_then(|text| text.parse().ok()),
    )
}
