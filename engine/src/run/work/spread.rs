//! A launch over the machines of the cluster: makes each ready before any rank starts, so that what is wrong
//! with one is said by its name, and ends afterwards what is left on each.

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::{Duty, Member};
use dvp_model::plan::Plan;
use dvp_model::wire::feed::What;

use super::Run;
use crate::exec::Running;
use crate::launch::spread::{Command, Spread};
use crate::nodes::{prepare, watch};
use crate::run::End;

/// A launch that is ready to start.
pub(super) struct Ready {
    /// mpirun, started on the head. Its connection is its own and ends with it.
    pub running: Running,
    /// The machine of each rank.
    pub nodes: Vec<NodeName>,
    /// Every machine that it touches.
    pub members: Vec<Member>,
}

/// Machines of a launch and the head, as the store has them. The head comes first.
pub(super) fn members(run: &Run<'_>, places: &[(NodeName, u32)]) -> Result<Vec<Member>, End> {
    let cluster = &run.engine.cluster;
    let head = run.engine.settings.access.head.as_ref().filter(|head| cluster.is_fit(head));
    let mut names: Vec<&NodeName> = head.into_iter().collect();
    for (name, _) in places {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let found: Option<Vec<Member>> = names.iter().map(|name| cluster.member(name)).collect();
    // One was removed just now: the scheduler looks again.
    found.ok_or(End::Requeue)
}

/// Makes every machine ready. One that can't be is set aside by name, and the job is scheduled again
/// without it and without blame.
pub(super) async fn prepare(
    run: &Run<'_>,
    plan: &Plan,
    members: Vec<Member>,
    places: &[(NodeName, u32)],
) -> Result<Ready, End> {
    let engine = run.engine;
    let head = members.first().ok_or(End::Requeue)?.clone();
    let of = |member: &Member| {
        places
            .iter()
            .find(|(name, _)| *name == member.name)
            .map(|(_, ranks)| (member.clone(), *ranks))
    };
    let launch = Spread {
        run: run.tag.clone(),
        command: Command::Work,
        worker: prepare::worker(engine).await?,
        places: members.iter().filter_map(of).collect(),
        root: head.user == "root",
        network: engine.settings.access.network,
        ports: engine.settings.access.ports,
    };
    let mut refused = false;
    let ready = prepare::machines(engine, &launch, &members).await?;
    for (member, ready) in members.iter().zip(ready) {
        let reason = match ready {
            Err(reason) => reason,
            Ok(versions) if versions.fingerprint != plan.fingerprint => Reason::machine(format!(
                "{} has other libraries or another CPU than the plan was made with; 'nodes check' says which",
                member.name
            )),
            Ok(_) => continue,
        };
        refused = true;
        set_aside(run, member, reason).await?;
    }
    if refused {
        watch::reap(engine, &run.tag, &members).await;
        return Err(End::Requeue);
    }
    match prepare::start(engine, &launch, &head).await {
        Ok(running) => Ok(Ready { running, nodes: launch.nodes_of_ranks(), members }),
        Err(reason) => {
            let at = run.guard.persist(|| engine.store.now()).await?;
            engine.cluster.note_down(&head.name, at, reason);
            watch::reap(engine, &run.tag, &members).await;
            Err(End::Requeue)
        }
    }
}

/// Sets a machine aside until 'nodes check' finds it well.
async fn set_aside(run: &Run<'_>, member: &Member, reason: Reason) -> Result<(), End> {
    let engine = run.engine;
    tracing::error!("node {} is set aside: {reason}", member.name);
    let entry = What::Alarm { reason: reason.clone() };
    engine.store.feed_append(Some(run.id), vec![entry]).await.map_err(Reason::from)?;
    let edit = |member: &mut Member| {
        if member.duty == Duty::Active {
            member.duty = Duty::SetAside(reason);
        }
    };
    match engine.store.node_change(&member.name, edit).await {
        Err(error) if error.is_transient() => return Err(Reason::from(error).into()),
        _ => {}
    }
    engine.cluster.refresh(engine).await.map_err(End::from)
}

/// Ends what is left of a launch on its machines. When it failed because one of them can't go on, that was
/// not the job's fault.
pub(super) async fn finish(
    run: &Run<'_>,
    members: &[Member],
    result: Result<(), End>,
) -> Result<(), End> {
    let engine = run.engine;
    let lost = watch::reap(engine, &run.tag, members).await;
    let Err(End::Retry { .. }) = result else { return result };
    match watch::recheck(engine, members).await {
        Some(reason) => {
            let entry = What::Alarm { reason };
            let append = || engine.store.feed_append(Some(run.id), vec![entry.clone()]);
            run.guard.persist(append).await?;
            Err(End::Requeue)
        }
        None if !lost.is_empty() => Err(End::Requeue),
        None => result,
    }
}
