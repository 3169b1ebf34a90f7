//! `config`: every setting with its source.

use std::path::Path;

use dvp_engine::config::{Config, Entry, KEYS};
use dvp_engine::nodes;
use dvp_model::FilePath;
use serde_json::json;

use super::print::{self, Table};
use super::{Context, Outcome};

/// A setting's value; of one that nobody set, what stands in for it.
fn effective(config: &Config, entry: &Entry) -> String {
    let path = |path: &Path| FilePath::from(path).to_string();
    if !entry.value.is_empty() {
        return entry.shown();
    }
    match entry.key {
        "worker" => path(&config.worker),
        "engine" => path(&config.engine),
        "slots" => nodes::cores().to_string(),
        "database" => path(&config.sqlite_file()),
        _ => String::new(),
    }
}

/// `config`.
pub(super) fn list(context: &Context) -> Outcome {
    let config = &context.config;
    if context.json {
        for entry in &config.entries {
            let line = json!({
                "key": entry.key,
                "value": effective(config, entry),
                "source": entry.source.to_string(),
            });
            if !print::out_json(&line)? {
                break;
            }
        }
        return Ok(0);
    }
    let mut table = Table::new(&["SETTING", "VALUE", "SOURCE", "MEANING"]);
    for entry in &config.entries {
        let about = KEYS.iter().find(|key| key.name == entry.key).map_or("", |key| key.about);
        table.row([
            entry.key.to_owned(),
            effective(config, entry),
            entry.source.to_string(),
            about.to_owned(),
        ]);
    }
    table.print()?;
    print::out("")?;
    let places = [
        ("file", &config.file),
        ("socket", &config.socket),
        ("worker", &config.worker),
        ("engine", &config.engine),
    ];
    for (name, path) in places {
        print::out(&format!("{name:<7} {}", FilePath::from(path.clone())))?;
    }
    Ok(0)
}
