//! Rows about damaged files: refused with time and place; and told to tolerate, gone on with as ffmpeg does.

use std::fs;
use std::path::{Path, PathBuf};

use testbed::clip::{self, Clip};
use testbed::drive::Drive;
use testbed::faults;
use testbed::reference::{frames, frames_by_one_thread, probe};
use testbed::sound::heard;

use super::{assert_blames_input, driven, folder, refused};

/// Writes over `length` bytes from `from` on.
fn overwrite(path: &Path, from: usize, length: usize, byte: u8) {
    let mut bytes = fs::read(path).expect("the clip");
    bytes[from..from + length].fill(byte);
    fs::write(path, bytes).expect("room");
}

/// The clips, and the words of the refusal.
fn clips(folder: &Path) -> Vec<(PathBuf, &'static [&'static str])> {
    let flipped = Clip::new("flipped.mp4").frames(144).make(folder);
    let middle = fs::read(&flipped).expect("the clip").len() / 2;
    overwrite(&flipped, middle, 3000, 0x55);
    let zeroed = Clip::new("zeroed.mkv").frames(144).make(folder);
    let keys = probe(&zeroed, "v:0", "packet=pos,size,flags");
    let key = keys.lines().filter(|line| line.contains(",K")).nth(2).expect("keyframes");
    let [size, place]: [Option<usize>; 2] =
        [0, 1].map(|at| key.split(',').nth(at).and_then(|n| n.parse().ok()));
    overwrite(&zeroed, place.expect("a place") + 20, size.expect("a size") - 20, 0);
    let hole = Clip::new("hole.ts").frames(144).make(folder);
    let bytes = fs::read(&hole).expect("the clip");
    let at = bytes.len() / 188 / 2 * 188;
    fs::write(&hole, [&bytes[..at], &bytes[at + 188 * 40..]].concat()).expect("room");
    let cut = |name: &str, muxer: &str| {
        let path = Clip::new(name).frames(144).muxer(muxer).make(folder);
        faults::truncate(&path, 0.6).expect("the file is truncated");
        path
    };
    vec![
        (flipped, &["is damaged: the picture at", " s "]),
        (zeroed, &["is damaged: the picture at", " s "]),
        (hole, &["is damaged: the picture at", " s "]),
        (cut("cut.mp4", "-movflags +faststart"), &["cut off"]),
        (cut("cut.mkv", ""), &["cut off"]),
    ]
}

#[test]
fn damage_is_refused_or_tolerated() {
    let folder = folder();
    for (input, words) in clips(folder.path()) {
        let what = input.display().to_string();
        for ranks in [1, 3] {
            assert_blames_input(&refused(&input, ranks, &[("plan.chunk_frames", "40")]), words);
        }
        let set = [("convert.codec", "ffv1"), ("input.tolerate", "errors")];
        let (output, outcome) = driven(&input, "mkv", &set);
        assert_eq!(outcome.chunks, 1, "{what}");
        // Which picture stands for one that is lost depends on how many threads decode.
        let (ours, ffmpeg) = (frames(&output, "0:v:0"), frames_by_one_thread(&input, "0:v:0"));
        assert_eq!(ours.hashes(), ffmpeg.hashes(), "{what}");
        let plan = Drive::new(&input, &output, 1, &set).plan().expect("a plan");
        let notes = plan.notes.join("; ");
        let place = ["the picture at", "its end"].iter().any(|place| notes.contains(place));
        assert!(notes.contains("one chunk") && notes.contains("damaged") && place, "{notes}");
    }
}

#[test]
fn a_whole_file_is_cut_as_always_when_damage_is_tolerated() {
    let folder = folder();
    let input = Clip::new("whole.mp4").make(folder.path());
    let set = [("input.tolerate", "errors"), ("plan.chunk_frames", "17")];
    let (_, outcome) = driven(&input, "mkv", &set);
    assert_eq!((outcome.frames, outcome.chunks), (96, 6));
}

#[test]
fn damaged_sound_is_tolerated() {
    let folder = folder();
    let input = Clip::new("sound.mp4").audio("aac").make(folder.path());
    // What is heard from 1.8 s to 2.3 s.
    let lines = probe(&input, "a:0", "packet=pts_time,pos,size");
    for line in lines.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let [time, size, place, ..] = fields[..] else { continue };
        let (Ok(time), Ok(size), Ok(place)) = (time.parse::<f64>(), size.parse(), place.parse())
        else {
            continue;
        };
        if (1.8..2.3).contains(&time) {
            overwrite(&input, place, size, 0xff);
        }
    }
    let sound = ("convert.audio", "aac");
    assert_blames_input(&refused(&input, 3, &[sound]), &["its sound (stream 1) at 1.8", "damaged"]);
    let (output, _) = driven(&input, "mp4", &[sound, ("input.tolerate", "errors")]);
    assert_eq!(clip::read_bar_codes(&output), (0..96).collect::<Vec<_>>());
    // The impulse at 2 s is lost, those after it are not early.
    let ours = heard(&output);
    let near = ours.iter().zip([0, 1_000_000, 3_000_000]).all(|(a, b)| (a - b).abs() < 1_100);
    assert!(near && ours.len() == 3, "{ours:?}");
}
