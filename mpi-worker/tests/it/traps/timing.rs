//! Rows about timestamps: variable rates, edit lists, offsets between streams, B-frames at seams.

use std::path::Path;

use testbed::clip::{self, Clip};
use testbed::reference::{frames, probe};

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
    let plain = Clip::new("plain.mov").audio("aac").make(folder.path());
    for input in [plain, mid_gop] {
        exact(&input, 17, &[], "");
        assert_sound_in_place(&input);
    }
}

#[test]
fn start_offsets() {
    let folder = folder();
    // Matroska with AAC: the pictures start after the sound's priming.
    let input = Clip::new("priming.mkv").audio("aac").make(folder.path());
    exact(&input, 17, &[], "");
    assert_sound_in_place(&input);
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
