//! What can't be done is refused with one sentence that says what, where and what to do, its exit code,
//! and nothing half-done.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use testbed::clip::Clip;

use super::{Place, Ran, finish};

/// One sentence on standard error with these words, nothing on standard output.
#[track_caller]
fn refused(ran: Ran, code: i32, words: &[&str]) {
    let ran = ran.expect(code);
    assert_eq!(ran.out, "", "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "one line: {ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "'{word}' is missing: {ran:?}");
    }
}

#[test]
fn wrong_lines_are_usage() {
    let place = Place::new();
    refused(place.run(&["submit"]), 2, &["INPUT"]);
    refused(place.run(&["submit", "--nope", "x"]), 2, &["--nope"]);
    refused(place.run(&["nope"]), 2, &["nope"]);
    refused(place.run(&["job"]), 2, &["ID"]);
    refused(place.run(&["events", "--last", "0"]), 2, &["--last"]);
    let help = place.run(&["--help"]).expect(0);
    for code in ["0 ", "2 ", "3 ", "4 ", "5 ", "6 ", "70 ", "130 "] {
        assert!(help.out.contains(code), "exit code {code} is in --help: {}", help.out);
    }
}

#[test]
fn wrong_specs_are_refused_at_the_door() {
    let place = Place::new();
    fs::write(place.folder().join("a.mp4"), "text").unwrap();
    let submit = |more: &[&str]| {
        let mut line = vec!["submit", "a.mp4"];
        line.extend(more);
        place.run(&line)
    };
    refused(submit(&["--task", "explode"]), 2, &["explode", "resize"]);
    refused(submit(&["--set", "convert.nope=1"]), 2, &["nope"]);
    refused(submit(&["--set", "resize.height=360"]), 2, &["resize"]);
    refused(submit(&["--set", "plan.chunk_frames=0"]), 2, &["plan.chunk_frames", "1"]);
    refused(submit(&["--set", "convert.crf=52"]), 2, &["convert.crf", "51"]);
    refused(submit(&["--set", "convert"]), 2, &["TASK.KEY=VALUE"]);
    refused(submit(&["--set", "convert.crf=1", "--set", "convert.crf=2"]), 2, &["twice"]);
    refused(submit(&["--ranks", "0"]), 2, &["ranks"]);
    refused(submit(&["--priority", "1001"]), 2, &["priority"]);
    refused(submit(&["-o", "x.avi"]), 2, &["avi"]);
    refused(submit(&["--set", "convert.codec=ffv1", "-o", "x.mp4"]), 2, &["ffv1", "mkv"]);
    let cut = ["--task", "cut", "--set", "cut.start=4", "--set", "cut.end=1.5"];
    refused(submit(&cut), 2, &["cut"]);
    for graph in [
        "movie=/etc/passwd",
        "drawtext=textfile=/etc/passwd",
        "metadata=print:file=/tmp/dvp-test-print",
        "curves=plot=/tmp/dvp-test-plot",
    ] {
        let set = format!("filter.graph={graph}");
        let name = graph.split('=').next().unwrap_or_default();
        refused(submit(&["--task", "filter", "--set", &set]), 2, &[name]);
    }
    // Every error at once.
    let all = submit(&["--ranks", "0", "--priority", "5000", "--set", "convert.crf=99"]).expect(2);
    assert_eq!(all.err.lines().count(), 3, "{all:?}");
    assert!(!place.data().join("dvp.db").exists(), "no engine was started for it");
}

#[test]
fn places_that_are_unfit_are_refused_at_the_door() {
    let place = Place::new();
    let folder = place.folder();
    fs::write(folder.join("a.mp4"), "text").unwrap();
    fs::write(folder.join("empty.mp4"), "").unwrap();
    fs::write(folder.join("there.mp4"), "old").unwrap();
    fs::hard_link(folder.join("a.mp4"), folder.join("same.mp4")).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(folder.join("pipe.mp4")).status();
    assert!(status.is_ok_and(|status| status.success()));
    refused(place.run(&["submit", "gone.mp4"]), 3, &["no file", "gone.mp4"]);
    refused(place.run(&["submit", "a.mp4/below.mp4"]), 3, &["no file"]);
    refused(place.run(&["submit", "sub"]), 3, &["folder"]);
    refused(place.run(&["submit", "pipe.mp4"]), 3, &["regular file"]);
    refused(place.run(&["submit", "empty.mp4"]), 3, &["empty"]);
    refused(place.run(&["submit", "a.mp4", "-o", "nowhere/b.mp4"]), 3, &["nowhere", "--output"]);
    refused(place.run(&["submit", "a.mp4", "-o", "a.mp4/b.mp4"]), 3, &["a.mp4"]);
    refused(place.run(&["submit", "a.mp4", "-o", "there.mp4"]), 3, &["exists", "--force"]);
    fs::write(folder.join("free.mp4.dvp.json"), "mine").unwrap();
    refused(place.run(&["submit", "a.mp4", "-o", "free.mp4"]), 3, &["manifest", "--force"]);
    assert_eq!(fs::read_to_string(folder.join("free.mp4.dvp.json")).unwrap(), "mine");
    refused(place.run(&["submit", "a.mp4", "-o", "a.mp4", "--force"]), 3, &["input itself"]);
    refused(place.run(&["submit", "a.mp4", "-o", "same.mp4", "--force"]), 3, &["input itself"]);
    refused(place.run(&["submit", "a.mp4", "sub", "-o", "there.mp4"]), 3, &["folder"]);
    refused(place.run(&["job", "12345678"]), 3, &["12345678"]);
    refused(place.run(&["cancel", "nonsense"]), 3, &["nonsense"]);
    assert_eq!(fs::read_to_string(folder.join("there.mp4")).unwrap(), "old");
    assert!(!place.data().join("engine.sock").exists(), "no engine was started for it");
}

#[test]
fn files_that_are_no_video_are_refused_by_name_and_leave_nothing() {
    let place = Place::new();
    let folder = place.folder();
    fs::write(folder.join("text.mp4"), "this is no video at all\n".repeat(100)).unwrap();
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n";
    fs::write(folder.join("list.mp4"), playlist).unwrap();
    fs::write(folder.join("concat.mkv"), "ffconcat version 1.0\nfile '/etc/passwd'\n").unwrap();
    let whole = Clip::new("whole.mp4").make(folder);
    let bytes = fs::read(&whole).unwrap();
    fs::write(folder.join("cut-off.mp4"), &bytes[..bytes.len() / 3]).unwrap();
    testbed::reference::ffmpeg(
        ["-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac"]
            .map(OsString::from)
            .into_iter()
            .chain([folder.join("sound.mp4").into_os_string()]),
    );
    let names = || {
        let data = place.data();
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| *path != data).collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    for name in ["text.mp4", "list.mp4", "concat.mkv", "cut-off.mp4", "sound.mp4"] {
        refused(place.run(&["plan", name]), 3, &[]);
        let ran = place.run(&["submit", "--wait", name, "--json"]).expect(3);
        let job = ran.json();
        assert_eq!(job["state"], "failed", "{name}: {job}");
        let reason = job["reason"].as_str().expect("a failed job has a reason").to_owned();
        assert!(ran.err.contains(&reason), "{name}: {ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{name}: {ran:?}");
        assert!(job["output"]["sha256"].is_null(), "{name}: {job}");
    }
    assert_eq!(names(), before, "beside the inputs lies nothing that wasn't there");
}

#[test]
fn a_dry_run_refuses_what_a_submission_would() {
    let place = Place::new();
    Clip::new("clip.mp4").make(place.folder());
    let cut = ["plan", "clip.mp4", "--task", "cut", "--set", "cut.start=3600"];
    refused(place.run(&cut), 2, &["cut.start", "4.000 s"]);
    // A dry run says of the output what a submission would.
    fs::write(place.folder().join("clip.convert.mp4"), "mine").unwrap();
    refused(place.run(&["plan", "clip.mp4"]), 3, &["exists already", "--force"]);
    place.run(&["plan", "clip.mp4", "--force"]).expect(0);
    assert_eq!(fs::read(place.folder().join("clip.convert.mp4")).unwrap(), b"mine");
}

#[test]
fn a_dry_run_counts_ranks_as_the_scheduler_does() {
    let place = Place::new();
    Clip::new("film.mp4").audio("aac").make(place.folder());
    let ranks = |more: &[&str]| {
        let mut command = place.command(&[&["plan", "film.mp4", "--json"][..], more].concat());
        command.env("DVP_SLOTS", "4");
        let plan = finish(command.spawn().unwrap()).expect(0).json();
        (plan["chunks_total"].as_u64(), plan["parallelism"].as_u64())
    };
    // The sound is an item like a chunk.
    assert_eq!(ranks(&[]), (Some(1), Some(2)));
    assert_eq!(ranks(&["--set", "convert.audio=none", "--task", "convert"]), (Some(1), Some(1)));
    assert_eq!(ranks(&["--set", "plan.chunk_frames=12"]), (Some(8), Some(4)));
    assert_eq!(ranks(&["--ranks", "6"]), (Some(1), Some(6)));
}

#[test]
fn machines_that_are_unfit_are_refused_with_what_to_do() {
    let place = Place::new();
    Clip::new("clip.mp4").make(place.folder());
    let file = place.folder().join("clip.mp4");
    let file = file.to_str().expect("the test's folder is UTF-8");
    refused(place.run(&["--data-dir", file, "jobs"]), 6, &["--data-dir"]);
    refused(place.run(&["--data-dir", "/proc/nowhere", "jobs"]), 6, &["--data-dir"]);
    let mut no_mpirun = place.command(&["submit", "--wait", "clip.mp4"]);
    no_mpirun.env("DVP_MPIRUN", "/nonexistent/mpirun");
    refused(finish(no_mpirun.spawn().unwrap()), 6, &["mpirun"]);
    let mut no_worker = place.command(&["submit", "--wait", "clip.mp4"]);
    no_worker.env("DVP_WORKER", "/nonexistent/dvp-worker");
    refused(finish(no_worker.spawn().unwrap()), 6, &["dvp-worker"]);
    let mut no_plan = place.command(&["plan", "clip.mp4"]);
    no_plan.env("DVP_WORKER", "/nonexistent/dvp-worker");
    refused(finish(no_plan.spawn().unwrap()), 6, &["dvp-worker", "DVP_WORKER"]);
    let mut odd = place.command(&["jobs"]);
    odd.env("DVP_SLOTS", "many");
    refused(finish(odd.spawn().unwrap()), 2, &["slots", "DVP_SLOTS"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut full_disk = place.command(&["config"]);
    full_disk.stdout(Stdio::from(full));
    let ran = finish(full_disk.spawn().unwrap()).expect(6);
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    for line in [vec!["tasks"], vec!["config"], vec!["nodes"], vec!["tasks", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(&line);
        command.stdout(Stdio::from(writer));
        let ran = finish(command.spawn().unwrap()).expect(0);
        assert_eq!(ran.err, "", "{line:?}: {ran:?}");
    }
}

#[test]
fn names_of_any_bytes_work() {
    let place = Place::new();
    let clip = Clip::new("plain.mp4").frames(24).make(place.folder());
    let names: [&[u8]; 6] = [
        b"with space.mp4",
        b"q'uo\"te$`.mp4",
        b"new\nline.mp4",
        b"-dash.mp4",
        b"100%d%s.mp4",
        b"latin\xe9\xff.mp4",
    ];
    for name in names {
        let name = OsString::from_vec(name.to_vec());
        fs::copy(&clip, place.folder().join(&name)).unwrap();
        let mut line: Vec<OsString> =
            ["submit", "--wait", "--json", "--set", "convert.preset=ultrafast", "--"]
                .map(OsString::from)
                .to_vec();
        line.push(name.clone());
        let ran = place.run(&line).expect(0);
        let job = ran.json();
        assert_eq!(job["state"], "completed", "{job}");
        let mut output = name.into_vec();
        output.truncate(output.len() - 4);
        output.extend(b".convert.mp4");
        let output = place.folder().join(OsString::from_vec(output));
        assert!(output.is_file(), "{}: {job}", output.display());
        // Text output has no control character, whatever the name.
        let shown = place.run(&["job", job["id"].as_str().unwrap()]).expect(0);
        let control = shown.out.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{shown:?}");
    }
}

mod servers {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    /// As root, without root's right to open whatever it likes.
    fn run_as_anybody(place: &Place, arguments: &[&str]) -> Ran {
        let whole = place.command(arguments);
        let mut lesser = Command::new("setpriv");
        let rights = "=-dac_override,-dac_read_search";
        lesser.args([format!("--bounding-set{rights}"), format!("--inh-caps{rights}")]);
        lesser.arg(whole.get_program()).args(whole.get_args());
        lesser.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
        lesser.current_dir(place.folder()).stdin(Stdio::null());
        finish(lesser.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("setpriv runs"))
    }

    #[test]
    fn what_a_user_may_not_open_is_refused_at_the_door() {
        let place = Place::new();
        let folder = place.folder();
        let closed = |name: &str, mode: u32| {
            fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
        };
        Clip::new("open.mp4").make(folder);
        Clip::new("secret.mp4").make(folder);
        closed("secret.mp4", 0o000);
        for (name, mode) in [("read-only", 0o555), ("shut", 0o000), ("data-shut", 0o000)] {
            fs::create_dir(folder.join(name)).unwrap();
            closed(name, mode);
        }
        for command in ["submit", "plan"] {
            let denied = "ermission denied";
            let refuses = |more: &[&str], words: &[&str]| {
                refused(run_as_anybody(&place, &[&[command], more].concat()), 3, words);
            };
            refuses(&["secret.mp4"], &["secret.mp4", denied]);
            refuses(
                &["open.mp4", "-o", "read-only/out.mp4"],
                &["read-only", "not writable", "--output"],
            );
            refuses(&["open.mp4", "-o", "shut/out.mp4"], &["shut", "not writable"]);
            refuses(&["shut/film.mp4"], &["shut/film.mp4", denied]);
        }
        let ran = run_as_anybody(&place, &["--data-dir", "data-shut", "submit", "open.mp4"]);
        refused(ran, 6, &["data-shut", "--data-dir"]);
        assert!(!place.data().join("engine.sock").exists(), "no engine was started for it");
        // So that the folder can be removed by whoever runs this.
        ["read-only", "shut", "data-shut"].iter().for_each(|name| closed(name, 0o700));
    }
}
