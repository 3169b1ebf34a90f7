//! Tests of the check: a right file passes, and whatever else was planned is told from it.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use dvp_model::spec::{SpecText, resolve};
use dvp_model::wire::worker::{AssembleRequest, PlanRequest};
use tempfile::TempDir;
use testbed::clip::Clip;

use super::*;
use crate::media;
use crate::media::join::WrittenTrack;

/// A joined film with sound, its plan, and what was written.
struct Joined {
    _folder: TempDir,
    plan: Plan,
    written: Written,
    output: FilePath,
}

fn joined(extension: &str) -> Joined {
    media::init();
    let folder = tempfile::tempdir().unwrap();
    let input = Clip::new("in.mp4").frames(45).audio("aac").make(folder.path());
    let mut text = SpecText::default();
    for (key, value) in [("plan.chunk_frames", "15"), ("convert.audio", "copy")] {
        text.set.insert(key.to_owned(), value.to_owned());
    }
    let spec = resolve(&text, Some(extension)).unwrap();
    let plan = media::plan(&PlanRequest { input: input.into(), spec }, &mut |_, _| ()).unwrap();
    let output: FilePath = folder.path().join("output").into();
    let objects = plan.items().map(|item| accepted(&plan, item, folder.path())).collect();
    let request = AssembleRequest { plan: plan.clone(), objects, output: output.clone() };
    media::assemble(&request, &mut |_, _| ()).unwrap();
    let written = written(&output);
    Joined { _folder: folder, plan, written, output }
}

fn accepted(
    plan: &Plan,
    item: dvp_model::Item,
    folder: &Path,
) -> dvp_model::wire::worker::Accepted {
    let path = folder.join(item.to_string());
    let report = media::run_item(plan, item, &path, &mut |_| (), &AtomicBool::new(false)).unwrap();
    dvp_model::wire::worker::Accepted {
        item,
        object: dvp_model::wire::worker::Locator::File(path.into()),
        sha256: report.sha256.clone(),
        report,
    }
}

/// What is in a file, as joining would say it.
fn written(path: &FilePath) -> Written {
    let mut source = Source::open(path, None, false).unwrap();
    let bases: Vec<Ratio> = source.streams().map(|stream| av::ratio(stream.time_base)).collect();
    let mut tracks: Vec<WrittenTrack> = bases
        .into_iter()
        .map(|time_base| WrittenTrack { time_base, packets: 0, ends: None })
        .collect();
    let mut packet = Packet::new().unwrap();
    while source.read(&mut packet).unwrap() {
        let track = &mut tracks[packet.get().stream_index as usize];
        let pts = packet.get().pts;
        track.packets += 1;
        track.ends = Some((track.ends.map_or(pts, |ends| ends.0), pts));
    }
    let shift_ms = tracks[0].time_base.rescale(tracks[0].ends.unwrap().0, MILLISECOND);
    Written { shift_ms, tracks }
}

impl Joined {
    fn check(&self, plan: &Plan) -> Result<(), Reason> {
        check(plan, &self.written, &self.output, &mut |_| ())
    }

    /// Asserts that the file is told from another plan's.
    fn differs(&self, part: &str, change: impl FnOnce(&mut Plan)) {
        let mut plan = self.plan.clone();
        change(&mut plan);
        let reason = self.check(&plan).expect_err(part);
        assert_eq!(reason.kind, Kind::Bug, "{reason}");
        assert!(reason.text.contains(part), "{reason} (want: {part})");
    }
}

fn stamps(plan: &mut Plan, change: impl FnOnce(&mut Vec<i64>)) {
    let mut stamps = plan.video.stamps.to_vec();
    change(&mut stamps);
    plan.video.stamps = dvp_model::plan::stamp::Stamps::from_sorted(&stamps);
}

#[test]
fn a_file_is_told_from_whatever_else_was_planned() {
    for extension in ["mp4", "mkv"] {
        let film = joined(extension);
        film.check(&film.plan).unwrap();
        film.differs("45 pictures where 46", |plan| {
            plan.chunks[2].frames += 1;
            stamps(plan, |stamps| stamps.push(stamps[44] + 9999));
        });
        // The millisecond that Matroska can tell.
        let base = film.plan.video.time_base;
        let tick = if extension == "mp4" { 1 } else { MILLISECOND.rescale(1, base) };
        film.differs("picture 40 is shown at", |plan| stamps(plan, |stamps| stamps[40] += tick));
        film.differs("where", |plan| stamps(plan, |stamps| stamps[15] += tick));
        film.differs("chunk 1 does not begin with a keyframe", |plan| {
            plan.chunks[0].frames += 1;
            plan.chunks[1].first += 1;
            plan.chunks[1].frames -= 1;
        });
        film.differs("track 0 is h264 320x180", |plan| plan.video.width += 2);
        film.differs("2 tracks where 1", |plan| plan.audio.clear());
        film.differs("track 1 is aac of 48000 Hz", |plan| plan.audio[0].sample_rate = 44100);
    }
}

#[test]
fn sound_that_lacks_or_lies_elsewhere_is_found() {
    let mut film = joined("mp4");
    film.written.tracks[1].packets += 1;
    film.differs("track 1: ", |_| ());
    film.written.tracks[1].packets -= 1;
    let ends = film.written.tracks[1].ends.as_mut().unwrap();
    // 2 ms.
    ends.0 += 96;
    film.differs("track 1 reaches", |_| ());
}

#[test]
fn a_file_cut_off_is_found() {
    for extension in ["mp4", "mkv"] {
        let film = joined(extension);
        let bytes = std::fs::read(&film.output).unwrap();
        std::fs::write(&film.output, &bytes[..bytes.len() * 6 / 10]).unwrap();
        film.differs("the joined file", |_| ());
    }
}
