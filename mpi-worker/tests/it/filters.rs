//! The filter table against the real libavfilter: every row, every option, every preset is taken by
//! ffmpeg, and frames come out as the table says.

use dvp_model::spec::allow::{FILTERS, Filter, Opt, Value};
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
        // Not above the high threshold that is set by itself.
        ("low", _) => "0.1".to_owned(),
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

/// One chain a row: the filter once for each place in its options' lists of names, with every option
/// that has a name there.
fn chain(row: &Filter) -> String {
    let most = row.options.iter().map(|option| option.names.len()).max().unwrap_or(1);
    let link = |at: usize| {
        let mut link = row.name.to_owned();
        let mut separator = '=';
        for option in row.options {
            // hue takes h or H.
            let (Some(value), false) = (sample(option), option.names[0] == "H") else { continue };
            let name = option.names.get(at).unwrap_or(&option.names[0]);
            link.push_str(&format!("{separator}{name}={value}"));
            separator = ':';
        }
        link
    };
    (0..most).map(link).collect::<Vec<_>>().join(",")
}

#[test]
fn ffmpeg_takes_every_row_and_gives_as_many_frames_as_the_table_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = Clip::new("clip.mkv").frames(5).video("ffv1").make(folder.path());
    for row in FILTERS {
        let chain = chain(row);
        let checked = filter::check(&chain).unwrap_or_else(|reason| panic!("{chain}: {reason}"));
        let out = folder.path().join(format!("{}.mkv", row.name));
        whole(&clip, &out, &checked.graph, "none");
        let count = frames(&out, "0:v:0").list.len() as u32;
        assert_eq!(count, 5 - checked.swallowed, "{}", checked.graph);
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
