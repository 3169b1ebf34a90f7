//! Rows about what is in the file at all: no video, no audio, one frame, damage.

use testbed::clip::{self, Clip};
use testbed::faults;
use testbed::reference::ffmpeg;

use super::{assert_blames_input, exact, folder, refused};

#[test]
fn one_frame() {
    let folder = folder();
    let input = Clip::new("one.mp4").frames(1).make(folder.path());
    let (_, outcome) = exact(&input, 50, &[], "");
    assert_eq!((outcome.frames, outcome.chunks), (1, 1));
}

#[test]
fn no_video() {
    let folder = folder();
    let path = folder.path().join("sound.mp4");
    let sound =
        ["-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac"].map(std::ffi::OsString::from);
    ffmpeg(sound.into_iter().chain([path.clone().into()]));
    for ranks in [1, 3] {
        assert_blames_input(&refused(&path, ranks, &[]), &["video"]);
    }
}

#[test]
fn no_audio_is_no_fault() {
    let folder = folder();
    let input = Clip::new("silent.mp4").frames(48).make(folder.path());
    let (output, _) = super::driven(&input, "mp4", &[("plan.chunk_frames", "17")]);
    assert_eq!(testbed::reference::probe(&output, "a", "stream=index"), "");
    assert_eq!(clip::read_bar_codes(&output), (0..48).collect::<Vec<_>>());
}

#[test]
fn truncated() {
    let folder = folder();
    for (name, muxer) in [("cut.mkv", ""), ("cut.mp4", "-movflags +faststart")] {
        let input = Clip::new(name).frames(240).audio("aac").muxer(muxer).make(folder.path());
        faults::truncate(&input, 0.6).expect("the file is truncated");
        for ranks in [1, 3] {
            assert_blames_input(
                &refused(&input, ranks, &[("plan.chunk_frames", "40")]),
                &["cut off"],
            );
        }
    }
    let strewn = "-movflags frag_keyframe+empty_moov+default_base_moof";
    for (name, muxer) in [("live.mkv", "-live 1"), ("fragments.mp4", strewn)] {
        let input = Clip::new(name).frames(240).muxer(muxer).make(folder.path());
        faults::truncate(&input, 0.6).expect("the file is truncated");
        assert_blames_input(&refused(&input, 1, &[("plan.chunk_frames", "40")]), &["cut off"]);
    }
    let tail_moov = Clip::new("moov.mp4").make(folder.path());
    faults::truncate(&tail_moov, 0.6).expect("the file is truncated");
    assert_blames_input(&refused(&tail_moov, 1, &[]), &["cut off", "moov"]);
}

#[test]
fn every_packet_is_counted() {
    let folder = folder();
    let fragments = "-movflags +frag_keyframe+empty_moov+default_base_moof";
    let clips = [
        // A parser of the pictures' bytes decides what is a packet.
        Clip::new("mpeg1.mov").video("mpeg1video -g 12 -bf 2"),
        // The index is strewn over the file.
        Clip::new("fragments.mp4").muxer(fragments),
        Clip::new("dash.mp4").muxer("-movflags +dash+global_sidx+frag_keyframe"),
    ];
    for clip in clips {
        let (_, outcome) = exact(&clip.make(folder.path()), 17, &[], "");
        assert_eq!(outcome.frames, 96, "{}", clip.name);
    }
}

#[test]
fn packets_are_not_frames() {
    let folder = folder();
    // Alt-refs are packets of their own in VP8, and lie in superframes in VP9: neither is shown.
    let hidden = "-auto-alt-ref 1 -lag-in-frames 16 -g 30 -b:v 300k -deadline good -cpu-used 5";
    for codec in ["libvpx", "libvpx-vp9"] {
        let clip = Clip::new(&format!("{codec}.webm")).video(&format!("{codec} {hidden}"));
        let (_, outcome) = exact(&clip.make(folder.path()), 17, &[], "");
        assert_eq!((outcome.frames, outcome.chunks), (96, 6), "{codec}");
    }
}

#[test]
fn what_is_left_out_is_named() {
    let folder = folder();
    let titled = "-metadata:s:a:0 title=Commentary -disposition:a:0 comment";
    let input = Clip::new("titled.mkv").frames(24).audio("aac").muxer(titled).make(folder.path());
    let output = folder.path().join("named.mkv");
    let plan = testbed::drive::Drive::new(&input, &output, 1, &[]).plan().expect("a plan");
    let notes = plan.notes.join("; ");
    assert!(notes.contains("'Commentary'") && notes.contains("marked"), "{notes}");
}

#[test]
fn pixel_shape_changes_inside() {
    let folder = folder();
    let video = "libx264 -preset veryfast -g 24 -bf 0";
    let part = |name: &str, shape: &str| {
        let clip = Clip::new(name).frames(48).video(video).filters(shape);
        std::fs::read(clip.make(folder.path())).expect("a part")
    };
    let raw = folder.path().join("both.h264");
    let both = [part("unsaid.h264", "setsar=0"), part("wide.h264", "setsar=2")].concat();
    std::fs::write(&raw, both).expect("one stream of both");
    let input = folder.path().join("both.mp4");
    clip::remux(&raw, &input, "-r 24", "");
    for ranks in [1, 3] {
        let change = "the shape of the pixels changes from 1:1 to 2:1";
        let reason = refused(&input, ranks, &[("plan.chunk_frames", "96")]);
        assert_blames_input(&reason, &["at 2.000 s", change]);
        // Whichever chunk sees it first.
        let reason = refused(&input, ranks, &[("plan.chunk_frames", "17")]);
        assert_blames_input(&reason, &[change]);
    }
}

#[test]
fn changed_input() {
    use testbed::drive::Drive;
    let folder = folder();
    let input = Clip::new("changing.mp4").make(folder.path());
    for ranks in [1, 3] {
        let output = folder.path().join("changed.mkv");
        let drive = Drive::new(&input, &output, ranks, &[("plan.chunk_frames", "17")]);
        let plan = drive.plan().expect("a plan");
        let bytes = std::fs::read(&input).expect("the clip");
        let refused = |plan| {
            let error = drive.run_planned(plan).expect_err("another film lies there");
            let reason = error.downcast_ref().unwrap_or_else(|| panic!("untyped: {error:#}"));
            assert_blames_input(reason, &["changed"]);
            assert!(!output.exists());
        };
        // Another file of the same size at the same path.
        let other = folder.path().join("other");
        std::fs::write(&other, &bytes).expect("a file of the same size");
        std::fs::rename(&other, &input).expect("it takes the clip's place");
        refused(&plan);
        // The same file, written anew, with its modification time set back.
        let plan = drive.plan().expect("a plan");
        let was = std::fs::metadata(&input).and_then(|found| found.modified()).expect("a time");
        std::fs::write(&input, &bytes).expect("the same size again");
        let file = std::fs::File::options().write(true).open(&input).expect("the clip");
        file.set_modified(was).expect("its time set back");
        refused(&plan);
    }
}
