//! Machines from a file: a hostfile of Open MPI's (`host slots=N`), where a line may also begin with
//! `user@` and have `port=N` and `key=SHA256:...`, the fingerprint of its host key.

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::wire::api::NodeAdd;

use super::ladder;
use crate::engine::Engine;

/// What a file lists.
///
/// # Errors
/// The line that is none.
pub fn parse(text: &str, default_user: &str) -> Result<Vec<NodeAdd>, Reason> {
    let mut all = Vec::new();
    for (position, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: &str| {
            Reason::spec(format!(
                "line {}: {what}; write '[user@]host [slots=N] [port=N] [key=SHA256:...]'",
                position + 1
            ))
        };
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or("");
        let (user, host) = name.split_once('@').unwrap_or((default_user, name));
        let mut add = NodeAdd {
            name: NodeName(host.to_owned()),
            user: user.to_owned(),
            port: 22,
            slots: None,
            install: false,
            accept_key: None,
        };
        for word in words {
            let number = |text: &str| {
                text.parse::<u16>().map_err(|_| wrong(&format!("'{text}' is no number")))
            };
            match word.split_once('=') {
                Some(("slots", text)) => add.slots = Some(number(text)?.into()),
                Some(("port", text)) => add.port = number(text)?,
                Some(("key", text)) => add.accept_key = Some(text.to_owned()),
                Some(("max_slots" | "max-slots", text)) => drop(number(text)?),
                _ => return Err(wrong(&format!("'{word}' is unknown"))),
            }
        }
        all.push(add);
    }
    Ok(all)
}

/// Adds what the inventory of the settings lists and is not known yet.
///
/// # Errors
/// When the file can't be read, or a line is none.
pub async fn read_at_start(engine: &Engine) -> Result<(), Reason> {
    let Some(file) = &engine.settings().access.inventory else { return Ok(()) };
    let wrong = |why: String| Reason::spec(format!("the inventory {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let user = crate::config::user_name();
    let adds = parse(&text, &user).map_err(|reason| wrong(reason.text))?;
    engine.cluster.refresh(engine).await?;
    let new = adds.into_iter().filter(|add| engine.cluster.member(&add.name).is_none());
    let climbs = new.map(|add| ladder::add(engine, add));
    for climb in futures::future::join_all(climbs).await {
        let climb = climb?;
        if let Some(reason) = climb.fault() {
            tracing::error!("node {} of the inventory was not added: {reason}", climb.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostfiles_and_their_faults() {
        let text = "# ours\nmaster slots=2\nmpi@n1 slots=4 port=2022 max_slots=4 key=SHA256:x # big\n\nn2\n";
        let all = parse(text, "me").unwrap();
        let words: Vec<String> = all
            .iter()
            .map(|add| format!("{}@{}:{} {:?}", add.user, add.name, add.port, add.slots))
            .collect();
        assert_eq!(words, ["me@master:22 Some(2)", "mpi@n1:2022 Some(4)", "me@n2:22 None"]);
        assert_eq!(all[1].accept_key.as_deref(), Some("SHA256:x"));
        let fault = parse("n1\nn2 slots=x\n", "me").unwrap_err();
        assert!(fault.text.starts_with("line 2: 'x' is no number"), "{fault}");
        assert!(parse("n1 sltos=2", "me").is_err());
    }
}
