//! What every place for objects must do: one suite, run on a folder here and on S3 servers in `servers`.

mod other;
mod servers;
mod suite;

use dvp_engine::objects::Objects;

#[tokio::test]
async fn a_folder_holds_objects() {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::open(dir.path().join("objects"), None).unwrap();
    suite::objects(&objects).await;
}
