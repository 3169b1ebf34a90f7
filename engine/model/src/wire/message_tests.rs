//! Messages as producers send them: what is taken, what it means, what is refused.

use serde_json::json;

use super::*;
use crate::spec;

const ID: &str = "6f1f2f6e-3f0e-4a55-9d3b-6f6a0f2b7c11";

fn read(task: &str, params: Value) -> Submission {
    let message =
        json!({"job_id": ID, "video_path": "uploads/in.mp4", "task": task, "params": params});
    parse(message.to_string().as_bytes()).unwrap()
}

fn refused(message: Value) -> String {
    parse(message.to_string().as_bytes()).unwrap_err().to_string()
}

fn pairs(submission: &Submission) -> Vec<(&str, &str)> {
    submission.spec.set.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn the_message_of_a_producer() {
    let read = read("resize", json!({"resolution": "720p"}));
    assert_eq!(read.id.unwrap().to_string(), ID);
    assert_eq!(read.input, FilePath::from("s3://uploads/in.mp4"));
    assert_eq!(read.spec.tasks, ["resize"]);
    assert_eq!(pairs(&read), [("resize.height", "720")]);
    assert_eq!((read.output, read.priority), (None, 0));
}

/// Every parameter of a producer resolves to a spec, and means what the table's own name means.
#[test]
fn a_producers_names_are_aliases() {
    let cases = [
        (
            "convert",
            json!({"output_format": "mkv", "codec": "libx264"}),
            "convert",
            vec![("convert.codec", "h264"), ("convert.container", "mkv")],
        ),
        (
            "convert",
            json!({"output_format": ".MP4", "crf": 20, "preset": "fast"}),
            "convert",
            vec![("convert.container", "mp4"), ("convert.crf", "20"), ("convert.preset", "fast")],
        ),
        (
            "resize",
            json!({"width": 1280, "height": "720"}),
            "resize",
            vec![("resize.height", "720"), ("resize.width", "1280")],
        ),
        (
            "resize",
            json!({"resolution": "640x360", "codec": "h264"}),
            "convert resize",
            vec![("convert.codec", "h264"), ("resize.height", "360"), ("resize.width", "640")],
        ),
        (
            "cut",
            json!({"start_time": "00:00:10", "end_time": "00:00:20.5"}),
            "cut",
            vec![("cut.end", "00:00:20.5"), ("cut.start", "00:00:10")],
        ),
        (
            "compress",
            json!({"crf": 30, "preset": "veryfast", "bitrate": null}),
            "convert compress",
            vec![("compress.crf", "30"), ("convert.preset", "veryfast")],
        ),
        (
            "filter",
            json!({"preset": "denoise", "chunk_frames": 100}),
            "filter",
            vec![("filter.preset", "denoise"), ("plan.chunk_frames", "100")],
        ),
        ("filter", json!({"filter.graph": "hflip"}), "filter", vec![("filter.graph", "hflip")]),
    ];
    for (task, params, tasks, set) in cases {
        let read = read(task, params.clone());
        assert_eq!(read.spec.tasks.join(" "), tasks, "{task} {params}");
        assert_eq!(pairs(&read), set, "{task} {params}");
        spec::resolve(&read.spec, None)
            .unwrap_or_else(|wrong| panic!("{task} {params}: {wrong:?}"));
    }
}

#[test]
fn a_chain_is_a_list() {
    let message = json!({"job_id": ID, "video_path": "/films/in.mp4", "task": ["cut", "resize"],
        "params": {"start_time": 1, "height": 360}, "output": "/films/out.mp4", "priority": 5});
    let read = parse(message.to_string().as_bytes()).unwrap();
    assert_eq!(read.spec.tasks, ["cut", "resize"]);
    assert_eq!(pairs(&read), [("cut.start", "1"), ("resize.height", "360")]);
    assert_eq!(read.input, FilePath::from("/films/in.mp4"));
    assert_eq!((read.output, read.priority), (Some(FilePath::from("/films/out.mp4")), 5));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let errors = refused(json!({"job_id": "17", "video_path": "in.mp4", "tasks": "cut",
        "params": {"bitrate": "2M", "nonsense": 1, "crf": [1]}}));
    for part in [
        "job_id '17' is no UUID",
        "video_path 'in.mp4'",
        "no field 'tasks', did you mean 'task'",
        "task is missing",
        "give crf (0 to 51",
        "'nonsense'",
        "'crf' is no text or number",
    ] {
        assert!(errors.contains(part), "{part} is not in: {errors}");
    }
    assert_eq!(errors.lines().count(), 7, "{errors}");
}

#[test]
fn what_is_hostile_is_refused_by_name() {
    let with = |video_path: &str, params: Value| {
        refused(json!({"job_id": ID, "video_path": video_path, "task": "cut", "params": params}))
    };
    let none = || json!({"start_time": 1});
    assert!(with("uploads/../../etc/passwd", none()).contains("holds .."));
    assert!(with("/films/../etc/passwd", none()).contains("holds .."));
    assert!(with("http://host/in.mp4", none()).contains("neither bucket/key"));
    assert!(with("--mca/in.mp4\n", none()).contains("control character"));
    assert!(with("$(id)/in.mp4", none()).contains("neither bucket/key"));
    assert!(with("uploads/in.mp4", json!({"start_time": "1\u{0}"})).contains("control character"));
    assert!(with("uploads/in.mp4", json!({"start_time": "1".repeat(3000)})).contains("2000 are"));
    let twice = with("uploads/in.mp4", json!({"start_time": 1, "cut.start": 2}));
    assert!(twice.contains("cut.start twice"), "{twice}");

    let text = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert!(text(&vec![b'['; 10 << 20]).contains("65536 are the most"));
    assert!(text(&vec![b'['; 60_000]).contains("no JSON"));
    assert!(text(br#"{"job_id": NaN}"#).contains("no JSON"));
    assert!(text(b"\xff\xfe").contains("no JSON"));
    assert!(text(b"[]").contains("no JSON object"));
    assert!(text(b"").contains("no JSON"));
}
