//! A chunk that lies: an object of the right length, with right timestamps, of other pictures.

use std::path::PathBuf;

use dvp_model::FilePath;
use dvp_model::spec::{SpecText, resolve};
use dvp_model::wire::worker::PlanRequest;
use testbed::clip::Clip;

use super::*;

/// A clip whose pictures went through `filters`, and the plan that encodes it in chunks of 12 frames.
fn planned(folder: &Path, name: &str, filters: &str, codec: &str) -> Plan {
    let clip: PathBuf =
        Clip::new(&format!("{name}-{codec}.mp4")).frames(24).filters(filters).make(folder);
    let set = [("convert.codec", codec), ("plan.chunk_frames", "12")];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let text = SpecText { tasks: Vec::new(), set };
    let spec = resolve(&text, Some("mkv")).expect("a spec");
    let request = PlanRequest { input: FilePath::from(clip), spec };
    crate::media::plan(&request, &mut |_, _| {}).expect("a plan")
}

fn made(plan: &Plan, index: u32, dest: &Path) -> Made {
    let index = ChunkIndex(index);
    let feed = Feed::of(plan, plan.chunks[index.0 as usize]);
    let never = AtomicBool::new(false);
    make(plan, index, &feed, dest, &mut |_| {}, &never).expect("an object")
}

#[test]
fn a_chunk_that_lies_is_caught() {
    crate::media::init();
    let folder = tempfile::tempdir().expect("a folder");
    for codec in ["h264", "ffv1"] {
        // It grows lighter: half a second on, every picture is far from its likeness.
        let truth = planned(folder.path(), "truth", "fade=t=in:st=0:d=1", codec);
        let black = "drawbox=x=0:y=0:w=iw:h=ih:color=black:t=fill";
        let lie = planned(folder.path(), "lie", black, codec);
        let (dest, other) = (folder.path().join("object"), folder.path().join("other"));
        let honest = made(&truth, 0, &dest);
        let check = |dest: &Path, made: Made, evidence: &Evidence, frames| {
            proof::check(dest, &made.sha256, made.decoder, evidence, frames)
        };
        let evidence = honest.evidence;
        // Black pictures of the right number and times.
        let found = check(&other, made(&lie, 0, &other), &evidence, 12);
        assert!(found.is_err_and(|what| what.contains("another picture")), "{codec}: black");
        // The film's own pictures of another place.
        let found = check(&other, made(&truth, 1, &other), &evidence, 12);
        assert!(found.is_err_and(|what| what.contains("another picture")), "{codec}: shifted");
        // The right pictures, one too few.
        let found = check(&dest, made(&truth, 0, &dest), &evidence, 13);
        assert!(found.is_err_and(|what| what.contains("12 frames of 13")), "{codec}: short");
        // And nothing else is called a lie.
        assert_eq!(check(&dest, made(&truth, 0, &dest), &evidence, 12), Ok(()), "{codec}");
    }
}
