//! Tests of the door: what is taken, what is refused, and that nothing is left unsaid.

use proptest::prelude::*;

use super::*;
use crate::spec::codec::{self, CODECS, Facts};

fn text(tasks: &[&str], set: &[(&str, &str)]) -> SpecText {
    SpecText {
        tasks: tasks.iter().map(|&task| task.to_owned()).collect(),
        set: set.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

fn good(tasks: &[&str], set: &[(&str, &str)], extension: Option<&str>) -> Spec {
    resolve(&text(tasks, set), extension).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn wrong(tasks: &[&str], set: &[(&str, &str)], extension: Option<&str>) -> Vec<String> {
    match resolve(&text(tasks, set), extension) {
        Ok(spec) => panic!("taken as {spec:?}"),
        Err(wrong) => wrong.into_iter().map(|reason| reason.text).collect(),
    }
}

#[test]
fn an_empty_chain_converts() {
    let spec = good(&[], &[], None);
    assert_eq!(spec, good(&["convert"], &[], Some("mp4")));
    assert_eq!(spec.container, Container::Mp4);
    assert_eq!(spec.audio, AudioChoice::Auto);
    assert_eq!(
        spec.encode,
        Encode { codec: Codec::H264, preset: "medium".into(), crf_milli: 23_000, pixels: None }
    );
    assert!(spec.steps.is_empty());
    assert_eq!(good(&[], &[("convert.codec", "ffv1")], None).container, Container::Mkv);
    assert_eq!(good(&[], &[], Some("MKV")).container, Container::Mkv);
}

#[test]
fn a_chain_is_one_pass_in_its_order() {
    let spec = good(
        &["cut", "resize", "filter", "compress"],
        &[
            ("cut.start", "1.5"),
            ("cut.end", "4"),
            ("resize.height", "360"),
            ("filter.preset", "sharpen"),
            ("plan.chunk_frames", "20"),
        ],
        Some("mkv"),
    );
    assert_eq!(spec.steps[0], Step::Cut { start_us: 1_500_000, end_us: Some(4_000_000) });
    assert_eq!(spec.steps[1], Step::Resize { width: None, height: Some(360) });
    assert!(matches!(&spec.steps[2], Step::Filter { graph } if graph.starts_with("unsharp")));
    assert_eq!(spec.encode.crf_milli, 28_000);
    assert_eq!(spec.plan.chunk_frames, Some(20));
}

#[test]
fn every_error_is_named_at_once() {
    let all = wrong(
        &["cut", "rezise", "filter", "cut"],
        &[
            ("cut.start", "5"),
            ("cut.end", "2"),
            ("resize.width", "640"),
            ("convert.crf", "20"),
            ("filter.graph", "movie=x"),
            ("filter.prset", "blur"),
            ("plan.chunk_frames", "0"),
        ],
        Some("avi"),
    );
    let has = |part: &str| assert!(all.iter().any(|text| text.contains(part)), "{part}: {all:#?}");
    has("did you mean 'resize'");
    has("the task cut is in the chain twice");
    has("cut.start 5 is not before cut.end 2");
    has("resize.width is set, but resize is not in the chain");
    has("convert.crf is set, but convert is not in the chain");
    has("movie is not allowed");
    has("did you mean 'preset'");
    has("plan.chunk_frames is '0'");
    has("'.avi'");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let one = |tasks: &[&str], set: &[(&str, &str)], extension: Option<&str>, part: &str| {
        let all = wrong(tasks, set, extension);
        assert!(all.len() == 1 && all[0].contains(part), "{part}: {all:#?}");
    };
    one(&["convert"], &[("convert.codec", "ffv1")], Some("mp4"), "ffv1 does not go into mp4");
    one(
        &["convert"],
        &[("convert.codec", "ffv1"), ("convert.crf", "3")],
        Some("mkv"),
        "means nothing to ffv1",
    );
    one(
        &["convert", "compress"],
        &[("convert.crf", "20")],
        None,
        "convert.crf and the task compress",
    );
    one(
        &["convert", "compress"],
        &[("convert.codec", "ffv1")],
        None,
        "compress needs a codec with a crf",
    );
    one(
        &["convert", "cut"],
        &[("convert.audio", "copy"), ("cut.end", "2")],
        None,
        "can't be cut to the sample",
    );
    one(&["convert"], &[("convert.audio", "flac")], None, "flac sound");
    one(&["convert"], &[("convert.container", "mkv")], Some("mp4"), "ends in .mp4");
    one(&["resize"], &[], None, "resize needs a size");
    one(&["resize"], &[("resize.width", "641")], None, "even sides, take 642");
    one(&["cut"], &[], None, "set cut.start, cut.end");
    one(&["cut"], &[("cut.start", "2"), ("cut.end", "0:02")], None, "is not before");
    one(&["filter"], &[], None, "filter.preset (grayscale");
    one(&["filter"], &[("filter.preset", "blur"), ("filter.graph", "hflip")], None, "both set");
    one(&["filter", "filter"], &[("filter.preset", "blur")], None, "one filter.graph");
    one(&[], &[("resize.width", "640")], None, "resize is not in the chain");
    one(&["plan"], &[], None, "'plan' is no task");
    one(&["convert"], &[("convert.crf", "nan")], None, "0 to 63");
}

#[test]
fn one_key_can_be_checked_while_it_is_typed() {
    assert!(check_param("cut.start", "0:01:30").is_ok());
    assert!(check_param("cut.start", "0:01:").is_err());
    assert!(check_param("filter.graph", "hflip,").is_err());
    assert!(check_param("filter.graph", "hflip").is_ok());
    assert!(check_param("no.such", "1").is_err());
}

/// The choice of `convert.pixels` with the most in it that a codec takes.
fn deepest(facts: &Facts) -> &'static str {
    let takes = |choice: &&&str| {
        let encode = Encode {
            codec: facts.codec,
            preset: facts.presets.last().map_or("", |last| last).to_owned(),
            crf_milli: 0,
            pixels: Some((**choice).to_string()),
        };
        !encode.formats().is_empty()
    };
    codec::PIXEL_CHOICES.iter().skip(1).rfind(takes).expect("it takes one of them")
}

#[test]
fn settings_that_a_codec_does_not_have_are_refused() {
    let one = |set: &[(&str, &str)], part: &str| {
        let all = wrong(&["convert"], set, None);
        assert!(all.len() == 1 && all[0].contains(part), "{part}: {all:#?}");
    };
    one(&[("convert.codec", "prores"), ("convert.crf", "3")], "whose preset is its quality");
    one(&[("convert.codec", "prores"), ("convert.preset", "fast")], "prores has proxy, lt");
    one(&[("convert.codec", "mjpeg"), ("convert.preset", "fast")], "means nothing to mjpeg");
    one(&[("convert.codec", "mjpeg"), ("convert.crf", "40")], "for mjpeg it goes from 2 to 31");
    one(&[("convert.preset", "hq")], "h264 has ultrafast");
    one(&[("convert.crf", "52")], "for h264 it goes from 0 to 51");
    one(&[("convert.codec", "prores"), ("convert.pixels", "yuv420p")], "prores takes yuv422p10le");
    one(&[("convert.codec", "ffv1"), ("plan.threads_per_chunk", "2")], "1 thread at most");
    let prores = good(&["convert"], &[("convert.codec", "prores")], None);
    assert_eq!((prores.container, prores.encode.preset.as_str()), (Container::Mov, "hq"));
    let hevc = good(&["compress", "convert"], &[("convert.codec", "hevc")], None);
    assert_eq!(hevc.encode.crf_milli, 32_000);
}

proptest! {
    #[test]
    fn a_spec_survives_its_text(
        cut in prop::option::of((0i64..5_000_000, prop::option::of(1i64..5_000_000))),
        resize in prop::option::of((8u32..400, prop::option::of(8u32..400))),
        filter in prop::option::of(0usize..6),
        codec in 0usize..CODECS.len(),
        crf in 2u32..31,
        deep: bool,
        chunk_frames in prop::option::of(1u32..500),
    ) {
        let mut steps = Vec::new();
        if let Some((start_us, length)) = cut {
            steps.push(Step::Cut { start_us, end_us: length.map(|length| start_us + length) });
        }
        if let Some((width, height)) = resize {
            steps.push(Step::Resize { width: Some(width * 2), height: height.map(|side| side * 2) });
        }
        if let Some(at) = filter {
            steps.push(Step::Filter { graph: preset::graph(preset::NAMES[at]).unwrap().to_owned() });
        }
        let spec = Spec {
            steps,
            container: CODECS[codec].containers[0],
            encode: Encode {
                codec: CODECS[codec].codec,
                preset: CODECS[codec].presets.last().map_or("", |last| last).to_owned(),
                crf_milli: if CODECS[codec].quality.is_some() { crf * 1000 } else { 0 },
                pixels: deep.then(|| deepest(&CODECS[codec]).to_owned()),
            },
            audio: AudioChoice::Aac,
            plan: PlanOptions { chunk_frames, threads_per_chunk: Some(CODECS[codec].threads) },
            tolerant: deep,
        };
        prop_assert_eq!(resolve(&spec_text(&spec), None), Ok(spec));
    }

    #[test]
    fn nothing_typed_panics(
        tasks in prop::collection::vec("(cut|resize|filter|compress|convert|\\PC{0,8})", 0..4),
        set in prop::collection::btree_map(
            "(cut\\.start|resize\\.width|filter\\.graph|plan\\.chunk_frames|\\PC{0,8})", "\\PC{0,12}", 0..5),
        extension in prop::option::of("\\PC{0,5}"),
    ) {
        if let Err(wrong) = resolve(&SpecText { tasks, set }, extension.as_deref()) {
            prop_assert!(!wrong.is_empty());
            prop_assert!(wrong.iter().all(|reason| !reason.text.chars().any(char::is_control)));
        }
    }
}
