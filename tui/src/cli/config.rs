//! `config`: every setting with its source.

use dvp_engine::config::KEYS;
use serde_json::json;

use super::print::{self, Table};
use super::{Context, Outcome};

/// `config`.
pub(super) fn list(context: &Context) -> Outcome {
    let config = &context.config;
    if context.json {
        for entry in &config.entries {
            let line = json!({
                "key": entry.key,
                "value": entry.shown(),
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
            entry.shown(),
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
        print::out(&format!("{name:<7} {}", dvp_model::FilePath::from(path.clone())))?;
    }
    Ok(0)
}
