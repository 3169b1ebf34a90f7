//! What a rank takes: threads and memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dvp_model::plan::Plan;
use testbed::clip::Clip;
use testbed::drive::Drive;
use testbed::{faults, reference};

use super::Ranks;

/// A figure of `/proc/<pid>/status`; none once the process is gone.
fn figure(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The highest value of a figure that each rank shows after any item of the plan.
fn peaks(plan: &Plan, ranks: u32, folder: &Path, name: &str) -> BTreeMap<u32, u64> {
    let objects = folder.join(format!("objects-{name}-{}", plan.frames()));
    fs::create_dir(&objects).expect("a folder");
    let mut peaks = BTreeMap::new();
    let mut all = Ranks::with_plan(ranks, plan);
    all.hello();
    all.work(plan, &objects, |all, _| {
        for rank in faults::ranks(&all.run.to_string()) {
            if let Some(value) = figure(rank.pid, name) {
                let peak = peaks.entry(rank.pid).or_insert(0);
                *peak = value.max(*peak);
            }
        }
    });
    assert_eq!(peaks.len(), ranks as usize, "{peaks:?}");
    peaks
}

#[test]
fn a_rank_has_few_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mp4").frames(120).audio("aac").make(folder.path());
    for threads in [1u32, 3] {
        let output = folder.path().join("out.mp4");
        let text = threads.to_string();
        let set = [
            ("plan.chunk_frames", "10"),
            ("plan.threads_per_chunk", text.as_str()),
            ("resize.height", "90"),
            ("filter.preset", "denoise"),
        ];
        let plan = Drive::new(&clip, &output, 2, &set).plan().expect("a plan");
        assert_eq!(plan.video.threads, threads);
        let folder = folder.path().join(&text);
        fs::create_dir(&folder).expect("a folder");
        for (pid, peak) in peaks(&plan, 2, &folder, "Threads") {
            let most = u64::from(threads) + 6;
            assert!(peak <= most, "rank process {pid} has {peak} threads, {most} are allowed");
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_film() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = Clip::new("short.mp4")
        .rate("10")
        .frames(300)
        .audio("aac -b:a 64k")
        .video("libx264 -preset ultrafast -g 50 -bf 2")
        .make(folder.path());
    let long = folder.path().join("long.mp4");
    reference::ffmpeg([
        "-stream_loop".as_ref(),
        "19".as_ref(),
        "-i".as_ref(),
        short.as_os_str(),
        "-c".as_ref(),
        "copy".as_ref(),
        long.as_os_str(),
    ]);
    let highest = |input: &Path| {
        let output = input.with_extension("out.mp4");
        let set = [("plan.chunk_frames", "100"), ("convert.preset", "ultrafast")];
        let plan = Drive::new(input, &output, 2, &set).plan().expect("a plan");
        let all = peaks(&plan, 2, folder.path(), "VmHWM");
        all.into_values().max().expect("ranks")
    };
    let (short, long) = (highest(&short), highest(&long));
    assert!(
        long * 10 <= short * 11,
        "a rank's peak is {short} KiB on 30 s, and {long} KiB on 10 min"
    );
}
