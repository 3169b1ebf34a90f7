//! The data folder: made when missing, refused where a database is not safe.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use dvp_model::error::Reason;
use dvp_model::path::printable;

/// File systems whose locks or memory maps don't hold between machines: `statfs` number and name.
const SHARED: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x00C3_6400, "CephFS"),
    (0x1983_0326, "BeeGFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
];

/// Makes the folder (for its owner only) when it is missing, and checks that it may hold data.
///
/// # Errors
/// Where it is no folder, can't be made, or lies on a file system that machines share.
pub fn prepare(folder: &Path) -> Result<(), Reason> {
    let at = printable(&folder.to_string_lossy());
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    if let Err(error) = made {
        return Err(Reason::machine(match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                format!("the data folder {at} is not a folder: give another --data-dir")
            }
            _ => format!("cannot make the data folder {at} ({error}): give another --data-dir"),
        }));
    }
    let kind = rustix::fs::statfs(folder).map_err(|error| {
        Reason::machine(format!("cannot look at the data folder {at}: {error}"))
    })?;
    match shared(kind.f_type as u64) {
        Some(name) => Err(Reason::machine(format!(
            "the data folder {at} lies on {name}, where a database is not safe: give a --data-dir \
             on a local disk"
        ))),
        None => Ok(()),
    }
}

/// The name of a file system that is refused. Only the lower 32 bits count: some are negative.
fn shared(magic: u64) -> Option<&'static str> {
    let magic = magic & 0xFFFF_FFFF;
    SHARED.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_file_systems_are_told_from_local_ones() {
        assert_eq!(shared(0x6969), Some("NFS"));
        assert_eq!(shared(0xFFFF_FFFF_FF53_4D42), Some("CIFS"));
        for local in [0xEF53, 0x0102_1994, 0x794C_7630, 0x9123_683E, 0x5846_5342] {
            assert_eq!(shared(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_new_folder_is_its_owners_alone_and_a_file_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        prepare(&folder).unwrap();
        prepare(&folder).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        for wrong in [file.clone(), file.join("below")] {
            let reason = prepare(&wrong).unwrap_err();
            assert!(reason.text.contains("--data-dir"), "{reason}");
        }
    }
}
