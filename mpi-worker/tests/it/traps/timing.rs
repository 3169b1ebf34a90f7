//! Rows about timestamps: variable rates, edit lists, offsets between streams, B-frames at seams.

use std::path::Path;

use testbed::clip::{self, Clip};
use testbed::drive::Drive;
use testbed::edits;
use testbed::reference::{frames, probe};
use testbed::sound::heard;

use super::{driven, exact, folder};

/// Presentation and decoding times of an mp4's pictures, in file order, in ticks. (Matroska stores no
/// decoding times.)
fn packets(path: &Path) -> Vec<(i64, i64)> {
    probe(path, "v:0", "packet=pts,dts")
        .lines()
        .map(|line| {
            let mut fields = line.trim_end_matches(',').split(',');
            let mut number = || fields.next().and_then(|text| text.parse().ok());
            number().zip(number()).unwrap_or_else(|| panic!("a packet without times: {line}"))
        })
        .collect()
}

/// Encodes to H.264 in mp4 and mkv: decoding times rise, none lies after its presentation time, and
/// the pictures are the source's, each once, at its own time.
fn assert_times_survive(input: &Path, chunk_frames: &str) {
    let source = frames(input, "0:v:0").micros();
    let numbers: Vec<u32> = (0..source.len() as u32).collect();
    for extension in ["mp4", "mkv"] {
        let set = [("convert.preset", "veryfast"), ("plan.chunk_frames", chunk_frames)];
        let (output, _) = driven(input, extension, &set);
        assert_eq!(clip::read_bar_codes(&output), numbers, "{}", output.display());
        let packets = if extension == "mp4" { packets(&output) } else { Vec::new() };
        assert!(packets.windows(2).all(|pair| pair[0].1 < pair[1].1), "dts rise: {packets:?}");
        assert!(packets.iter().all(|(pts, dts)| dts <= pts), "dts <= pts: {packets:?}");
        let ours = frames(&output, "0:v:0").micros();
        assert_eq!(ours.len(), source.len());
        let limit = if extension == "mkv" { 1_000 } else { 1 };
        for (index, (ours, source)) in ours.iter().zip(&source).enumerate() {
            assert!((ours - source).abs() <= limit, "frame {index}: {ours} us, wants {source} us");
        }
    }
}

#[test]
fn b_frames_at_seams() {
    let folder = folder();
    let video = "libx264 -preset veryfast -g 24 -bf 3 -x264-params b-pyramid=normal:b-adapt=0";
    let constant = Clip::new("constant.mp4").video(video).make(folder.path());
    assert_times_survive(&constant, "13");
    let pattern = "settb=1/1000,setpts='16*N+17*floor(N/2)+67*floor(N/3)'";
    let variable = Clip::new("variable.mkv").video(video).filters(pattern).make(folder.path());
    assert_times_survive(&variable, "13");
}

#[test]
fn variable_frame_rate() {
    let folder = folder();
    let patterns = [
        ("ms.mkv", "settb=1/1000,setpts='16*N+17*floor(N/2)+67*floor(N/3)'"),
        ("ntsc.mp4", "settb=1001/30000,setpts='N+floor(N/5)'"),
        ("fine.mp4", "settb=1/90000,setpts='1501*N+mod(N,7)'"),
        ("hold.mp4", "settb=1/1000,setpts='40*N+5000*gte(N,50)'"),
    ];
    for (name, pattern) in patterns {
        let input = Clip::new(name).filters(pattern).make(folder.path());
        exact(&input, 17, &[], "");
        assert_times_survive(&input, "17");
    }
}

#[test]
fn cut_is_frame_exact() {
    let folder = folder();
    let input = Clip::new("cut.mp4").make(folder.path());
    let set = [("cut.start", "1.03"), ("cut.end", "0:00:02.5"), ("plan.chunk_frames", "9")];
    // Frames with 1.03 <= pts < 2.5 at 24 a second: numbers 25 to 59.
    let (output, outcome) = driven(&input, "mp4", &set);
    assert_eq!(outcome.frames, 35);
    assert_eq!(clip::read_bar_codes(&output), (25..60).collect::<Vec<_>>());
}

#[test]
fn edit_lists() {
    let folder = folder();
    // Copied from the middle of a GOP: the edit list hides the pictures before the cut.
    let whole = Clip::new("whole.mp4").audio("aac").make(folder.path());
    let mid_gop = folder.path().join("mid-gop.mp4");
    clip::remux(&whole, &mid_gop, "-ss 1.5", "");
    exact(&mid_gop, 17, &[], "");
    assert_sound_in_place(&mid_gop);
}

/// Where the clip's media begins: behind two pictures of reordering, and one packet of priming.
const BEGIN: (f64, f64) = (2.0 / 24.0, 1024.0 / 48_000.0);

#[test]
fn empty_and_multiple_edit_lists() {
    let folder = folder();
    let plain = Clip::new("plain.mp4").audio("aac").make(folder.path());
    // Each edit: length, and where it begins in the film; none is a pause.
    type Film<'a> = &'a [(f64, Option<f64>)];
    let at = |picture: u32| Some(f64::from(picture) / 24.0);
    let late: Film = &[(0.5, None), (4.0, Some(0.0))];
    let parts: Film = &[(1.0, at(22)), (1.0, at(58))];
    let again: Film = &[(0.25, None), (1.0, at(46)), (1.0, at(46)), (0.5, at(22))];
    // Edits that begin between two pictures, and a pause between them.
    let between: Film = &[(1.0, Some(0.9)), (0.5, None), (1.0, Some(2.4))];
    let numbers = |film: Film| -> Vec<u32> {
        let part = |(length, at): &(f64, Option<f64>)| {
            let first = at.map_or(0, |at| (at * 24.0).ceil() as u32);
            first..first + if at.is_some() { (length * 24.0) as u32 } else { 0 }
        };
        film.iter().flat_map(part).collect()
    };
    let times = |film: Film| -> Vec<i64> {
        let (mut all, mut at) = (Vec::new(), 0.0);
        for (length, from) in film {
            let part = from.map_or(Vec::new(), |from| numbers(&[(*length, Some(from))]));
            let shown = |number: u32| f64::from(number) / 24.0 - from.unwrap_or(0.0) + at;
            all.extend(part.into_iter().map(|number| (shown(number) * 1000.0).round() as i64));
            at += length;
        }
        let first = all[0];
        all.into_iter().map(|ms| (ms - first) * 1000).collect()
    };
    // When impulses are heard after the first picture, in ms.
    let clips: [(&str, Film, &[i64]); 4] = [
        ("late", late, &[0, 1000, 2000, 3000]),
        ("parts", parts, &[83, 1583]),
        ("again", again, &[83, 1083, 2083]),
        ("between", between, &[83, 2083]),
    ];
    for (name, film, wanted) in clips {
        let input = folder.path().join(format!("{name}.mp4"));
        std::fs::copy(&plain, &input).expect("room");
        let behind = |begin: f64| -> Vec<_> {
            film.iter().map(|(length, at)| (*length, at.map(|at| at + begin))).collect()
        };
        edits::set(&input, &[(0, &behind(BEGIN.0)), (1, &behind(BEGIN.1))]);
        // libavformat follows one edit and a pause before it; in longer lists it moves pictures and sound.
        let (output, _) = match name {
            "late" => exact(&input, 17, &[], ""),
            _ => driven(&input, "mkv", &[("plan.chunk_frames", "17")]),
        };
        assert_eq!(clip::read_bar_codes(&output), numbers(film), "{name}");
        let ours = frames(&output, "0:v:0").micros();
        let mut both = ours.iter().zip(times(film));
        let late = both.find(|(time, wanted)| (*time - ours[0] - wanted).abs() > 1_000);
        assert_eq!(late, None, "{name}: a picture's time, and the one that it should have");
        let ours = heard(&output);
        let near =
            ours.iter().zip(wanted).all(|(ours, wanted)| (ours - wanted * 1000).abs() < 1_100);
        assert!(near && ours.len() == wanted.len(), "{name}: {ours:?}, wants {wanted:?} ms");
    }
}

#[test]
fn start_offsets() {
    let folder = folder();
    // Matroska with AAC: the pictures start after the sound's priming.
    let input = Clip::new("priming.mkv").audio("aac").make(folder.path());
    exact(&input, 17, &[], "");
    assert_sound_in_place(&input);
    let plain = Clip::new("plain.mp4").audio("aac").make(folder.path());
    // How much later the pictures or the sound begin, in ms, and the containers of input and output.
    let clips = [
        (700, 0, "mp4", "mkv"),
        (700, 0, "mkv", "mp4"),
        (700, 0, "ts", "mp4"),
        (0, 244, "mov", "mkv"),
        (0, 244, "ts", "mkv"),
        (0, 8000, "mp4", "mp4"),
        (0, 8000, "mkv", "mkv"),
    ];
    for (pictures, sound, from, to) in clips {
        let input = folder.path().join(format!("late-{pictures}-{sound}.{from}"));
        let seconds = |ms: i64| format!("{:.3}", ms as f64 / 1000.0);
        let again = format!("-itsoffset {} -i {}", seconds(sound), plain.display());
        let before = format!("{again} -itsoffset {}", seconds(pictures));
        clip::remux(&plain, &input, &before, "-map 1:v -map 0:a");
        let output = input.with_extension(format!("out.{to}"));
        let set = [("convert.preset", "ultrafast"), ("plan.chunk_frames", "30")];
        let drive = Drive::new(&input, &output, 3, &set);
        drive.run().unwrap_or_else(|error| panic!("{}: {error:#}", input.display()));
        assert_eq!(clip::read_bar_codes(&output), (0..96).collect::<Vec<_>>());
        let ours = heard(&output);
        let wanted: Vec<i64> = (0..4).map(|s| (s * 1000 + sound - pictures) * 1000).collect();
        let near = ours.iter().zip(&wanted).all(|(ours, wanted)| (ours - wanted).abs() < 1_100);
        let what = format!("{}: {ours:?}, wants {wanted:?}", input.display());
        assert!(near && ours.len() == wanted.len(), "{what}");
    }
}

/// The sound lies as far from the first picture in the output as in the input, to 1 ms. Measured at the
/// input's second sound frame, found by its hash: a container without edit lists plays the whole of the
/// first packet, also what the input hides of it.
fn assert_sound_in_place(input: &Path) {
    let picture = |path: &Path| frames(path, "0:v:0").micros()[0];
    let sound = frames(input, "0:a:0");
    let hash = sound.hashes()[1];
    let wanted = sound.micros()[1] - picture(input);
    for extension in ["mp4", "mkv"] {
        let (output, _) = driven(input, extension, &[("plan.chunk_frames", "17")]);
        let sound = frames(&output, "0:a:0");
        let at = sound.hashes().iter().position(|ours| *ours == hash);
        let at = at.unwrap_or_else(|| panic!("{}: that sound is missing", output.display()));
        let ours = sound.micros()[at] - picture(&output);
        assert!((ours - wanted).abs() <= 1_000, "{}: {ours} us, wants {wanted}", output.display());
    }
}
