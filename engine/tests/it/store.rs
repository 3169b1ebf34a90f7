//! One conformance suite for the store, run on SQLite and on PostgreSQL, so that the two can't drift apart.

use std::path::Path;

use dvp_engine::store::{Lease, Place, Publication, Store, StoreError};
use dvp_engine::{FeedQuery, StoreUrl};
use dvp_model::error::{Kind, Reason};
use dvp_model::job::assign::Suspicion;
use dvp_model::job::step::{Event, step};
use dvp_model::job::{HeldBy, Job, Output, Phase, State, StateName};
use dvp_model::plan::Plan;
use dvp_model::spec::{SpecText, resolve};
use dvp_model::wire::feed::What;
use dvp_model::wire::worker::{Accepted, Locator, Report, Witness};
use dvp_model::{BatchId, ChunkIndex, Epoch, Item, JobId, Millis, NodeName};
use uuid::Uuid;

const LEASE_MS: i64 = 60_000;

fn place(folder: &str) -> Place {
    Place { node: NodeName("here".into()), folder: folder.into() }
}

fn job(output: &str) -> Job {
    let asked = SpecText::default();
    Job {
        id: JobId(Uuid::new_v4()),
        version: 0,
        input: "/in/film.mp4".into(),
        output_path: output.into(),
        force: false,
        spec: resolve(&asked, Some("mp4")).unwrap(),
        asked,
        ranks_wanted: None,
        priority: 0,
        batch: None,
        state: State::Queued,
        plan: None,
        epoch: Epoch(0),
        attempts: 0,
        barren: 0,
        chunks_done: 0,
        sound_done: false,
        frames_done: 0,
        ranks: 0,
        nodes: Vec::new(),
        output: None,
        created_at: Millis(0),
        started_at: None,
        finished_at: None,
        updated_at: Millis(0),
    }
}

/// Thirty frames in three chunks, with sound.
fn plan(job: &Job) -> Plan {
    let ratio = [1, 24];
    serde_json::from_value(serde_json::json!({
        "version": 1,
        "input": {"path": job.input, "size": 1, "mtime_ns": 2, "ctime_ns": 2, "inode": 3},
        "spec": job.spec,
        "fingerprint": "f",
        "video": {
            "stream": 0, "decoder": "h264", "source_width": 320, "source_height": 180,
            "source_format": "yuv420p", "width": 320, "height": 180, "format": "yuv420p",
            "sample_aspect": [1, 1], "source_aspect": [1, 1], "graph": "", "time_base": ratio, "frame_rate": [24, 1],
            "source_origin": 0, "origin": 0, "stamps": {"first": 0, "runs": [[1, 29]]},
            "last_duration": 1, "around": [[], []], "constant_rate": true, "source_reorder": 2,
            "color": {"range": "", "primaries": "", "transfer": "", "matrix": "", "chroma": ""},
            "reorder": 2, "margin": [0, 0], "threads": 1, "undecodable": 0,
        },
        "audio": [{
            "stream": 1, "codec": "aac", "sample_rate": 48000, "layout": "stereo",
            "origin_us": 0, "window": null, "language": "",
        }],
        "chunks": [
            {"first": 0, "frames": 10}, {"first": 10, "frames": 10}, {"first": 20, "frames": 10},
        ],
        "carried": [], "notes": [], "memory_per_rank": 1, "cost_ms": 1,
    }))
    .unwrap()
}

fn chunk(index: u32) -> Item {
    Item::Chunk(ChunkIndex(index))
}

fn accepted(item: Item, sha256: &str) -> Accepted {
    Accepted {
        item,
        object: Locator::File(format!("/objects/{item}").into()),
        sha256: sha256.into(),
        report: Report {
            frames: 10,
            span: (0, 9),
            witness: Witness { first: Some((0, "h".into())), ..Witness::default() },
            sha256: sha256.into(),
            size: 5,
            wall_ms: 7,
            remarks: vec!["a remark with a quote ' and a \u{e9}".into()],
        },
    }
}

async fn planned(store: &Store, output: &str) -> Job {
    let job = store.job_insert(job(output), vec![What::Submitted]).await.unwrap();
    let plan = plan(&job);
    let freeze = |job: &mut Job, _| {
        job.plan = Some(plan.summary());
        Ok(vec![What::Planned { frames: 30, chunks: 3 }])
    };
    assert!(store.plan_claim(job.id, "planner", &place("a"), LEASE_MS).await.unwrap());
    let planned = store.plan_put(job.id, "planner", &plan, freeze).await.unwrap();
    store.plan_leave(job.id, "planner").await.unwrap();
    planned
}

async fn claimed(store: &Store, output: &str, owner: &str) -> Job {
    let job = planned(store, output).await;
    store.claim(job.id, owner, &place("a"), LEASE_MS, |_, _| Vec::new()).await.unwrap()
}

fn asks(event: Event) -> impl FnOnce(&mut Job, Millis) -> Result<Vec<What>, Reason> + Send {
    move |job, now| {
        job.state = step(&job.state, event, now)?;
        Ok(Vec::new())
    }
}

async fn jobs(store: &Store) {
    let first = job("/out/one.mp4");
    let stored = store.job_insert(first.clone(), vec![What::Submitted]).await.unwrap();
    assert_eq!((stored.version, stored.created_at > Millis(0)), (1, true));
    assert_eq!(store.job_get(first.id).await.unwrap(), stored);
    // A repeated call stores nothing, even with other contents.
    let again = Job { priority: 9, ..first.clone() };
    assert_eq!(store.job_insert(again, vec![What::Submitted]).await.unwrap(), stored);
    assert_eq!(store.feed_last().await.unwrap(), 1);

    let prefix = &first.id.to_string()[..12];
    assert_eq!(store.job_by_prefix(prefix).await.unwrap().id, first.id);
    assert_eq!(store.job_by_prefix(&first.id.short().to_uppercase()).await.unwrap().id, first.id);
    for wrong in ["", "%", "_", "zz", "'"] {
        let error = Reason::from(store.job_by_prefix(wrong).await.unwrap_err());
        assert_eq!(error.kind, Kind::NotFound, "{wrong}");
    }
    let missing = Reason::from(store.job_get(JobId(Uuid::nil())).await.unwrap_err());
    assert_eq!(missing.kind, Kind::NotFound);

    let batch = BatchId(Uuid::new_v4());
    for name in ["/out/two.mp4", "/out/three.mp4"] {
        store.job_insert(Job { batch: Some(batch), ..job(name) }, vec![]).await.unwrap();
    }
    assert_eq!(store.jobs_of_batch(batch).await.unwrap().len(), 2);
    assert_eq!(store.jobs_list(2).await.unwrap().len(), 2);
    assert_eq!(store.jobs_open().await.unwrap().len(), 3);
    assert_eq!(store.counts().await.unwrap()["queued"], 3);
}

async fn versions(store: &Store) {
    let read = store.job_insert(job("/out/v.mp4"), vec![]).await.unwrap();
    let mut mine = read.clone();
    mine.priority = 5;
    let written = store.job_update(&mine, vec![What::Priority { priority: 5 }]).await.unwrap();
    assert_eq!((written.version, written.priority), (2, 5));
    // Another writer that had read the same version comes too late, and leaves no feed entry.
    let late = store.job_update(&Job { priority: 7, ..read }, vec![What::Retried]).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
    assert_eq!(store.job_get(mine.id).await.unwrap(), written);
    assert_eq!(store.feed_last().await.unwrap(), 1);
    // An edit that refuses writes nothing.
    let refused = store.job_change(mine.id, asks(Event::Release)).await;
    assert_eq!(Reason::from(refused.unwrap_err()).kind, Kind::Conflict);
    assert_eq!(store.job_get(mine.id).await.unwrap().version, 2);
}

async fn outputs(store: &Store) {
    let first = store.job_insert(job("/out/same.mp4"), vec![]).await.unwrap();
    let second = job("/out/same.mp4");
    let refused = Reason::from(store.job_insert(second.clone(), vec![]).await.unwrap_err());
    assert_eq!(refused.kind, Kind::Output);
    assert!(refused.text.contains(&first.id.to_string()), "{refused}");
    assert!(store.job_get(second.id).await.is_err());
    // Free again once the first is at its end; then the first can't come back.
    let ended = store.job_change(first.id, asks(Event::Cancel)).await.unwrap();
    assert!(ended.finished_at.is_some());
    store.job_insert(second, vec![]).await.unwrap();
    let back = store.job_change(first.id, asks(Event::RetryByPerson)).await;
    assert_eq!(Reason::from(back.unwrap_err()).kind, Kind::Output);
    // A name that is no UTF-8 is a name like any other.
    use std::os::unix::ffi::OsStrExt;
    let strange = Path::new(std::ffi::OsStr::from_bytes(b"/out/\xff'\n.mp4"));
    let strange = Job { output_path: strange.into(), ..job("/x") };
    store.job_insert(strange.clone(), vec![]).await.unwrap();
    assert_eq!(store.job_get(strange.id).await.unwrap().output_path, strange.output_path);
}

async fn plans(store: &Store) {
    let job = planned(store, "/out/p.mp4").await;
    assert_eq!(store.plan_get(job.id).await.unwrap(), Some(plan(&job)));
    let rows = store.ledger_read(job.id).await.unwrap();
    let items: Vec<Item> = rows.iter().map(|row| row.item).collect();
    assert_eq!(items, [Item::Sound, chunk(0), chunk(1), chunk(2)]);
    assert!(rows.iter().all(|row| row.accepted.is_none() && row.attempts == 0));
    let job = store.claim(job.id, "me", &CLAIM_PLACE, LEASE_MS, |_, _| vec![]).await.unwrap();
    let without = |job: &mut Job, _: Millis| {
        job.plan = None;
        Ok(vec![])
    };
    let stale = store.plan_drop(job.id, job.epoch, "other", without).await;
    assert!(matches!(stale, Err(StoreError::EpochLost(..))), "{stale:?}");
    assert!(store.plan_get(job.id).await.unwrap().is_some());
    store.plan_drop(job.id, job.epoch, "me", without).await.unwrap();
    assert_eq!(store.plan_get(job.id).await.unwrap(), None);
    assert!(store.ledger_read(job.id).await.unwrap().is_empty());
}

async fn claims(store: &Store) {
    let job = planned(store, "/out/c.mp4").await;
    let claim = |owner: &'static str| {
        store.claim(job.id, owner, &CLAIM_PLACE, LEASE_MS, |job, _| {
            vec![What::Launched { epoch: job.epoch, ranks: 1, nodes: vec![], reused: 0 }]
        })
    };
    // Many at once: one gets it (a message delivered five times starts one run).
    let (a, b, c, d, e) = tokio::join!(claim("a"), claim("b"), claim("c"), claim("d"), claim("e"));
    let won: Vec<Job> = [a, b, c, d, e].into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!((won[0].epoch, won[0].state.name()), (Epoch(1), StateName::Running));
    let feed = store.feed_read(FeedQuery { job: Some(job.id), limit: 99, ..FeedQuery::default() });
    let feed = feed.await.unwrap();
    let launches = feed.iter().filter(|entry| matches!(entry.what, What::Launched { .. }));
    assert_eq!(launches.count(), 1);
}

static CLAIM_PLACE: std::sync::LazyLock<Place> = std::sync::LazyLock::new(|| place("a"));

async fn epochs(store: &Store) {
    let job = claimed(store, "/out/e.mp4", "first").await;
    let (id, one) = (job.id, job.epoch);
    assert!(store.lease_renew(id, one, "first", LEASE_MS).await.unwrap());
    assert!(!store.lease_renew(id, one, "other", LEASE_MS).await.unwrap());
    store.ledger_hand_out(id, one, "first", &[Item::Sound, chunk(1)]).await.unwrap();

    // Taken over: from now on the first owner's writes change nothing.
    let lease = store.leases(&place("a")).await.unwrap().remove(0);
    assert_eq!((lease.epoch, lease.here, lease.expired), (one, true, false));
    store.lease_end(&lease, vec![]).await.unwrap();
    assert_eq!(store.job_get(id).await.unwrap().state, State::Queued);
    let two = store.claim(id, "second", &place("b"), LEASE_MS, |_, _| vec![]).await.unwrap().epoch;
    assert_eq!(two, Epoch(2));
    assert!(!store.lease_renew(id, one, "first", LEASE_MS).await.unwrap());
    let before = store.ledger_read(id).await.unwrap();
    let lost = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::EpochLost(..))), "{result:?}");
    };
    let item = accepted(chunk(0), "aa");
    lost(store.ledger_accept(id, one, "first", 0, &item, |_, _| Ok(vec![])).await.map(drop));
    lost(store.ledger_hand_out(id, one, "first", &[chunk(0)]).await);
    lost(store.ledger_blame(id, one, "first", &[(chunk(0), Suspicion::Rank)], None).await);
    lost(store.ledger_revoke(id, one, "first", &[chunk(0)], |_, _| Ok(vec![])).await.map(drop));
    let complete = asks(Event::Complete(two));
    lost(store.job_end_by(id, one, "first", complete).await.map(drop));
    lost(store.job_change_by(id, two, "first", |_, _| Ok(vec![])).await.map(drop));
    assert_eq!(store.ledger_read(id).await.unwrap(), before);
    // A lease that was ended once is not ended again.
    store.lease_end(&lease, vec![What::Retried]).await.unwrap();
    assert_eq!(store.job_get(id).await.unwrap().epoch, two);
    assert_eq!(store.job_get(id).await.unwrap().state.name(), StateName::Running);
}

async fn planners(store: &Store) {
    let job = store.job_insert(job("/out/p.mp4"), vec![What::Submitted]).await.unwrap();
    let (id, plan) = (job.id, plan(&job));
    let claim = |owner: &'static str| store.plan_claim(id, owner, &CLAIM_PLACE, LEASE_MS);
    let freeze = |job: &mut Job, _: Millis| {
        job.plan = Some(plan.summary());
        Ok(vec![])
    };
    // One plans; the other may not, and writes nothing.
    assert!(claim("first").await.unwrap());
    assert!(!claim("second").await.unwrap());
    let put = store.plan_put(id, "second", &plan, freeze).await;
    assert!(matches!(put, Err(StoreError::EpochLost(..))), "{put:?}");
    store.plan_leave(id, "second").await.unwrap();
    assert!(store.lease_renew(id, Epoch::PLANNING, "first", LEASE_MS).await.unwrap());
    // Given back, and taken by the other: the first one's plan comes too late.
    store.plan_leave(id, "first").await.unwrap();
    assert!(claim("second").await.unwrap());
    let put = store.plan_put(id, "first", &plan, freeze).await;
    assert!(matches!(put, Err(StoreError::EpochLost(..))), "{put:?}");
    store.plan_put(id, "second", &plan, freeze).await.unwrap();
    store.plan_leave(id, "second").await.unwrap();
    // Planned once: nobody plans it again, nor a job that is no longer queued.
    assert!(!claim("first").await.unwrap());
    let held = store.job_insert(self::job("/out/h.mp4"), vec![What::Submitted]).await.unwrap();
    store.job_change(held.id, asks(Event::Hold(HeldBy::Person))).await.unwrap();
    assert!(!store.plan_claim(held.id, "first", &CLAIM_PLACE, LEASE_MS).await.unwrap());
}

async fn expiry(store: &Store) {
    let job = planned(store, "/out/x.mp4").await;
    store.claim(job.id, "gone", &place("far"), -1, |_, _| vec![]).await.unwrap();
    let found = store.leases(&place("a")).await.unwrap();
    let expected =
        Lease { job: job.id, epoch: Epoch(1), owner: "gone".into(), here: false, expired: true };
    assert_eq!(found, [expected]);
    assert!(store.lease_renew(job.id, Epoch(1), "gone", LEASE_MS).await.unwrap());
    assert!(!store.leases(&place("a")).await.unwrap()[0].expired);
}

async fn ledger(store: &Store) {
    let job = claimed(store, "/out/l.mp4", "me").await;
    let (id, epoch) = (job.id, job.epoch);
    store.ledger_hand_out(id, epoch, "me", &[chunk(1), Item::Sound]).await.unwrap();
    let first = accepted(chunk(1), "aa");
    let count = |job: &mut Job, _: Millis| {
        job.chunks_done += 1;
        Ok(vec![What::Accepted { item: chunk(1), rank: 3, wall_ms: 7 }])
    };
    let accept = store.ledger_accept(id, epoch, "me", 3, &first, count).await.unwrap();
    assert_eq!(accept.unwrap().chunks_done, 1);
    // The same chunk again, with another hash: the first stays, and counts once.
    let other = accepted(chunk(1), "bb");
    assert!(store.ledger_accept(id, epoch, "me", 3, &other, count).await.unwrap().is_none());
    let rows = store.ledger_read(id).await.unwrap();
    assert_eq!((rows[0].attempts, rows[1].attempts, rows[2].attempts), (1, 0, 1));
    assert_eq!(rows[2].accepted, Some(first));
    assert_eq!((rows[2].rank, rows[2].epoch), (Some(3), Some(epoch)));
    assert_eq!(store.job_get(id).await.unwrap().chunks_done, 1);

    let suspects = [(chunk(0), Suspicion::Launch), (chunk(2), Suspicion::Rank)];
    store.ledger_blame(id, epoch, "me", &suspects, Some(chunk(2))).await.unwrap();
    store.ledger_blame(id, epoch, "me", &[(chunk(0), Suspicion::Rank)], None).await.unwrap();
    let rows = store.ledger_read(id).await.unwrap();
    assert_eq!((rows[1].suspicion, rows[1].kills), (Suspicion::Launch, 0));
    assert_eq!((rows[3].suspicion, rows[3].kills), (Suspicion::Rank, 1));

    let take_back = |job: &mut Job, _: Millis| {
        job.chunks_done = 0;
        Ok(vec![])
    };
    store.ledger_revoke(id, epoch, "me", &[chunk(1)], take_back).await.unwrap();
    assert_eq!(store.ledger_read(id).await.unwrap()[2].accepted, None);

    // A failed job that a person retries starts with a clean slate, and keeps what was accepted.
    let sound = accepted(Item::Sound, "cc");
    store.ledger_accept(id, epoch, "me", 0, &sound, |_, _| Ok(vec![])).await.unwrap();
    assert!(!store.ledger_forget(id).await.unwrap());
    let fail = |job: &mut Job, now: Millis| {
        job.attempts = 4;
        asks(Event::Fail(Some(epoch), Reason::job("it broke")))(job, now)
    };
    store.job_end_by(id, epoch, "me", fail).await.unwrap();
    assert!(store.leases(&place("a")).await.unwrap().is_empty());
    let retried = store.job_change(id, asks(Event::RetryByPerson)).await.unwrap();
    assert_eq!((retried.attempts, retried.finished_at), (0, None));
    let rows = store.ledger_read(id).await.unwrap();
    assert!(rows.iter().all(|row| row.kills == 0 && row.suspicion == Suspicion::None));
    assert!(rows[0].accepted.is_some());
    store.job_change(id, asks(Event::Cancel)).await.unwrap();
    assert!(store.ledger_forget(id).await.unwrap());
    assert!(store.ledger_read(id).await.unwrap().iter().all(|row| row.accepted.is_none()));
}

async fn ends(store: &Store) {
    // A launch that is gone frees its job into the state that was asked for.
    for (name, event, expected) in [
        ("/out/a", None, StateName::Queued),
        ("/out/b", Some(Event::Hold(HeldBy::Person)), StateName::Held),
        ("/out/c", Some(Event::Cancel), StateName::Cancelled),
    ] {
        let job = claimed(store, name, "me").await;
        if let Some(event) = event {
            store.job_change(job.id, asks(event)).await.unwrap();
        }
        let leases = store.leases(&place("a")).await.unwrap();
        store.lease_end(&leases[0], vec![]).await.unwrap();
        assert_eq!(store.job_get(job.id).await.unwrap().state.name(), expected);
    }
    let job = claimed(store, "/out/d", "me").await;
    let output = Output { path: "/out/d".into(), sha256: "aa".into(), bytes: 1, frames: 30 };
    let publication = Publication { output, remarks: vec![] };
    store.publication_put(job.id, job.epoch, "me", &publication).await.unwrap();
    store.publication_put(job.id, job.epoch, "me", &publication).await.unwrap();
    assert_eq!(store.publication_get(job.id).await.unwrap(), Some(publication.clone()));
    let refused = store.publication_put(job.id, Epoch(9), "me", &publication).await;
    assert!(matches!(refused, Err(StoreError::EpochLost(..))));
    store
        .job_change_by(job.id, job.epoch, "me", asks(Event::Enter(job.epoch, Phase::Publishing)))
        .await
        .unwrap();
    let done = store.job_end_by(job.id, job.epoch, "me", asks(Event::Complete(job.epoch))).await;
    assert_eq!(done.unwrap().state, State::Completed);
}

async fn feed(store: &Store) {
    let jobs = [job("/out/f1"), job("/out/f2")];
    for job in &jobs {
        store.job_insert(job.clone(), vec![What::Submitted]).await.unwrap();
    }
    // Many writers at once: numbers without gaps, each entry once, a job's own entries in order.
    let line = |line: String| What::Log { epoch: Epoch(1), line };
    let writers = (0..20).map(|n| {
        let entries = vec![line(format!("{n}.1")), line(format!("{n}.2 'quoted' \u{1f3ac}"))];
        store.feed_append(Some(jobs[n % 2].id), entries)
    });
    for result in futures::future::join_all(writers).await {
        result.unwrap();
    }
    let all = store.feed_read(FeedQuery { limit: 999, ..FeedQuery::default() }).await.unwrap();
    let numbers: Vec<u64> = all.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=42).collect::<Vec<u64>>());
    let read = |after, job, limit, tail| store.feed_read(FeedQuery { after, job, limit, tail });
    let page = read(40, None, 10, false).await.unwrap();
    assert_eq!(page, all[40..]);
    let last = read(0, None, 3, true).await.unwrap();
    assert_eq!(last, all[39..]);
    let mine = read(0, Some(jobs[1].id), 999, false).await.unwrap();
    assert_eq!(mine.len(), 21);
    assert!(mine.iter().all(|entry| entry.job == Some(jobs[1].id)));
    assert_eq!(read(0, Some(jobs[1].id), 2, true).await.unwrap(), mine[19..]);
    // Trimming spares open jobs.
    store.feed_append(None, vec![What::EngineStarted { pid: 1 }]).await.unwrap();
    store.job_change(jobs[0].id, asks(Event::Cancel)).await.unwrap();
    store.feed_append(None, vec![What::EngineStopped { pid: 1 }]).await.unwrap();
    let later = store.now().await.unwrap().plus(10_000);
    assert_eq!(store.feed_trim(later).await.unwrap(), 22);
    assert_eq!(store.feed_last().await.unwrap(), 44);
}

async fn commits(store: &Store) {
    let mut commits = store.commits();
    commits.mark_unchanged();
    store.job_insert(job("/out/n"), vec![]).await.unwrap();
    assert!(commits.has_changed().unwrap());
    let (one, two) = (store.now().await.unwrap(), store.now().await.unwrap());
    assert!(two >= one && one > Millis(1_600_000_000_000));
}

macro_rules! suite {
    ($($check:ident),* $(,)?) => {
        const CHECKS: &[&str] = &[$(stringify!($check)),*];

        async fn check(name: &str, store: &Store) {
            match name {
                $(stringify!($check) => $check(store).await,)*
                other => unreachable!("{other}"),
            }
        }
    };
}
suite!(
    jobs, versions, outputs, plans, planners, claims, epochs, expiry, ledger, ends, feed, commits
);

#[tokio::test]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    for name in CHECKS {
        eprintln!("{name}");
        let url = StoreUrl::Sqlite(folder.path().join(name));
        check(name, &Store::open(&url).await.unwrap()).await;
        // What was stored is there for the next process.
        Store::open(&url).await.unwrap();
    }
}

/// A folder written by a newer program is refused in words, and left as it is.
async fn refuses_a_newer_schema(url: StoreUrl, make_newer: impl AsyncFnOnce()) {
    Store::open(&url).await.unwrap().close().await;
    make_newer().await;
    let Err(error) = Store::open(&url).await else { panic!("opened") };
    let reason = Reason::from(error);
    assert_eq!(reason.kind, Kind::Machine);
    assert!(reason.text.contains("newer DVP (schema 999"), "{reason}");
}

#[tokio::test]
async fn sqlite_refuses_a_newer_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    refuses_a_newer_schema(StoreUrl::Sqlite(path), async || {
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query("UPDATE dvp_schema SET version = 999").execute(&pool).await.unwrap();
        pool.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_open_an_empty_sqlite_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // SQLite refuses one of them now and then only.
    for round in 0..40 {
        let url = StoreUrl::Sqlite(folder.path().join(format!("jobs{round}.db")));
        let opened = (0..4).map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::open(&url).await })
        });
        for (n, store) in futures::future::join_all(opened).await.into_iter().enumerate() {
            let store = store.unwrap().unwrap();
            store.job_insert(job(&format!("/out/{n}")), vec![]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn postgres_that_is_away_is_named_without_its_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = StoreUrl::Postgres(format!("postgres://dvp:sesame@{address}/jobs"));
    let Err(error) = Store::open(&url).await else { panic!("opened") };
    assert!(error.is_transient());
    let reason = Reason::from(error);
    assert_eq!(reason.kind, Kind::Machine);
    for word in [&*format!("PostgreSQL at {address} does not answer"), "refused", "start it"] {
        assert!(reason.text.contains(word), "{reason}");
    }
    assert!(!reason.text.contains("sesame"), "{reason}");
}

mod servers {
    use super::*;
    use std::time::Duration;
    use testbed::postgres::Postgres;

    #[tokio::test]
    async fn postgres_conforms() {
        let server = Postgres::start();
        for name in CHECKS {
            eprintln!("{name}");
            let url = StoreUrl::Postgres(server.database(name));
            check(name, &Store::open(&url).await.unwrap()).await;
            Store::open(&url).await.unwrap();
        }
        let url = server.database("newer");
        refuses_a_newer_schema(StoreUrl::Postgres(url.clone()), async || {
            let pool = sqlx::PgPool::connect(&url).await.unwrap();
            sqlx::query("UPDATE dvp_schema SET version = 999").execute(&pool).await.unwrap();
        })
        .await;
        let url = StoreUrl::Postgres(server.database("race"));
        let opened = futures::future::join_all((0..4).map(|_| Store::open(&url))).await;
        assert!(opened.iter().all(Result::is_ok));
    }

    /// What one process commits another hears of, also after its link was cut; its own commits it hears
    /// of once.
    #[tokio::test]
    async fn postgres_tells_of_commits() {
        let server = Postgres::start();
        let url = StoreUrl::Postgres(server.url());
        let (here, there) = (Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap());
        let (listening, mut commits) = (here.clone(), here.commits());
        let task = tokio::spawn(async move { listening.listen().await });
        let limit = Duration::from_secs(30);
        let mut hears = async || {
            tokio::time::timeout(limit, commits.changed()).await.expect("it is heard of").unwrap();
            *commits.borrow_and_update()
        };
        let linked = hears().await;
        here.job_insert(job("/out/own"), vec![]).await.unwrap();
        assert_eq!(hears().await, linked + 1);
        there.job_insert(job("/out/theirs"), vec![]).await.unwrap();
        assert_eq!(hears().await, linked + 2);
        let pool = sqlx::PgPool::connect(&server.url()).await.unwrap();
        let cut =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen%'";
        assert_eq!(sqlx::query(cut).execute(&pool).await.unwrap().rows_affected(), 1);
        // Once when the link is there again: what came meanwhile is looked for.
        hears().await;
        there.job_insert(job("/out/later"), vec![]).await.unwrap();
        hears().await;
        task.abort();
    }

    /// A restart of the server costs calls that were under way, never the store itself.
    #[tokio::test]
    async fn postgres_comes_back() {
        let mut server = Postgres::start();
        let store = Store::open(&StoreUrl::Postgres(server.url())).await.unwrap();
        let job = store.job_insert(job("/out/r"), vec![]).await.unwrap();
        server.stop();
        let error = store.job_get(job.id).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        server.begin();
        for _ in 0..50 {
            if store.job_get(job.id).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the store did not come back");
    }
}
