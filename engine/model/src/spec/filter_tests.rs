//! Tests of the filter table and its reader.

use proptest::prelude::*;

use super::*;

fn graph(text: &str) -> String {
    check(text).unwrap_or_else(|reason| panic!("{text}: {reason}")).graph
}

fn refused(text: &str) -> String {
    match check(text) {
        Ok(checked) => panic!("{text} was taken as {}", checked.graph),
        Err(reason) => reason.text,
    }
}

#[test]
fn graphs_are_written_anew() {
    assert_eq!(graph(" hflip , vflip "), "hflip,vflip");
    assert_eq!(graph("unsharp=5:5:1.0"), "unsharp=luma_msize_x=5:luma_msize_y=5:luma_amount=1.0");
    assert_eq!(graph("unsharp=lx=3:ca=.5"), "unsharp=luma_msize_x=3:chroma_amount=.5");
    assert_eq!(graph("hue='s=0'"), "hue=s=0");
    assert_eq!(graph("hue=s='0'"), "hue=s=0");
    assert_eq!(graph("yadif=0:-1:1"), "yadif=mode=send_frame:parity=auto:deint=interlaced");
    assert_eq!(graph("tmix=frames=2:weights='1  2'"), "tmix=frames=2:weights=1 2");
    assert_eq!(graph("pad=640:480:0:0:#ff0000"), "pad=width=640:height=480:x=0:y=0:color=0xff0000");
    assert_eq!(graph("format=gray"), "format=pix_fmts=gray");
}

#[test]
fn what_graphs_mean_for_chunks() {
    let of = |text: &str| check(text).unwrap();
    assert_eq!(of("atadenoise").margin, (4, 4));
    assert_eq!(of("atadenoise=s=15,yadif").margin, (8, 8));
    assert_eq!(of("tmix").margin, (2, 0));
    assert_eq!(of("tmix=5").margin, (4, 0));
    assert_eq!((of("tblend=all_mode=average").margin, of("tblend").swallowed), ((1, 0), 1));
    assert!(of("hflip,hqdn3d").one_chunk.unwrap().contains("hqdn3d"));
    assert!(of("gblur=2").cpu_dependent && !of("boxblur").cpu_dependent);
    assert_eq!(of("nlmeans").margin, (0, 0));
    assert_eq!((of("hflip").least, of("atadenoise=s=15,atadenoise").least), (1, 7));
}

#[test]
fn sizes_follow_crop_pad_and_transpose() {
    assert_eq!(size_after("crop=100:80,transpose=1,hflip", 320, 180).unwrap(), (80, 100));
    assert_eq!(size_after("pad=640:360:10:10", 320, 180).unwrap(), (640, 360));
    assert!(size_after("crop=100:80:x=300", 320, 180).is_err());
    assert!(size_after("pad=300:360", 320, 180).is_err());
}

#[test]
fn what_reads_or_writes_files_is_refused() {
    for text in [
        "movie=/etc/passwd",
        "drawtext=textfile=/etc/passwd",
        "curves=plot=/tmp/x",
        "curves=psfile=/etc/passwd",
        "curves=vintage:plot=/tmp/x",
        "metadata=print:file=/tmp/x",
        "metadata=mode=print:file=/tmp/x",
        "subtitles=/etc/passwd",
        "lut3d=/etc/passwd",
        "sendcmd=f=/etc/passwd",
        "hue=s='0':file=/tmp/x",
        "hflip,movie=x",
        "hflip[a];[a]vflip",
        "hflip@x",
        "unsharp=enable='between(t,0,1)'",
        "hue=s=0\\:b=1",
        "hue=s=0'",
        "hue=s=random(0)",
        "eq=eval=frame",
    ] {
        refused(text);
    }
}

#[test]
fn refusals_say_what_is_meant() {
    assert!(refused("usharp").contains("did you mean 'unsharp'"));
    assert!(refused("unsharp=luma_amuont=1").contains("did you mean 'luma_amount'"));
    assert!(refused("unsharp=4").contains("odd number from 3 to 23"));
    assert!(refused("unsharp=la=NaN").contains("from -2 to 5"));
    assert!(refused("eq=contrast=1e3").contains("from -1000 to 1000"));
    assert!(refused("eq=contrast=inf").contains("from -1000 to 1000"));
    assert!(refused("fps=10").contains("number of frames"));
    assert!(refused("yadif=1").contains("number of frames"));
    assert!(refused("yadif=mode=send_field").contains("send_frame"));
    assert!(refused("bwdif").contains("bwdif=mode=send_frame"));
    assert!(refused("scale=640:360").contains("resize"));
    assert!(refused("fade=in:0:30").contains("start_time"));
    assert!(refused("hflip=1").contains("no place"));
    assert!(refused("hue=s=0:s=1").contains("twice"));
    assert!(refused("hue=s=0:1").contains("without a key"));
    assert!(refused("").contains("empty"));
    assert!(refused("hflip,,vflip").contains("between two commas"));
    assert!(refused("hue=s='0").contains("not closed"));
    assert!(refused(&"hflip,".repeat(200)).contains("longer"));
    assert!(refused(&format!("hflip{}", ",hflip".repeat(16))).contains("more than 16"));
    assert!(refused("edgedetect=low=0.5:high=0.1").contains("above"));
}

/// A value that the row takes, for each option.
fn sample(option: &Opt) -> Option<String> {
    Some(match option.value {
        Value::Int(low, high) => 1i64.clamp(low, high).to_string(),
        Value::Odd(low, _) | Value::Even(low, _) => low.to_string(),
        Value::Num(low, high) => 0.5f64.clamp(low, high).to_string(),
        Value::Word(words) => words[words.len() - 1].0.to_owned(),
        Value::Bool => "1".to_owned(),
        Value::Seconds => "0.5".to_owned(),
        Value::Color => "0x20a0ff".to_owned(),
        Value::Numbers => "1 2 3".to_owned(),
        Value::Format(names) => names[names.len() - 1].to_owned(),
        Value::Refused(_) => return None,
    })
}

#[test]
fn every_row_takes_what_it_says() {
    for row in FILTERS {
        for option in row.options {
            let Some(value) = sample(option) else { continue };
            assert_eq!(option.value.check(&value), Ok(value.clone()), "{} {option:?}", row.name);
        }
        assert!(!REFUSED.iter().any(|(name, _)| *name == row.name), "{}", row.name);
    }
    assert!(FILTERS.is_sorted_by_key(|row| row.name));
}

proptest! {
    #[test]
    fn nothing_typed_panics(text in "\\PC{0,60}") {
        let _ = check(&text);
    }

    #[test]
    fn near_graphs_never_hide_a_separator(
        text in "(hue|unsharp|curves|crop|fade)(=[a-z0-9_=:,'. /\\\\-]{0,30})?(,(hflip|yadif))?"
    ) {
        if let Ok(checked) = check(&text) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_=:,. -#".contains(c);
            prop_assert!(checked.graph.chars().all(plain), "{}", checked.graph);
            // What was written anew reads as itself.
            prop_assert_eq!(check(&checked.graph).map(|again| again.graph), Ok(checked.graph.clone()));
        }
    }
}
