//! Rows about hostile input, and what this version refuses: always before work, always with a reason.

use std::fs;
use std::io::Read;
use std::net::TcpListener;

use testbed::clip::{self, Clip};

use super::{assert_blames_input, folder, refused};

#[test]
fn hostile_playlists_reach_nothing() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    let film = Clip::new("film.mp4").frames(24).make(folder.path());
    let hls = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://{address}/a.ts\n#EXTINF:4,\nfile://{}\n#EXT-X-ENDLIST\n",
        film.display()
    );
    let concat = format!("ffconcat version 1.0\nfile '{}'\n", film.display());
    for (name, text) in [("hls.mp4", hls), ("concat.mp4", concat)] {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a playlist");
        for ranks in [1, 3] {
            assert_blames_input(&refused(&path, ranks, &[]), &["is none of", "mp4", "mkv"]);
        }
    }
    let reached = listener.accept().map(|(mut stream, _)| {
        let mut request = String::new();
        let _ = stream.read_to_string(&mut request);
        request
    });
    assert!(reached.is_err(), "a request left: {reached:?}");
}

#[test]
fn absurd_dimensions() {
    let folder = folder();
    let input = Clip::new("huge.mkv").frames(2).video("ffv1").make(folder.path());
    let mut bytes = fs::read(&input).expect("the clip");
    // Matroska's PixelWidth and PixelHeight: ids B0 and BA, two bytes long.
    for (id, value) in [(0xb0, 320u16), (0xba, 180)] {
        let at = |needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle);
        let short = [id, 0x82, value.to_be_bytes()[0], value.to_be_bytes()[1]];
        let place = at(&short).map(|at| at + 2);
        let place = place.or_else(|| at(&[id, 0x81, value as u8]).map(|at| at + 2));
        let place = place.expect("the header has the size");
        bytes[place] = 0xff;
        if bytes[place - 1] == 0x82 {
            bytes[place + 1] = 0xff;
        }
    }
    fs::write(&input, bytes).expect("the clip is written");
    let reason = refused(&input, 1, &[]);
    assert_blames_input(&reason, &["its pictures are", "at most"]);
}

#[test]
fn other_containers() {
    let folder = folder();
    let film = Clip::new("film.mp4").frames(24).make(folder.path());
    for name in ["film.flv", "film.asf"] {
        let path = folder.path().join(name);
        clip::remux(&film, &path, "", "");
        assert_blames_input(&refused(&path, 1, &[]), &["is none of mp4", "mkv", "ts"]);
    }
}

#[test]
fn streams_that_would_be_lost() {
    let folder = folder();
    let film = Clip::new("film.mkv").frames(24).make(folder.path());
    let text = folder.path().join("words.srt");
    fs::write(&text, "1\n00:00:00,000 --> 00:00:00,500\nWords\n").expect("subtitles");
    let path = folder.path().join("titled.mkv");
    clip::remux(&film, &path, &format!("-i {}", text.display()), "-map 1 -map 0");
    assert_blames_input(&refused(&path, 1, &[]), &["subtitle"]);
}
