//! Whole jobs through the engine with real ranks: undisturbed, killed at every step, cancelled, held. The
//! right bytes are those of an undisturbed run, and its frames are those of one ffmpeg process.

pub mod bench;
mod harm;
mod killed;
mod servers;

use dvp_engine::jobs::{command, submit};
use dvp_engine::{Engine, Settings};
use dvp_model::job::{ChunkState, StateName, Submission};
use dvp_model::manifest::Manifest;
use testbed::reference;

use bench::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_whole() {
    let bench = Bench::new();
    let engine = bench.engine().await;
    let store = engine.store();
    let id = bench.submit(store, "whole.mkv", LOSSLESS).await;
    let job = end(store, id, StateName::Completed).await;
    let output = job.output.clone().unwrap();
    assert_eq!((output.frames, job.chunks_done, job.attempts), (96, 8, 0));

    let ours = bench.output("whole.mkv");
    let theirs = bench.output("reference.mkv");
    reference::whole(&bench.input, &theirs, "", "flac");
    let (ours_seen, theirs_seen) =
        (reference::frames(&ours, "0:v:0"), reference::frames(&theirs, "0:v:0"));
    assert_eq!(ours_seen.hashes(), theirs_seen.hashes());
    assert_eq!(ours_seen.micros(), theirs_seen.micros());

    let manifest = std::fs::read(bench.output("whole.mkv.dvp.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    assert_eq!((manifest.output, manifest.chunks.len()), (output, 8));
    let detail = engine.job_detail(id).await.unwrap();
    assert!(detail.chunks.iter().all(|chunk| chunk.state == ChunkState::Done));
    assert_accepted_once(store, &detail).await;
    bench.assert_clean(id);
    engine.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_ranks_makes_the_same_bytes() {
    let bench = Bench::new();
    let engine = bench.engine().await;
    let store = engine.store();
    let right = bench.undisturbed("ranks.mp4", &[]).await;
    for ranks in [2, 3] {
        let name = format!("ranks-{ranks}.mp4");
        let submission = Submission { ranks: Some(ranks), ..bench.submission(&name, &[]) };
        let id = submit::submit(store, submission).await.unwrap().id;
        let job = end(store, id, StateName::Completed).await;
        assert_eq!((job.ranks, job.output.unwrap().sha256), (ranks, right.clone()));
        bench.assert_clean(id);
    }
    engine.shutdown(LIMIT).await;
}

/// A job that found one slot free takes the others when they are: the ranks finish what they have, and
/// nothing is done twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_grows_into_free_slots() {
    let bench = Bench::slow();
    let engine = Engine::start(Settings { slots: 3, ..bench.settings() }).await.unwrap();
    let store = engine.store();
    let slow = [("convert.preset", "veryslow"), ("plan.chunk_frames", "3")];
    let two = Submission { ranks: Some(2), ..bench.submission("two.mp4", &slow) };
    let two = submit::submit(store, two).await.unwrap().id;
    until(store, two, "a launch", |job| (job.ranks == 2).then_some(())).await;
    let one = bench.submit(store, "one.mp4", &slow).await;
    until(store, one, "a launch", |job| (job.ranks == 1).then_some(())).await;
    command::cancel(store, two).await.unwrap();
    let job = end(store, one, StateName::Completed).await;
    let detail = engine.job_detail(one).await.unwrap();
    assert_eq!((job.ranks, job.epoch.0, job.attempts), (3, 1, 0), "{:?}", feed(store, one).await);
    assert!(detail.chunks.iter().all(|chunk| chunk.attempts == 1));
    assert_accepted_once(store, &detail).await;
    bench.assert_clean(one);
    engine.shutdown(LIMIT).await;
}
