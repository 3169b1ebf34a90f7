//! Each codec in its containers on 1, 2, 3 and 6 ranks: one file, with every picture in it.

use testbed::clip::{Clip, read_bar_codes};
use testbed::drive::Drive;
use testbed::reference::{probe, ssim};

/// Asserts the same bytes on 1, 2, 3 and 6 ranks, every picture once, like the film's, and what a probe says
/// of the pictures.
fn same_on_all(name: &str, set: &[(&str, &str)], pixels: &str, probed: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mkv").size(208, 64).frames(42).audio("aac").video("ffv1");
    let clip = clip.filters(&format!("format={pixels}")).make(folder.path());
    let mut all = vec![("plan.chunk_frames", "7")];
    all.extend_from_slice(set);
    let on = |ranks: u32| {
        let output = folder.path().join(format!("{ranks}-{name}"));
        let outcome = Drive::new(&clip, &output, ranks, &all)
            .run()
            .unwrap_or_else(|error| panic!("{set:?} in {name} on {ranks} ranks: {error:#}"));
        (output, outcome)
    };
    let (output, alone) = on(1);
    assert_eq!((alone.frames, alone.chunks), (42, 6));
    for ranks in [2, 3, 6] {
        assert_eq!(on(ranks).1.sha256, alone.sha256, "{set:?} in {name} on {ranks} ranks");
    }
    let found = probe(&output, "v:0", "stream=codec_name,profile,codec_tag_string,pix_fmt");
    assert_eq!(found, probed);
    assert_eq!(read_bar_codes(&output), (0..42).collect::<Vec<_>>(), "{set:?} in {name}");
    let likeness = ssim(&output, &clip);
    assert!(likeness > 0.9, "{set:?} in {name}: {likeness}");
}

#[test]
fn hevc_in_mp4() {
    let set = [("convert.codec", "hevc"), ("convert.preset", "fast")];
    same_on_all("out.mp4", &set, "yuv420p", "hevc,Main,hvc1,yuv420p");
}

#[test]
fn hevc_of_10_bits_in_mkv() {
    let set = [("convert.codec", "hevc"), ("convert.preset", "ultrafast")];
    same_on_all("out.mkv", &set, "yuv422p10le", "hevc,Rext,[0][0][0][0],yuv422p10le");
}

#[test]
fn h264_in_mov() {
    let set = [("convert.preset", "veryfast"), ("convert.pixels", "yuv420p")];
    same_on_all("out.mov", &set, "yuv444p", "h264,High,avc1,yuv420p");
}

#[test]
fn av1_in_mp4() {
    let set = [("convert.codec", "av1"), ("convert.preset", "12")];
    same_on_all("out.mp4", &set, "yuv420p", "av1,Main,av01,yuv420p");
}

#[test]
fn av1_of_10_bits_in_mkv() {
    let set = [("convert.codec", "av1"), ("convert.preset", "10"), ("convert.crf", "30")];
    same_on_all("out.mkv", &set, "yuv420p10le", "av1,Main,[0][0][0][0],yuv420p10le");
}

#[test]
fn vp9_in_mkv() {
    let set = [("convert.codec", "vp9"), ("convert.preset", "8")];
    same_on_all("out.mkv", &set, "yuv444p10le", "vp9,Profile 3,[0][0][0][0],yuv444p10le");
}

#[test]
fn prores_in_mov() {
    let set = [("convert.codec", "prores")];
    same_on_all("out.mov", &set, "yuv422p10le", "prores,HQ,apch,yuv422p10le");
}

#[test]
fn mjpeg_in_mkv() {
    let set = [("convert.codec", "mjpeg"), ("convert.crf", "2.5")];
    same_on_all("out.mkv", &set, "yuvj422p", "mjpeg,Baseline,[0][0][0][0],yuvj422p");
}
