//! Ranks over the machines that only say who they are: the whole way of a launch without a job.

use std::time::Duration;

use dvp_model::error::Reason;
use dvp_model::node::Member;
use dvp_model::wire::worker::{FromWorker, RankInfo};
use dvp_model::{Epoch, JobId, RunTag};

use super::{prepare, watch};
use crate::engine::Engine;
use crate::launch::spread::{Command, Spread};

/// How long it may take, mpirun's own start included.
const PATIENCE: Duration = Duration::from_secs(40);

/// Starts ranks on these machines, the head first, and hears from each.
///
/// # Errors
/// Which machine can't do its part, or what mpirun says.
pub async fn hello(engine: &Engine, places: Vec<(Member, u32)>) -> Result<Vec<RankInfo>, Reason> {
    let members: Vec<Member> = places.iter().map(|(member, _)| member.clone()).collect();
    let head = members.first().ok_or_else(|| Reason::bug("a hello without machines"))?;
    let launch = Spread {
        run: RunTag { job: JobId(uuid::Uuid::new_v4()), epoch: Epoch(0) },
        command: Command::Hello,
        worker: prepare::worker(engine).await?,
        places,
        root: head.user == "root",
        network: engine.settings().access.network,
        ports: engine.settings().access.ports,
    };
    let heard = heard(engine, &launch, &members, head).await;
    watch::reap(engine, &launch.run, &members).await;
    heard
}

async fn heard(
    engine: &Engine,
    launch: &Spread,
    members: &[Member],
    head: &Member,
) -> Result<Vec<RankInfo>, Reason> {
    for ready in prepare::machines(engine, launch, members).await? {
        ready?;
    }
    let running = prepare::start(engine, launch, head).await?;
    let names: Vec<&str> = members.iter().map(|member| &*member.name.0).collect();
    let failed = |why: &str| {
        Reason::machine(format!(
            "{} ranks on {} started by {} did not all come up: {why}; open the ports between them (22 and those \
             in DVP_PORTS), and try 'mpirun -np 2 hostname' on each",
            launch.ranks(),
            names.join(", "),
            head.name
        ))
    };
    let said = running.ask(&[], PATIENCE).await.map_err(|reason| failed(&reason.text))?;
    match serde_json::from_str(said.out.trim()) {
        Ok(FromWorker::Hello { ranks, .. }) if said.is_good() => Ok(ranks),
        _ => Err(failed(&telling(&said.err))),
    }
}

/// The line of mpirun's stderr that tells most: its last ones are always the same apology.
fn telling(err: &str) -> String {
    let lines = || err.lines().map(str::trim).filter(|line| !line.trim_matches('-').is_empty());
    let line = lines()
        .find(|line| {
            line.starts_with("dvp-worker:") || line.contains("ERROR") || line.contains("denied")
        })
        .or_else(|| lines().next());
    dvp_model::path::printable(line.unwrap_or("no word"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_most() {
        let text = "------\nORTE was unable to start\n\ndvp-worker: rank 0 did not hear from [1]\n-----\nsorry\n";
        assert_eq!(telling(text), "dvp-worker: rank 0 did not hear from [1]");
        assert_eq!(telling("---\nORTE was unable to start\n"), "ORTE was unable to start");
        assert_eq!(telling(""), "no word");
    }
}
