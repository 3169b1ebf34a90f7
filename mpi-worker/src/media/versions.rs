//! What works here, and a fingerprint over all of it that decides bits: this program, libav and the
//! encoders below it, by the content of the files that are loaded, and the CPU's instruction sets.
//!
//! Unsafe because libav is C. Sound because one function without arguments is called.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dvp_model::wire::worker::{PROTOCOL, Versions};

/// Libraries whose bytes decide the bits of an output.
const DECIDING: &[&str] =
    &["libav", "libsw", "libx264", "libx265", "libSvtAv1Enc", "libdav1d", "libvpx", "libpostproc"];

/// What works here. Read once: the files of a running program do not change under it.
pub fn versions() -> Versions {
    static FOUND: OnceLock<Versions> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> Versions {
    let program = std::env::current_exe().ok().and_then(|path| hash(&path)).unwrap_or_default();
    let build = format!("{}+{}", env!("CARGO_PKG_VERSION"), &program[..program.len().min(16)]);
    let mut libraries = BTreeMap::new();
    let mut hasher = blake3::Hasher::new();
    hasher.update(program.as_bytes());
    // Some filters and the resampler choose other arithmetic on another CPU, and other bits with it.
    // SAFETY: reads what libavutil found out about this CPU.
    hasher.update(&unsafe { ffmpeg_next::ffi::av_get_cpu_flags() }.to_le_bytes());
    for path in loaded() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if DECIDING.iter().any(|deciding| name.starts_with(deciding)) {
            let found = hash(&path).unwrap_or_default();
            hasher.update(name.as_bytes());
            hasher.update(found.as_bytes());
            let (library, version) = name.split_once(".so.").unwrap_or((&name, ""));
            libraries.insert(library.to_owned(), version.to_owned());
        }
    }
    let fingerprint = hasher.finalize().to_hex()[..32].to_owned();
    Versions { protocol: PROTOCOL, build, fingerprint, libraries }
}

/// Shared libraries of this process, sorted.
fn loaded() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.to_string_lossy().contains(".so")).collect();
    paths.sort();
    paths.dedup();
    paths
}

fn hash(path: &Path) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path).ok()?, &mut hasher).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}
