//! Tests of the planner.

use super::*;
use crate::error::Kind;
use crate::media::{Audio, Color, Identity, Other, Video};
use crate::spec::codec::{Codec, Encode};
use crate::spec::{Container, PlanOptions};

const MS: Ratio = Ratio::new(1, 1000);

fn color() -> Color {
    let name = || "unknown".to_owned();
    Color { range: name(), primaries: name(), transfer: name(), matrix: name(), chroma: name() }
}

/// A film of 100 frames, 40 ms each, that starts at 80 ms; sound starts at 0.
fn index() -> Index {
    Index {
        identity: Identity {
            path: "/films/a.mkv".into(),
            size: 1,
            mtime_ns: 0,
            ctime_ns: 0,
            inode: 0,
        },
        format: "matroska,webm".to_owned(),
        start_us: 0,
        duration_us: 4_080_000,
        video: Video {
            stream: 0,
            codec: "h264".to_owned(),
            width: 320,
            height: 180,
            pixel_format: "yuv420p".to_owned(),
            time_base: MS,
            frame_rate: Ratio::new(25, 1),
            sample_aspect: Ratio::new(1, 1),
            rotation: 0,
            upright: String::new(),
            color: color(),
            intra_only: false,
            reorder: 2,
            stamps: (0..100).map(|at| 80 + at * 40).collect(),
            last_duration: 40,
            counted: None,
            splices: Vec::new(),
            runs: Vec::new(),
            damage: Vec::new(),
            undecodable: 0,
        },
        audio: vec![Audio {
            stream: 1,
            codec: "vorbis".to_owned(),
            sample_rate: 192_000,
            channels: 2,
            layout: "stereo".to_owned(),
            time_base: MS,
            start: 0,
            parts: Vec::new(),
            language: "deu".to_owned(),
        }],
        left_out: Vec::new(),
        tags: Vec::new(),
        others: Vec::new(),
    }
}

fn spec(steps: Vec<Step>) -> Spec {
    Spec {
        steps,
        container: Container::Mkv,
        encode: Encode {
            codec: Codec::H264,
            preset: "medium".to_owned(),
            crf_milli: 23_000,
            pixels: None,
        },
        audio: AudioChoice::Auto,
        plan: PlanOptions { chunk_frames: Some(10), threads_per_chunk: None },
        tolerant: false,
    }
}

fn planned(index: &Index, spec: &Spec) -> Result<Plan, Reason> {
    let picture = Picture {
        width: 320,
        height: 180,
        format: "yuv420p".to_owned(),
        sample_aspect: Ratio::new(1, 1),
        color: color(),
        interlaced: false,
        beside: Vec::new(),
    };
    let environment =
        Environment { fingerprint: "f".to_owned(), picture, graph: graph(index, spec) };
    make(index, spec, &environment)
}

fn filter(graph: &str) -> Step {
    Step::Filter { graph: filter::check(graph).unwrap().graph }
}

fn cut(start_us: i64, end_us: Option<i64>) -> Step {
    Step::Cut { start_us, end_us }
}

#[test]
fn a_plain_film_keeps_every_frame_and_its_place() {
    let plan = planned(&index(), &spec(vec![])).unwrap();
    assert_eq!((plan.frames(), plan.chunks.len()), (100, 10));
    assert_eq!((plan.video.origin, plan.video.stamps.first()), (0, Some(80)));
    assert!(plan.video.constant_rate);
    assert_eq!(plan.video.reorder, 2);
    // Matroska holds Vorbis.
    assert_eq!(plan.audio[0].codec, "copy");
    assert_eq!(plan.hash(), planned(&index(), &spec(vec![])).unwrap().hash());
}

#[test]
fn a_cut_keeps_what_starts_within_and_moves_the_origin() {
    let plan = planned(&index(), &spec(vec![cut(81_000, Some(200_000))])).unwrap();
    assert_eq!(plan.video.stamps.to_vec(), [120, 160]);
    assert_eq!(plan.video.origin, 81);
    assert_eq!(plan.video.last_duration, 40);
    // What is cut is not copied; 192 kHz is more than AAC takes.
    let audio = &plan.audio[0];
    assert_eq!((audio.codec.as_str(), audio.sample_rate), ("aac", 96_000));
    assert_eq!((audio.origin_us, audio.window), (81_000, Some((81_000, Some(200_000)))));
}

#[test]
fn a_filter_sees_beyond_a_cut_that_comes_later_only() {
    let before = spec(vec![filter("tmix=frames=3"), cut(400_000, Some(800_000))]);
    let plan = planned(&index(), &before).unwrap();
    assert_eq!(plan.video.stamps.first(), Some(400));
    assert_eq!((plan.video.margin, plan.video.around.0.clone()), ((2, 0), vec![320, 360]));
    let after = spec(vec![cut(400_000, Some(800_000)), filter("tmix=frames=3")]);
    let plan = planned(&index(), &after).unwrap();
    assert_eq!(plan.video.around, (vec![], vec![]));
    assert_eq!(plan.video.graph, "setpts=PTS-400,tmix=frames=3");
}

#[test]
fn a_filter_with_a_memory_runs_in_one_chunk_from_the_start() {
    let plan = planned(&index(), &spec(vec![filter("hqdn3d"), cut(400_000, None)])).unwrap();
    assert_eq!(plan.chunks.len(), 1);
    assert_eq!(plan.video.around.0.len(), 8);
    assert!(
        plan.notes.iter().any(|note| note.starts_with("one chunk: hqdn3d")),
        "{:?}",
        plan.notes
    );
}

#[test]
fn a_swallowed_frame_is_missed_only_at_the_films_start() {
    let graph = "tblend=all_mode=average";
    let plan = planned(&index(), &spec(vec![filter(graph)])).unwrap();
    assert_eq!((plan.frames(), plan.video.stamps.first()), (99, Some(120)));
    assert_eq!(plan.video.around.0, [80]);
    let plan = planned(&index(), &spec(vec![filter(graph), cut(400_000, None)])).unwrap();
    assert_eq!(plan.video.stamps.first(), Some(400));
}

#[test]
fn what_does_not_go_is_said() {
    let refused = |index: &Index, spec: &Spec, kind: Kind, words: &str| {
        let reason = planned(index, spec).unwrap_err();
        assert_eq!(reason.kind, kind, "{reason}");
        assert!(reason.text.contains(words), "'{words}' is not in: {reason}");
    };
    refused(&index(), &spec(vec![cut(5_000_000, None)]), Kind::Spec, "past the end");
    refused(&index(), &spec(vec![cut(0, Some(9_000_000))]), Kind::Spec, "past the end");
    refused(&index(), &spec(vec![cut(81_000, Some(82_000))]), Kind::Spec, "no picture");
    let copied = Spec { audio: AudioChoice::Copy, ..spec(vec![cut(0, Some(1_000_000))]) };
    refused(&index(), &copied, Kind::Spec, "use aac or flac");
    let mp4 = Spec { container: Container::Mp4, audio: AudioChoice::Copy, ..spec(vec![]) };
    refused(&index(), &mp4, Kind::Spec, "mp4 can't hold vorbis");
    let mut subtitled = index();
    subtitled.others.push(Other { what: "subtitles, stream 2 (subrip)".to_owned() });
    refused(&subtitled, &spec(vec![]), Kind::Input, "subtitles, stream 2");
}

#[test]
fn counted_pictures_run_in_one_chunk() {
    let mut counted = index();
    counted.video.counted = Some("picture 3 has no time".to_owned());
    counted.video.splices = vec![Splice { from: 480, shift: 600 }];
    let plan = planned(&counted, &spec(vec![filter("tmix=frames=3"), cut(400_000, None)])).unwrap();
    assert_eq!((plan.chunks.len(), plan.video.counted), (1, Some(6)));
    assert_eq!(plan.video.around.0, [320, 360]);
    assert_eq!(plan.splices, [Splice { from: 480_000, shift: 600_000 }]);
    let notes = plan.notes.join("; ");
    assert!(notes.contains("one chunk: picture 3 has no time"), "{notes}");
    assert!(notes.contains("jump at 1.080 s"), "{notes}");
}
