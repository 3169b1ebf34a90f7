//! Tests of the repository itself and of the front door `./dvp`.

mod front_door;
mod tidy;

use std::path::PathBuf;

/// The repository's root folder.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("testbed lies two folders down").to_owned()
}
