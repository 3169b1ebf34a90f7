//! Where things lie when nobody says: the XDG folders, the socket, the programs beside this one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dvp_model::error::Reason;
use sha2::{Digest, Sha256};

use super::layers::Environment;

/// The longest path that a Unix socket may have, without the closing zero.
const LONGEST_SOCKET: usize = 107;

fn home(env: &Environment) -> Result<PathBuf, Reason> {
    env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute()).ok_or_else(|| {
        Reason::spec("HOME is not set: say where the data lies with --data-dir or DVP_DATA_DIR")
    })
}

/// `$NAME` if it is an absolute path, as the XDG rules want, else `below` the home folder.
fn xdg(env: &Environment, name: &str, below: &str) -> Result<PathBuf, Reason> {
    match env.get(name).map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(path) => Ok(path),
        None => Ok(home(env)?.join(below)),
    }
}

/// The data folder by default.
pub(super) fn data_dir(env: &Environment) -> Result<PathBuf, Reason> {
    Ok(xdg(env, "XDG_DATA_HOME", ".local/share")?.join("dvp"))
}

/// The configuration file by default. Without a home folder there is none.
pub(super) fn config_file(env: &Environment) -> Result<PathBuf, Reason> {
    match xdg(env, "XDG_CONFIG_HOME", ".config") {
        Ok(folder) => Ok(folder.join("dvp/config.toml")),
        Err(_) => Ok(PathBuf::from("/etc/dvp/config.toml")),
    }
}

/// The longest folder that ssh's sockets may lie in: it adds a name of ours and one of its own.
const LONGEST_SSH: usize = 70;

/// The socket of the engine on `data_dir`.
pub(super) fn socket(data_dir: &Path, env: &Environment) -> PathBuf {
    short(data_dir, env, "engine.sock", ".sock", LONGEST_SOCKET)
}

/// The folder of the sockets of connections to other machines.
pub(super) fn ssh_sockets(data_dir: &Path, env: &Environment) -> PathBuf {
    short(data_dir, env, "ssh", ".ssh", LONGEST_SSH)
}

/// `name` in the data folder, or under a hash in the runtime folder where that path would be too long.
fn short(data_dir: &Path, env: &Environment, name: &str, suffix: &str, longest: usize) -> PathBuf {
    let inside = data_dir.join(name);
    if inside.as_os_str().len() <= longest {
        return inside;
    }
    // The same folder has the same socket, whichever way it is named.
    let folder = std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let digest = Sha256::digest(folder.as_os_str().as_bytes());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = match env.get("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(folder) if folder.is_absolute() && folder.as_os_str().len() < 40 => folder.join("dvp"),
        _ => PathBuf::from(format!("/tmp/dvp-{}", rustix::process::getuid().as_raw())),
    };
    folder.join(format!("{hash}{suffix}"))
}

/// `name` in this program's folder (or, for test programs, in the folder above), else in PATH.
pub(super) fn beside_this_program(name: &str) -> PathBuf {
    let own = std::env::current_exe().ok();
    let folders = own.iter().flat_map(|own| own.ancestors().skip(1).take(2));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| PathBuf::from(name))
}

/// A path with a folder in it from the root on; a bare name (to be looked for) as it is.
pub(super) fn absolute(path: PathBuf) -> PathBuf {
    if path.components().count() < 2 && !path.has_root() {
        return path;
    }
    std::path::absolute(&path).unwrap_or(path)
}

/// The program's file: itself where it has a folder, else the first in `search_path`.
pub(super) fn find(program: &Path, search_path: &OsStr) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    if program.is_absolute() {
        return Some(program.to_owned()).filter(runs);
    }
    std::env::split_paths(search_path).map(|folder| folder.join(program)).find(runs)
}
