//! A console that has learnt something: an engine with jobs in every state, three nodes, services, a
//! feed. Names from outside stand between « and », so that a test sees where one was cut.

use std::collections::{BTreeMap, VecDeque};

use dvp_console::event::Contact;
use dvp_console::state::data::{Aged, Data};
use dvp_console::state::{Look, State};
use dvp_model::error::Reason;
use dvp_model::job::{ChunkInfo, ChunkState, HeldBy, Job, Lane, Output, Phase, State as JobState};
use dvp_model::node::{Duty, Health, Link, Node};
use dvp_model::plan::Summary;
use dvp_model::spec::SpecText;
use dvp_model::spec::resolve;
use dvp_model::wire::api::{DryRunReply, JobDetail, Service, StatusReply};
use dvp_model::wire::feed::{Entry, What};
use dvp_model::{ChunkIndex, Epoch, Item, JobId, Millis, NodeName};

/// The moment of all fixtures: 2025-11-25 12:12:12 UTC.
pub const NOW: Millis = Millis(1_764_072_732_000);

/// The job of this number.
pub fn id(number: u128) -> JobId {
    JobId(uuid::Uuid::from_u128(0x1000_0000_0000_0000_8000_0000_0000_0000 + (number << 96)))
}

fn ago(s: i64) -> Millis {
    NOW.plus(-s * 1000)
}

pub fn summary() -> Summary {
    Summary {
        hash: "ab".repeat(32),
        frames: 1584,
        duration_us: 63_360_000,
        width: 1280,
        height: 720,
        codec: "h264".into(),
        container: "mp4".into(),
        chunks: (0..27).map(|at| if at < 18 { 59 } else { 58 }).collect(),
        sound: true,
        threads_per_chunk: 1,
        memory_per_rank: 412 << 20,
        cost_ms: 61_000,
        carried: vec!["the sound (aac, stereo), copied".into()],
        notes: vec!["the data stream 2 (timecode) is left out".into()],
    }
}

fn job(number: u128, name: &str, state: JobState) -> Job {
    let asked = SpecText {
        tasks: vec!["convert".into(), "resize".into()],
        set: BTreeMap::from([("resize.height".into(), "360".into())]),
    };
    let created = 3600 - number as i64 * 60;
    Job {
        id: id(number),
        version: 3,
        input: format!("/films/«{name}».mp4").into(),
        output_path: format!("/films/«{name}».convert.mp4").into(),
        force: false,
        spec: resolve(&asked, Some("mp4")).expect("a good spec"),
        asked,
        ranks_wanted: None,
        priority: 0,
        batch: None,
        state,
        plan: Some(summary()),
        epoch: Epoch(1),
        attempts: 0,
        barren: 0,
        chunks_done: 0,
        sound_done: false,
        frames_done: 0,
        ranks: 2,
        nodes: vec![NodeName("«atlas»".into())],
        output: None,
        created_at: ago(created),
        started_at: Some(ago(created - 2)),
        finished_at: None,
        updated_at: ago(10),
    }
}

/// Jobs in every state, newest first.
pub fn jobs() -> Vec<Job> {
    let full = "the disk of the output's folder is full: free 1.2 GiB there, then retry";
    let failed = |number, name: &str, at: i64| {
        let reason = Reason::machine(full);
        let mut job = job(number, name, JobState::Failed { reason });
        job.finished_at = Some(ago(at));
        job.chunks_done = 9;
        job.frames_done = 531;
        job
    };
    let mut running =
        job(9, "holiday", JobState::Running { epoch: Epoch(2), phase: Phase::Working });
    running.epoch = Epoch(2);
    running.chunks_done = 17;
    running.frames_done = 1003;
    running.sound_done = true;
    running.priority = 5;
    let mut queued =
        job(8, "interview with a very long name, take 12, corrected (final)", JobState::Queued);
    queued.started_at = None;
    queued.ranks = 0;
    let mut planning = job(10, "日本の夏", JobState::Queued);
    planning.plan = None;
    planning.started_at = None;
    planning.ranks = 0;
    let waiting = job(
        7,
        "retry",
        JobState::Waiting {
            retry_at: NOW.plus(42_000),
            why: Reason::machine("mpirun ended with 1"),
        },
    );
    let mut done = job(6, "trailer", JobState::Completed);
    done.chunks_done = 27;
    done.frames_done = 1584;
    done.finished_at = Some(ago(1800));
    done.output = Some(Output {
        path: done.output_path.clone(),
        sha256: "0123456789abcdef".repeat(4),
        bytes: 12_900_000,
        frames: 1584,
    });
    let mut cancelled = job(5, "draft", JobState::Cancelled);
    cancelled.finished_at = Some(ago(2000));
    let held = job(4, "night", JobState::Held { by: HeldBy::Person });
    let low = job(
        3,
        "archive",
        JobState::Held { by: HeldBy::Engine(Reason::machine("the data folder has 0.4 GiB left")) },
    );
    vec![
        planning,
        running,
        queued,
        waiting,
        done,
        cancelled,
        held,
        low,
        failed(2, "drone", 900),
        failed(1, "harbour", 600),
    ]
}

fn nodes() -> Vec<Node> {
    let health = |cpu: f64, at: i64| Health {
        at: ago(at),
        cores: 16,
        cpu,
        load1: cpu * 16.0,
        memory_total: 64 << 30,
        memory_available: 40 << 30,
        disk_free: 812 << 30,
        disk_total: 2 << 40,
        mpi: "Open MPI 4.1.4".into(),
        fingerprint: "9f1c2a".into(),
        clock_ahead_ms: None,
        gpu: String::new(),
    };
    vec![
        Node {
            name: NodeName("«atlas»".into()),
            local: true,
            slots: 16,
            slots_used: 12,
            duty: Duty::Active,
            health: Some(health(0.78, 1)),
            link: Link::Local,
        },
        Node {
            name: NodeName("«boreas»".into()),
            local: false,
            slots: 16,
            slots_used: 16,
            duty: Duty::Active,
            health: Some(health(0.99, 2)),
            link: Link::Up { at: ago(2), rtt_ms: 3 },
        },
        Node {
            name: NodeName("«castor-with-a-long-name»".into()),
            local: false,
            slots: 8,
            slots_used: 0,
            duty: Duty::SetAside(Reason::machine(
                "dvp-worker can't start there: libx264 is missing",
            )),
            health: Some(health(0.02, 340)),
            link: Link::Down { at: ago(12), reason: Reason::machine("connection refused") },
        },
    ]
}

/// Services: all well.
pub fn status() -> StatusReply {
    let service = |name: &str, what: &str| Service {
        name: name.into(),
        what: what.into(),
        fault: None,
        since: None,
        at: ago(1),
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for job in jobs() {
        *counts.entry(job.state.name().as_str().to_owned()).or_default() += 1;
    }
    StatusReply {
        pid: 4242,
        version: "0.1.0".into(),
        started_at: ago(8000),
        background: false,
        data_dir: "/home/«op»/.local/share/dvp".into(),
        counts,
        services: vec![
            service("store", "«SQLite 3.50.4»"),
            service("objects", "«folder /home/op/.local/share/dvp/objects»"),
            service("launch", "«Open MPI 4.1.4»"),
        ],
        queue: None,
        last_seq: 60,
        at: ago(0),
    }
}

/// Chunks and lanes of the running job.
pub fn detail() -> JobDetail {
    let chunks = summary()
        .chunks
        .iter()
        .enumerate()
        .map(|(at, frames)| {
            let at = at as u32;
            let state = match at {
                0..17 => ChunkState::Done,
                17..20 => ChunkState::Running,
                _ => ChunkState::Waiting,
            };
            let done = state == ChunkState::Done;
            ChunkInfo {
                index: ChunkIndex(at),
                state,
                frames: *frames,
                attempts: match at {
                    5 | 6 | 18 => 2,
                    0..20 => 1,
                    _ => 0,
                },
                accepted: u32::from(done),
                sha256: done.then(|| "cd".repeat(32)),
                rank: (at < 20).then_some(at % 2),
                progress: if state == ChunkState::Running { 21 } else { 0 },
                wall_ms: done.then_some(1900),
            }
        })
        .collect();
    let lane = |rank: u32, item: Option<Item>, quiet: i64| Lane {
        rank,
        node: NodeName("«atlas»".into()),
        pid: 4300 + rank,
        item,
        progress: 21,
        done: 8,
        seen_at: ago(quiet),
    };
    JobDetail {
        job: jobs().into_iter().find(|job| job.id == id(9)).expect("it is among them"),
        chunks,
        sound: None,
        lanes: vec![
            lane(0, Some(Item::Chunk(ChunkIndex(17))), 0),
            lane(1, Some(Item::Chunk(ChunkIndex(18))), 1),
            lane(2, Some(Item::Sound), 14),
            lane(3, None, 1),
        ],
        eta_ms: Some(65_000),
        at: NOW,
    }
}

fn feed() -> VecDeque<Entry> {
    let nodes = vec![NodeName("«atlas»".into())];
    let holiday = [
        What::Submitted,
        What::Planned { frames: 1584, chunks: 27 },
        What::Launched { epoch: Epoch(1), ranks: 2, nodes: nodes.clone(), reused: 0 },
        What::Accepted { item: Item::Chunk(ChunkIndex(0)), rank: 0, wall_ms: 1900 },
        What::Log {
            epoch: Epoch(1),
            line: "«mpirun noticed that process rank 1 exited on signal 9»".into(),
        },
        What::Lost {
            epoch: Epoch(1),
            reason: Reason::machine("rank 1 was killed by signal 9"),
            items: vec![Item::Chunk(ChunkIndex(5)), Item::Chunk(ChunkIndex(6))],
        },
        What::Launched { epoch: Epoch(2), ranks: 2, nodes, reused: 5 },
    ];
    let mut feed: VecDeque<Entry> = VecDeque::new();
    let mut say = |job: Option<u128>, what: What| {
        let seq = feed.len() as u64 + 1;
        feed.push_back(Entry { seq, at: ago(600 - seq as i64), job: job.map(id), what });
    };
    say(None, What::EngineStarted { pid: 4242 });
    for what in holiday {
        say(Some(9), what);
    }
    for chunk in 1..17 {
        say(
            Some(9),
            What::Accepted { item: Item::Chunk(ChunkIndex(chunk)), rank: chunk % 2, wall_ms: 1900 },
        );
    }
    say(Some(6), What::Completed { sha256: "0123456789abcdef".repeat(4), bytes: 12_900_000 });
    say(
        Some(1),
        What::Failed { reason: Reason::machine("the disk of the output's folder is full") },
    );
    feed
}

/// All of it.
pub fn data() -> Data {
    let aged = |s: i64| ago(s);
    Data {
        contact: Contact::Hosting,
        status: Some(Aged { value: status(), at: aged(0) }),
        jobs: Some(Aged { value: jobs(), at: aged(0) }),
        nodes: Some(Aged { value: nodes(), at: aged(1) }),
        detail: None,
        feed: feed(),
    }
}

/// A dry run's answer.
pub fn dry_run() -> DryRunReply {
    DryRunReply {
        plan: summary(),
        output: "/films/«holiday».convert.mp4".into(),
        parallelism: 12,
        wall_ms: 9_000,
    }
}

/// A console that knows nothing yet.
pub fn blank() -> State {
    let mut state = State::new(NOW, (80, 24), Look::default());
    state.form.folder = "/films".into();
    state
}

/// A console that knows it all.
pub fn state() -> State {
    let mut state = blank();
    state.live = data();
    // The cursors settle as they do after each event.
    dvp_console::update::update(&mut state, dvp_console::event::Event::Tick(NOW));
    state
}
