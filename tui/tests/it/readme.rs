//! README's reference tables are the code's own tables. To bring README up to date after a change, run
//! this test with `DVP_WRITE_README=1`.

use std::path::Path;

use dvp_console::command;
use dvp_engine::config::KEYS;
use dvp_model::spec::{allow, codec, task};

fn settings() -> String {
    let mut text =
        String::from("| setting | environment | default | means |\n| --- | --- | --- | --- |\n");
    for key in KEYS {
        let environment = key.variable();
        text +=
            &format!("| `{}` | `{environment}` | {} | {} |\n", key.name, key.default, key.about);
    }
    text
}

fn filters() -> String {
    let names: Vec<String> =
        allow::FILTERS.iter().map(|filter| format!("`{}`", filter.name)).collect();
    names.join(", ")
}

/// Replaces what stands between `<!-- name -->` and `<!-- /name -->`.
fn replace(text: &str, name: &str, with: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open).unwrap_or_else(|| panic!("README lacks {open}"));
    let (_, after) = rest.split_once(&close).unwrap_or_else(|| panic!("README lacks {close}"));
    format!("{before}{open}{}\n{close}{after}", with.trim_end())
}

#[test]
fn tables_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(&path).expect("README is there");
    let mut wanted = text.clone();
    for (name, table) in [
        ("tasks", task::as_markdown()),
        ("codecs", codec::as_markdown()),
        ("filters", filters()),
        ("settings", settings()),
        ("keys", command::as_markdown()),
    ] {
        wanted = replace(&wanted, name, &table);
    }
    if std::env::var_os("DVP_WRITE_README").is_some() {
        std::fs::write(&path, wanted).expect("README is written");
    } else {
        assert_eq!(text, wanted, "README's tables are old: run this with DVP_WRITE_README=1");
    }
}
