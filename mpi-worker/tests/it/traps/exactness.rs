//! Rows about where decoding may start, and what filters need around a window.

use testbed::clip::Clip;

use super::{exact, folder};

#[test]
fn open_gop() {
    let folder = folder();
    let x265 = "libx265 -preset ultrafast -x265-params \
                open-gop=1:keyint=24:min-keyint=24:bframes=4:scenecut=0:log-level=none";
    let x264 = "libx264 -preset veryfast -bf 3 -x264-params open-gop=1:keyint=24:scenecut=0";
    for (name, video) in [("x265.mkv", x265), ("x264.mp4", x264)] {
        let input = Clip::new(name).video(video).make(folder.path());
        let (_, outcome) = exact(&input, 17, &[], "");
        assert_eq!((outcome.frames, outcome.chunks), (96, 6), "{name}");
    }
}

#[test]
fn few_keyframes() {
    let folder = folder();
    let video = "libx264 -preset veryfast -bf 2 -g 9999 -keyint_min 9999 -sc_threshold 0";
    let input = Clip::new("one-key.mp4").frames(480).video(video).make(folder.path());
    let (_, outcome) = exact(&input, 60, &[], "");
    assert_eq!((outcome.frames, outcome.chunks), (480, 8));
}

#[test]
fn false_key_flags() {
    let folder = folder();
    let video = "libx264 -preset veryfast -x264-params intra-refresh=1:keyint=24:bframes=2";
    for name in ["refresh.mkv", "refresh.mp4"] {
        let input = Clip::new(name).frames(144).video(video).make(folder.path());
        let (_, outcome) = exact(&input, 23, &[], "");
        assert_eq!((outcome.frames, outcome.chunks), (144, 6), "{name}");
    }
}

#[test]
fn temporal_filters() {
    let folder = folder();
    let input = Clip::new("temporal.mp4").frames(64).make(folder.path());
    for graph in [
        "tmix=frames=3",
        "atadenoise=s=9",
        "yadif=mode=0",
        "fade=t=in:st=0.5:d=1",
        "fade=t=out:st=1:d=1.5",
    ] {
        let (_, cut) = exact(&input, 8, &[("filter.graph", graph)], graph);
        assert_eq!(cut.chunks, 8, "{graph}");
    }
}

#[test]
fn recursive_filters_run_in_one_chunk() {
    let folder = folder();
    let input = Clip::new("recursive.mp4").frames(64).make(folder.path());
    let (_, outcome) = exact(&input, 8, &[("filter.graph", "hqdn3d")], "hqdn3d");
    assert_eq!(outcome.chunks, 1);
}

#[test]
fn tiny_odd_sizes() {
    let folder = folder();
    let clip = Clip::new("tiny.mkv").frames(48).filters("scale=111:77,format=yuv420p");
    let input = clip.video("ffv1").make(folder.path());
    exact(&input, 13, &[], "");
}

#[test]
fn odd_sizes() {
    let folder = folder();
    for (width, height) in [(853, 480), (641, 361)] {
        let clip = Clip::new(&format!("odd{width}.mkv")).size(width, height).frames(36);
        let input = clip.video("ffv1").filters("format=yuv420p").make(folder.path());
        exact(&input, 12, &[], "");
        exact(&input, 12, &[("resize.height", "240")], "scale=-2:240");
        let (output, _) = super::driven(&input, "mp4", &[("plan.chunk_frames", "12")]);
        let shown =
            testbed::reference::probe(&output, "v:0", "stream=width,height,sample_aspect_ratio");
        let fields: Vec<&str> = shown.split(',').collect();
        let number = |text: &str| text.parse::<f64>().expect("a number");
        let sample = fields.get(2).and_then(|text| text.split_once(':'));
        let sample = sample.map_or(1.0, |(num, den)| number(num) / number(den));
        let aspect = number(fields[0]) / number(fields[1]) * sample;
        let wanted = f64::from(width) / f64::from(height);
        assert!((aspect / wanted - 1.0).abs() < 0.005, "{shown}: aspect {aspect}, wants {wanted}");
    }
}
