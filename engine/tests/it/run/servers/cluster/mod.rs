//! Jobs over machines that only have sshd, Open MPI and FFmpeg's libraries.

mod faults;
mod nodes;

use dvp_engine::nodes::cluster::Access;
use dvp_model::job::{Job, Submission};
use dvp_model::node::{Duty, Member};
use dvp_model::{JobId, NodeName};
use testbed::sshd::{self, Lease};
use testbed::wait::wait_for;

use super::*;

/// What a test on the shared machines stands on.
struct Rig {
    machines: Lease,
    bench: Bench,
}

impl Rig {
    /// A clip whose chunks take a moment.
    fn new() -> Self {
        let machines = sshd::shared();
        let clip = Clip::new("slow.mp4").size(854, 480).frames(120).audio("aac");
        let bench = Bench::within(machines.folder(), clip);
        Self { machines, bench }
    }

    fn settings(&self) -> Settings {
        let settings = self.bench.settings();
        let timings = Timings {
            probe: Duration::from_secs(1),
            probe_patience: Duration::from_secs(5),
            mesh: Duration::from_secs(5),
            ..settings.timings
        };
        let access = Access {
            key: Some(self.machines.key()),
            shared_dir: Some(settings.data_dir.clone()),
            ..Access::default()
        };
        Settings { timings, access, ..settings }
    }

    fn name(&self, machine: usize) -> NodeName {
        NodeName(self.machines.address(machine).into())
    }

    /// A machine as the ladder would leave it.
    fn member(&self, machine: usize) -> Member {
        Member {
            name: self.name(machine),
            user: "root".into(),
            port: 22,
            slots: 2,
            memory: 8 << 30,
            duty: Duty::Active,
            host_key: self.machines.host_key(machine),
            unreaped: Vec::new(),
        }
    }

    /// A store that knows all machines.
    async fn store(&self) -> Store {
        std::fs::create_dir_all(self.bench.folder.path().join("data")).unwrap();
        let store = Store::open(&StoreUrl::Sqlite(self.bench.database())).await.unwrap();
        for machine in 0..self.machines.count() {
            store.node_put(&self.member(machine)).await.unwrap();
        }
        store
    }

    /// An engine that knows all machines.
    async fn engine(&self) -> Engine {
        self.engine_with(self.settings()).await
    }

    async fn engine_with(&self, settings: Settings) -> Engine {
        self.store().await.close().await;
        let engine = Engine::start(settings).await.unwrap();
        self.until_fit(&engine, 3).await;
        engine
    }

    /// Waits until so many machines may be given work.
    async fn until_fit(&self, engine: &Engine, count: usize) {
        let begun = Instant::now();
        while engine.free().len() != count {
            assert!(begun.elapsed() < LIMIT, "{:#?}", engine.free());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A job with six ranks' worth of work, under way on all machines.
    async fn begin(&self, engine: &Engine, output: &str) -> JobId {
        let id = self.bench.submit(engine.store(), output, &[]).await;
        accepted(engine.store(), id, 1).await;
        id
    }

    /// Waits until `id` is completed with the bytes of one rank on this machine, and nothing of it is left.
    async fn completes(&self, engine: &Engine, id: JobId) -> Job {
        let job = end(engine.store(), id, StateName::Completed).await;
        let right = self.bench.undisturbed("right.mp4", &[]).await;
        let feed = feed(engine.store(), id).await;
        assert_eq!(job.output.as_ref().unwrap().sha256, right, "{feed:#?}");
        assert_accepted_once(engine.store(), &engine.job_detail(id).await.unwrap()).await;
        self.bench.assert_clean(id);
        job
    }

    /// Waits until nothing of any launch is left on a machine.
    fn assert_bare(&self, machine: usize) {
        wait_for("a machine without remains", LIMIT, || {
            let left = self
                .machines
                .sh(machine, "ls /dev/shm; pgrep -a 'orted|mpirun|dvp-worker' || true");
            if left.is_empty() { Ok(()) } else { Err(format!("on machine {machine}: {left}")) }
        });
    }
}
