//! Whole jobs through the engine with real ranks: undisturbed, killed at every step, cancelled, held. The
//! right bytes are those of an undisturbed run, and its frames are those of one ffmpeg process.

mod bench;
mod harm;
mod killed;
mod servers;

use dvp_engine::jobs::submit;
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
