//! The settings of the cluster, put together.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use dvp_model::NodeName;
use dvp_model::error::Reason;

use super::layers::Environment;
use super::{Entry, places};
use crate::nodes::cluster::Access;

/// How the machines of the cluster are reached.
pub(super) fn read(
    entries: &[Entry],
    data_dir: &Path,
    env: &Environment,
    errors: &mut Vec<Reason>,
) -> Access {
    let of = |name: &str| {
        let entry = entries.iter().find(|entry| entry.key == name);
        entry.filter(|entry| !entry.value.is_empty())
    };
    let path = |name: &str| of(name).map(|entry| places::absolute(PathBuf::from(&entry.value)));
    Access {
        key: path("ssh_key"),
        known_hosts: path("known_hosts"),
        inventory: path("inventory"),
        shared_dir: path("shared_dir"),
        head: of("mpi_master_host")
            .map(|entry| NodeName(entry.value.to_string_lossy().into_owned())),
        network: of("network").and_then(|entry| parsed(entry, errors)),
        ports: of("ports").and_then(|entry| parsed(entry, errors)),
        agent: env.get("SSH_AUTH_SOCK").map(PathBuf::from),
        sockets: Some(places::ssh_sockets(data_dir, env)),
    }
}

fn parsed<T: FromStr<Err = Reason>>(entry: &Entry, errors: &mut Vec<Reason>) -> Option<T> {
    match entry.value.to_string_lossy().parse() {
        Ok(value) => Some(value),
        Err(reason) => {
            errors.push(Reason::spec(format!("{} ({}): {}", entry.key, entry.source, reason.text)));
            None
        }
    }
}
