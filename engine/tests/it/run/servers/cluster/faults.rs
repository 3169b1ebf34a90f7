//! What breaks on a cluster, one fault a test; the numbers are those of the list of faults that DVP must survive.

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
