//! `tasks`: the task table, as it is.

use dvp_model::spec::task::{GENERAL, Param, ParamKind, TASKS};
use serde_json::{Value, json};

use super::print::{self, Table};
use super::{Context, Outcome};

/// `tasks`.
pub(super) fn list(context: &Context) -> Outcome {
    if context.json {
        let of = |name: &str, about: &str, params: &[Param]| json!({ "task": name, "about": about, "params": params.iter().map(param).collect::<Vec<_>>() });
        for task in TASKS {
            if !print::out_json(&of(task.name, task.about, task.params))? {
                return Ok(0);
            }
        }
        for (name, params) in GENERAL {
            if !print::out_json(&of(name, "keys that go with any task", params))? {
                return Ok(0);
            }
        }
        return Ok(0);
    }
    for task in TASKS {
        print::out(&format!("{}: {}", task.name, task.about))?;
        table(task.name, task.params).print()?;
        print::out("")?;
    }
    print::out("with any task:")?;
    for (name, params) in GENERAL {
        table(name, params).print()?;
    }
    Ok(0)
}

fn table(task: &str, params: &[Param]) -> Table {
    let mut table = Table::new(&["  KEY", "VALUES", "DEFAULT", "MEANING"]);
    for param in params {
        table.row([
            format!("  {task}.{}", param.key),
            param.kind.allowed(),
            param.default.to_owned(),
            param.about.to_owned(),
        ]);
    }
    table
}

fn param(param: &Param) -> Value {
    let kind = match param.kind {
        ParamKind::Choice(words) => json!({ "choice": words }),
        ParamKind::Integer(least, most) => json!({ "integer": [least, most] }),
        ParamKind::Decimal(least, most) => json!({ "decimal": [least, most] }),
        ParamKind::Time => json!("time"),
        ParamKind::Graph => json!("graph"),
    };
    json!({ "key": param.key, "about": param.about, "values": kind, "default": param.default })
}
