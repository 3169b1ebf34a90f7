//! Jobs over machines that only have sshd and Open MPI.

use dvp_engine::nodes::cluster::Access;
use dvp_engine::nodes::ladder;
use dvp_engine::{Engine, Settings};
use dvp_model::NodeName;
use dvp_model::job::{StateName, Submission};
use dvp_model::wire::api::NodeAdd;
use testbed::sshd::Machines;

use super::*;

fn node(machines: &Machines, number: usize, accept: bool) -> NodeAdd {
    NodeAdd {
        name: NodeName(machines.addresses()[number].clone()),
        user: "root".into(),
        port: 22,
        slots: Some(2),
        install: false,
        accept_key: accept.then(|| machines.fingerprint(number)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_over_three_machines_and_survive_them() {
    let bench = Bench::slow();
    let right = bench.undisturbed("spread.mp4", &[]).await;
    let machines = Machines::start(3, bench.folder.path(), bench.folder.path());
    let access = Access {
        key: Some(machines.key().to_owned()),
        shared_dir: Some(bench.folder.path().join("data")),
        ..Access::default()
    };
    let engine = Engine::start(Settings { access, ..bench.settings() }).await.unwrap();
    let store = engine.store();

    // An unknown host key stops the climb, and names what accepts it.
    let climb = ladder::add(&engine, node(&machines, 0, false)).await.unwrap();
    let fault = climb.fault().unwrap().text.clone();
    assert_eq!(climb.rungs.last().unwrap().name, "host key");
    assert!(fault.contains(&format!("--accept-key {}", machines.fingerprint(0))), "{fault}");
    assert_eq!(store.nodes().await.unwrap(), []);
    for number in 0..3 {
        let climb = ladder::add(&engine, node(&machines, number, true)).await.unwrap();
        assert_eq!(climb.fault(), None, "{climb:#?}");
    }

    // Six ranks on three machines make the bytes of one rank here.
    let submission = Submission { ranks: Some(6), ..bench.submission("spread.mp4", &[]) };
    let id = dvp_engine::jobs::submit::submit(store, submission).await.unwrap().id;
    let job = end(store, id, StateName::Completed).await;
    let feed_of_it = feed(store, id).await;
    assert_eq!((job.ranks, job.nodes.len(), job.attempts), (6, 3, 0), "{feed_of_it:#?}");
    assert_eq!(job.output.unwrap().sha256, right);
    bench.assert_clean(id);
    for number in 0..3 {
        assert_eq!(machines.sh(number, "ls /dev/shm"), "", "left on machine {number}");
    }

    // A machine that shows another host key is refused; the job goes on without it.
    machines.sh(2, "rm /etc/ssh/ssh_host_*; ssh-keygen -A; kill -HUP $(pgrep -o sshd)");
    let id = bench.submit(store, "key.mp4", &[]).await;
    let job = end(store, id, StateName::Completed).await;
    assert_eq!((job.output.unwrap().sha256, job.attempts), (right.clone(), 0));
    let climb = ladder::check(&engine, &NodeName(machines.addresses()[2].clone())).await.unwrap();
    let fault = climb.fault().unwrap().text.clone();
    assert!(fault.contains("another than the accepted one"), "{fault}");

    // A machine that dies in mid-job costs what was in flight.
    let id = bench.submit(store, "killed.mp4", &[]).await;
    accepted(store, id, 1).await;
    machines.kill(1);
    let job = end(store, id, StateName::Completed).await;
    assert_eq!(
        (job.output.unwrap().sha256, job.attempts),
        (right, 0),
        "{:#?}",
        feed(store, id).await
    );
    engine.shutdown(LIMIT).await;
}
