//! Machines that come, are drained, and go.

use dvp_engine::nodes::ladder;
use dvp_model::wire::api::NodeAdd;

use super::*;

impl Rig {
    fn add(&self, machine: usize, accept: bool) -> NodeAdd {
        NodeAdd {
            name: self.name(machine),
            user: "root".into(),
            port: 22,
            slots: Some(2),
            install: false,
            accept_key: accept.then(|| self.machines.fingerprint(machine)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_added_and_make_the_bytes_of_one_rank() {
    let rig = Rig::new();
    let engine = Engine::start(rig.settings()).await.unwrap();
    let store = engine.store();

    // An unknown host key stops the climb, and names what accepts it.
    let climb = ladder::add(&engine, rig.add(0, false)).await.unwrap();
    let fault = climb.fault().unwrap().text.clone();
    assert_eq!(climb.rungs.last().unwrap().name, "host key");
    assert_eq!(climb.shown_key, Some(rig.machines.fingerprint(0)));
    assert!(fault.contains(&format!("--accept-key {}", rig.machines.fingerprint(0))), "{fault}");
    assert_eq!(store.nodes().await.unwrap(), []);
    for number in 0..3 {
        let climb = ladder::add(&engine, rig.add(number, true)).await.unwrap();
        assert_eq!(climb.fault(), None, "{climb:#?}");
        assert!(climb.is_done);
    }

    let submission = Submission { ranks: Some(6), ..rig.bench.submission("spread.mp4", &[]) };
    let id = dvp_engine::jobs::submit::submit(store, submission).await.unwrap().id;
    let job = rig.completes(&engine, id).await;
    assert_eq!((job.ranks, job.nodes.len(), job.attempts), (6, 3, 0));
    (0..3).for_each(|number| rig.assert_bare(number));
    engine.shutdown(LIMIT).await;
}
