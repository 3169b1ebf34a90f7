//! The filter table against the real libavfilter: every row, every option, every preset is taken by
//! ffmpeg, and frames come out as the table says.

use dvp_model::spec::allow::{FILTERS, Opt, Value};
use dvp_model::spec::{filter, preset};
use testbed::clip::Clip;
use testbed::reference::{frames, whole};

/// A value that an option takes.
fn sample(option: &Opt) -> Option<String> {
    Some(match (option.names[0], &option.value) {
        // Sides and corners that fit a picture of 320x180.
        ("w" | "width", _) => "320".to_owned(),
        ("h" | "height", Value::Even(..)) => "180".to_owned(),
        ("x" | "y", _) => "0".to_owned(),
        (_, Value::Int(low, high)) => 1i64.clamp(*low, *high).to_string(),
        (_, Value::Odd(low, _) | Value::Even(low, _)) => low.to_string(),
        (_, Value::Num(low, high)) => 0.5f64.clamp(*low, *high).to_string(),
        (_, Value::Word(words)) => words[words.len() - 1].0.to_owned(),
        (_, Value::Bool) => "1".to_owned(),
        (_, Value::Seconds) => "0.5".to_owned(),
        (_, Value::Color) => "0x20a0ff".to_owned(),
        (_, Value::Numbers) => "1 2 3".to_owned(),
        (_, Value::Format(names)) => names[names.len() - 1].to_owned(),
        (_, Value::Refused(_)) => return None,
    })
}

/// A graph for each option of each row, by each of its names; and each row as short as it goes.
fn graphs() -> Vec<String> {
    let mut graphs = Vec::new();
    for row in FILTERS {
        let must = match row.name {
            "bwdif" => "mode=send_frame",
            "fade" => "duration=1",
            "format" => "pix_fmts=gray",
            _ => "",
        };
        graphs.push(format!("{}={must}", row.name).trim_end_matches('=').to_owned());
        for option in row.options {
            let Some(value) = sample(option) else { continue };
            for name in option.names {
                let separator = if must.is_empty() || must.starts_with(option.names[0]) {
                    String::new()
                } else {
                    format!("{must}:")
                };
                graphs.push(format!("{}={separator}{name}={value}", row.name));
            }
        }
    }
    graphs
}

#[test]
fn ffmpeg_takes_every_row_and_gives_as_many_frames_as_the_table_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mkv").frames(3).video("ffv1").make(folder.path());
    let graphs = graphs();
    assert!(graphs.len() > 100);
    for graph in graphs {
        let checked = filter::check(&graph).unwrap_or_else(|reason| panic!("{graph}: {reason}"));
        let out = folder.path().join("out.mkv");
        whole(&clip, &out, &checked.graph, "none");
        let count = frames(&out, "0:v:0").list.len() as u32;
        assert_eq!(count, 3 - checked.swallowed, "{}", checked.graph);
    }
}

#[test]
fn every_preset_keeps_its_frames() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mkv").frames(5).video("ffv1").make(folder.path());
    for name in preset::NAMES {
        let out = folder.path().join("out.mkv");
        whole(&clip, &out, preset::graph(name).expect("a preset"), "none");
        assert_eq!(frames(&out, "0:v:0").list.len(), 5, "{name}");
    }
}
