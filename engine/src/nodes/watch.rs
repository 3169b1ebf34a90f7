//! Asks every machine again and again, lets them try whether they reach each other, and ends there what old
//! launches left.

use std::time::{Duration, Instant, UNIX_EPOCH};

use dvp_model::error::Reason;
use dvp_model::node::Member;
use dvp_model::{NodeName, RunTag};
use futures::future::join_all;

use super::line::ask;
use super::{figures, inventory, mesh, prepare};
use crate::engine::Engine;
use crate::exec::ssh;
use crate::launch::spread;

/// How long the reaping of one launch on one machine may take.
const REAPING: Duration = Duration::from_secs(15);

/// Looks after the machines for as long as the engine runs.
pub fn start(engine: &Engine) {
    engine.tasks.spawn_until_stop(probes(engine.clone()));
    engine.tasks.spawn_until_stop(meshes(engine.clone()));
}

async fn probes(engine: Engine) {
    if let Err(reason) = inventory::read_at_start(&engine).await {
        tracing::error!("{reason}");
    }
    loop {
        match engine.cluster.refresh(&engine).await {
            Ok(()) => {
                // One that is slow to answer holds up no other.
                for member in engine.cluster.due() {
                    let engine = engine.clone();
                    engine.tasks.clone().spawn_until_stop(async move {
                        probe(&engine, &member).await;
                        engine.cluster.asked(&member.name);
                    });
                }
            }
            Err(reason) => tracing::warn!("nodes were not looked at: {reason}"),
        }
        tokio::time::sleep(engine.settings().timings.probe).await;
    }
}

async fn meshes(engine: Engine) {
    loop {
        let changed = engine.cluster.changed.notified();
        let _ = tokio::time::timeout(engine.settings().timings.mesh, changed).await;
        mesh::round(&engine, &engine.cluster.up()).await;
        engine.nudge();
    }
}

async fn probe(engine: &Engine, member: &Member) {
    let fit = || engine.cluster.is_fit(&member.name);
    let before = fit();
    look(engine, member, false).await;
    if fit() != before {
        engine.cluster.changed.notify_one();
        engine.nudge();
    }
}

/// Asks one machine for its figures; ends there what old launches left. A machine that does not answer is
/// lost at once where `is_sure`, else when it does not the next time either.
pub(super) async fn look(engine: &Engine, member: &Member, is_sure: bool) {
    let worker = match engine.cluster.programs_due(&member.name) {
        true => prepare::worker(engine).await.ok(),
        false => None,
    };
    let script = ssh::script(&figures::script(worker.as_deref()));
    let patience = engine.settings().timings.probe_patience;
    let (since, clock) = (Instant::now(), UNIX_EPOCH.elapsed().unwrap_or_default());
    let said = ask(engine, member, &script, &[], patience).await;
    let Ok(at) = engine.store().now().await else { return };
    let rtt = since.elapsed();
    match said {
        Ok(said) => {
            let clock_ns = (clock + rtt / 2).as_nanos() as i128;
            engine.cluster.note_up(&member.name, at, rtt, clock_ns, &said.out);
        }
        Err(reason) if is_sure => return engine.cluster.note_down(&member.name, at, reason),
        Err(reason) => return engine.cluster.note_missed(&member.name, at, reason),
    }
    for run in &member.unreaped {
        if let Err(reason) = reap_one(engine, run, member).await {
            tracing::warn!("{reason}");
            return;
        }
        let done = |member: &mut Member| member.unreaped.retain(|of| of != run);
        if engine.store().node_change(&member.name, done).await.is_ok() {
            let _ = engine.cluster.refresh(engine).await;
        }
    }
}

/// Looks anew at the machines of a launch that failed, over new connections, the head first. The machines that
/// can't go on are set aside by then. Why, if any.
pub async fn recheck(engine: &Engine, members: &[Member]) -> Option<Reason> {
    for member in members {
        engine.cluster.lines.drop(&member.name);
    }
    join_all(members.iter().map(|member| look(engine, member, true))).await;
    let up: Vec<Member> = engine.cluster.up();
    let up: Vec<Member> = members
        .iter()
        .filter(|member| up.iter().any(|of| of.name == member.name))
        .cloned()
        .collect();
    if let Some(head) = up.first() {
        mesh::look(engine, head, &up).await;
    }
    members.iter().find_map(|member| engine.cluster.unfit(&member.name))
}

/// Ends what a launch left on these machines. Those where that can't be done are set aside until it is.
/// Which they are.
pub async fn reap(engine: &Engine, run: &RunTag, members: &[Member]) -> Vec<NodeName> {
    let each = members.iter().map(|member| async move {
        // One that is known to be away is not waited for: its next probe reaps it.
        let reason = match engine.cluster.lost(&member.name) {
            Some(reason) => reason,
            None => reap_one(engine, run, member).await.err()?,
        };
        tracing::warn!("launch {run}: {reason}");
        if let Ok(at) = engine.store().now().await {
            engine.cluster.note_down(&member.name, at, reason);
        }
        let note = |member: &mut Member| {
            if !member.unreaped.contains(run) {
                member.unreaped.push(run.clone());
            }
        };
        // A machine that was removed meanwhile is nobody's any more.
        let _ = engine.store().node_change(&member.name, note).await;
        Some(member.name.clone())
    });
    let lost: Vec<NodeName> = join_all(each).await.into_iter().flatten().collect();
    if !lost.is_empty() {
        let _ = engine.cluster.refresh(engine).await;
    }
    lost
}

async fn reap_one(engine: &Engine, run: &RunTag, member: &Member) -> Result<(), Reason> {
    let script = ssh::script(&spread::reap_script(run));
    let said = ask(engine, member, &script, &[], REAPING).await?;
    match said.is_good() {
        true => Ok(()),
        false => Err(Reason::machine(format!(
            "{}: processes of launch {run} can't be killed: {}",
            member.name,
            said.last_words()
        ))),
    }
}
