//! What breaks on a cluster, one fault a test; the numbers are those of the list of faults that DVP must survive.

use dvp_engine::nodes::ladder;

use super::*;

/// The machine on which mpirun runs.
fn head(rig: &Rig) -> usize {
    wait_for("mpirun", LIMIT, || {
        let on = |machine: &usize| !rig.machines.processes(*machine, "^mpirun").is_empty();
        (0..3).find(on).ok_or_else(|| "no mpirun".to_owned())
    })
}

/// 3: SIGKILL to mpirun.
#[tokio::test(flavor = "multi_thread")]
async fn mpirun_is_killed() {
    let rig = Rig::new();
    let engine = rig.engine().await;
    let id = rig.begin(&engine, "mpirun.mp4").await;
    let head = head(&rig);
    let old = rig
        .machines
        .sh(head, "cat /proc/$(pgrep -o mpirun)/environ | tr '\\0' '\\n' | grep DVP_RUN");
    rig.machines.sh(head, "pkill -9 mpirun");
    for machine in 0..3 {
        wait_for("the old ranks' end", Duration::from_secs(10), || {
            let script = format!("grep -lzxF '{old}' /proc/[0-9]*/environ 2>/dev/null || true");
            let found = rig.machines.sh(machine, &script);
            if found.is_empty() { Ok(()) } else { Err(found) }
        });
    }
    rig.completes(&engine, id).await;
    engine.shutdown(LIMIT).await;
}

/// 5: every packet of a machine is dropped. It is set aside, the job ends on the others, and nothing is left
/// there once it can be reached again.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_cut_off() {
    let rig = Rig::new();
    let engine = rig.engine().await;
    let id = rig.begin(&engine, "cut-off.mp4").await;
    let lost = (head(&rig) + 1) % 3;
    rig.machines.cut_off(lost, None);
    let job = rig.completes(&engine, id).await;
    assert_eq!(job.attempts, 0);
    rig.until_fit(&engine, 2).await;
    rig.machines.reach(lost);
    rig.until_fit(&engine, 3).await;
    rig.assert_bare(lost);
    engine.shutdown(LIMIT).await;
}

/// 7: a machine is frozen, and thawed after the job went on without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_frozen() {
    let rig = Rig::new();
    let engine = rig.engine().await;
    let id = rig.begin(&engine, "frozen.mp4").await;
    let frozen = (head(&rig) + 1) % 3;
    rig.machines.freeze(frozen);
    let job = end(engine.store(), id, StateName::Completed).await;
    rig.machines.thaw(frozen);
    rig.until_fit(&engine, 3).await;
    rig.assert_bare(frozen);
    assert_eq!(rig.completes(&engine, id).await, job, "the thaw changed something");
    assert_eq!(job.attempts, 0);
    engine.shutdown(LIMIT).await;
}

/// A machine dies for good: that costs what was in flight there.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_dies() {
    let mut rig = Rig::new();
    let engine = rig.engine().await;
    let id = rig.begin(&engine, "dead.mp4").await;
    let dead = (head(&rig) + 1) % 3;
    rig.machines.kill(dead);
    let job = rig.completes(&engine, id).await;
    assert_eq!(job.attempts, 0);
    engine.shutdown(LIMIT).await;
}

/// 33: a machine shows another host key. It is refused by name; the job goes on without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_shows_another_host_key() {
    let mut rig = Rig::new();
    let engine = rig.engine().await;
    rig.machines.change_host_key(2);
    let id = rig.bench.submit(engine.store(), "key.mp4", &[]).await;
    let job = rig.completes(&engine, id).await;
    assert_eq!(job.attempts, 0);
    rig.until_fit(&engine, 2).await;
    let climb = ladder::check(&engine, &rig.name(2)).await.unwrap();
    let fault = climb.fault().unwrap().text.clone();
    assert!(fault.contains("another than the accepted one"), "{fault}");
    engine.shutdown(LIMIT).await;
}
