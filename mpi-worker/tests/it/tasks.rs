//! Every task and preset through real ranks, against one ffmpeg process doing the same.

use std::fs;
use std::path::{Path, PathBuf};

use dvp_model::error::{Kind, Reason};
use dvp_model::spec::{Step, preset};
use dvp_model::wire::worker::PlanRequest;
use tempfile::TempDir;
use testbed::clip::{Clip, read_bar_codes};
use testbed::drive::Drive;
use testbed::mpi;
use testbed::reference::{self, assert_same_frames, frames, probe, ssim, whole};

/// A folder with a clip of 48 frames in it, 2 s long.
fn clip() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mp4").frames(48).make(folder.path());
    (folder, clip)
}

/// Drives losslessly on 3 ranks; the output.
fn lossless(input: &Path, tasks: &[&str], set: &[(&str, &str)]) -> PathBuf {
    let output = input.with_extension("ours.mkv");
    let mut all = vec![("convert.codec", "ffv1"), ("plan.chunk_frames", "13")];
    all.extend_from_slice(set);
    let mut drive = Drive::new(input, &output, 3, &all);
    drive.spec.tasks = tasks.iter().chain(&["convert"]).map(|&task| task.to_owned()).collect();
    drive.run().unwrap_or_else(|error| panic!("{tasks:?} {set:?}: {error:#}"));
    output
}

/// Asserts that a chain gives the pictures that ffmpeg gives with `graph`.
fn assert_as_ffmpeg(input: &Path, tasks: &[&str], set: &[(&str, &str)], graph: &str) {
    let ours = lossless(input, tasks, set);
    let reference = input.with_extension("reference.mkv");
    whole(input, &reference, graph, "none");
    let what = format!("{tasks:?} {set:?}");
    assert_same_frames(&frames(&ours, "0:v:0"), &frames(&reference, "0:v:0"), &what);
}

#[test]
fn every_preset_is_its_graph() {
    let (_folder, clip) = clip();
    for name in preset::NAMES {
        let graph = preset::graph(name).expect("a preset");
        assert_as_ffmpeg(&clip, &["filter"], &[("filter.preset", name)], graph);
    }
}

#[test]
fn graphs_that_change_size_or_swallow_a_frame() {
    let (_folder, clip) = clip();
    for graph in ["crop=200:100:40:20,transpose=clock,hflip", "tblend=all_mode=average"] {
        assert_as_ffmpeg(&clip, &["filter"], &[("filter.graph", graph)], graph);
    }
}

#[test]
fn resize_is_scale() {
    let (_folder, clip) = clip();
    assert_as_ffmpeg(&clip, &["resize"], &[("resize.height", "90")], "scale=-2:90");
    let both = [("resize.width", "200"), ("resize.height", "200")];
    assert_as_ffmpeg(&clip, &["resize"], &both, "scale=200:200");
}

#[test]
fn a_chain_is_done_in_its_order() {
    let (_folder, clip) = clip();
    let set = [
        ("cut.start", "0.5"),
        ("cut.end", "1.75"),
        ("resize.height", "90"),
        ("filter.graph", "tmix=frames=3,hflip"),
    ];
    // Behind a cut, filters see what the cut left, counted from its start.
    let cut = "trim=start=0.5:end=1.75,setpts=PTS-STARTPTS";
    let graph = format!("{cut},scale=-2:90,tmix=frames=3,hflip");
    assert_as_ffmpeg(&clip, &["cut", "resize", "filter"], &set, &graph);
    let graph = format!("tmix=frames=3,hflip,{cut},scale=-2:90");
    assert_as_ffmpeg(&clip, &["filter", "cut", "resize"], &set, &graph);
}

#[test]
fn compress_is_x264_medium_at_its_crf() {
    let (folder, clip) = clip();
    let ours = folder.path().join("ours.mp4");
    let set = [("compress.crf", "30"), ("plan.chunk_frames", "24")];
    Drive::new(&clip, &ours, 2, &set).run().expect("compressed");
    assert_eq!(read_bar_codes(&ours), (0..48).collect::<Vec<_>>());
    let reference = folder.path().join("reference.mp4");
    let options =
        "-fps_mode passthrough -c:v libx264 -preset medium -crf 30 -g 24 -pix_fmt yuv420p";
    let mut arguments = vec!["-i".into(), clip.clone().into_os_string()];
    arguments.extend(options.split_whitespace().map(Into::into));
    arguments.push(reference.clone().into_os_string());
    reference::ffmpeg(arguments);
    assert_eq!(probe(&ours, "v:0", "stream=codec_name,width,height"), "h264,320,180");
    let (ours_ssim, wanted) = (ssim(&ours, &clip), ssim(&reference, &clip));
    assert!(ours_ssim >= wanted - 0.002, "SSIM {ours_ssim}, ffmpeg's {wanted}");
    let size = |path: &Path| fs::metadata(path).expect("a file").len() as f64;
    let (ours_size, wanted) = (size(&ours), size(&reference));
    assert!(ours_size <= wanted * 1.03, "{ours_size} bytes, ffmpeg's {wanted}");
}

#[test]
fn graphs_that_do_not_go_with_the_film_are_refused() {
    let (_folder, clip) = clip();
    for (graph, word) in [
        ("crop=640:100", "crop can't take"),
        ("pad=100:100", "pad can't put"),
        ("boxblur=luma_radius=64:chroma_radius=64", "boxblur"),
    ] {
        let output = clip.with_extension("refused.mp4");
        let refused = Drive::new(&clip, &output, 1, &[("filter.graph", graph)]).plan();
        let error = refused.expect_err("it does not go with this film");
        let reason = error.downcast_ref::<Reason>().expect("a typed reason");
        assert_eq!(reason.kind, Kind::Spec);
        assert!(reason.text.contains(word), "{reason}");
    }
    // What no door has checked is not run.
    let mut plan = Drive::new(&clip, &clip.with_extension("x.mp4"), 1, &[]).plan().expect("a plan");
    plan.spec.steps = vec![Step::Filter { graph: "movie=/etc/passwd".to_owned() }];
    let request = PlanRequest { input: clip.into(), spec: plan.spec };
    let error = mpi::plan(&request).expect_err("refused");
    assert!(error.to_string().contains("not allowed"), "{error}");
}
