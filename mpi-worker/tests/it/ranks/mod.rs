//! Tests of the ranks: the protocol, how they end, what they leave, and that their number and their
//! fate change no byte.

mod bytes;
mod ends;
mod limits;
mod protocol;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use dvp_model::id::{ChunkIndex, Epoch, Item, JobId, RunTag};
use dvp_model::media::{Color, Identity, Index, Picture, Video};
use dvp_model::plan::Plan;
use dvp_model::plan::make::{Environment, make};
use dvp_model::spec::{SpecText, resolve};
use dvp_model::time::Ratio;
use dvp_model::wire::worker::{FromWorker, Locator, RankInfo, ToWorker};
use testbed::wait::wait_for;
use testbed::{faults, mpi};

/// Generous: a machine that is busy with other tests is no fault.
const LIMIT: Duration = Duration::from_secs(60);

/// One mpirun with its ranks, and the engine's end of the link.
struct Ranks {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    run: RunTag,
    /// Removed with the launch, as the engine does.
    run_dir: tempfile::TempDir,
}

impl Ranks {
    fn start(ranks: u32) -> Self {
        let run_dir = tempfile::Builder::new().prefix("dvp-run-").tempdir().expect("a folder");
        let run = RunTag { job: JobId(uuid::Uuid::new_v4()), epoch: Epoch(1) };
        let mut child = mpi::mpirun(ranks, run_dir.path())
            .env("DVP_RUN", run.to_string())
            .spawn()
            .expect("mpirun starts");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let (give, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if line.is_ok_and(|line| give.send(line).is_ok()) {
                    continue;
                }
                return;
            }
        });
        Self { child, stdin, lines, run, run_dir }
    }

    /// Starts ranks and gives them a plan.
    fn with_plan(ranks: u32, plan: &Plan) -> Self {
        let mut all = Self::start(ranks);
        all.send(&ToWorker::Job { run: all.run.clone(), plan: Box::new(plan.clone()) });
        all
    }

    fn send(&mut self, message: &ToWorker) {
        self.send_line(&serde_json::to_string(message).expect("a line"));
    }

    fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the link is open");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("rank 0 reads");
    }

    /// The engine's end closes.
    fn close_link(&mut self) {
        self.stdin = None;
    }

    /// The next line; none after the last.
    fn next(&mut self) -> Option<FromWorker> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(
                serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("rank 0 printed '{line}': {error}")),
            ),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("rank 0 said nothing for {LIMIT:?}"),
        }
    }

    /// The next line that `wanted` takes something from; others are passed over.
    fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(FromWorker) -> Option<T>) -> T {
        while let Some(line) = self.next() {
            if let Some(found) = wanted(line) {
                return found;
            }
        }
        panic!("the ranks ended before {what}")
    }

    /// Waits for hello: the ranks as they name themselves.
    fn hello(&mut self) -> Vec<RankInfo> {
        self.until("hello", |line| match line {
            FromWorker::Hello { ranks, .. } => Some(ranks),
            _ => None,
        })
    }

    /// Hands out every item of `plan` into `objects`, calls `each` after every accepted one, and drains.
    fn work(&mut self, plan: &Plan, objects: &Path, mut each: impl FnMut(&Self, Item)) {
        let mut waiting: Vec<Item> = plan.items().collect();
        let mut left = waiting.len();
        waiting.reverse();
        while left > 0 {
            match self.next().expect("the ranks work until they are drained") {
                FromWorker::Want { rank } => {
                    if let Some(item) = waiting.pop() {
                        let put = place(objects, item);
                        self.send(&ToWorker::Do { rank, item, attempt: 1, put });
                    }
                }
                FromWorker::Done { rank, item, .. } => {
                    left -= 1;
                    self.send(&ToWorker::Ok { rank, item });
                    each(self, item);
                }
                FromWorker::Failed { item, reason, .. } => panic!("{item} failed: {reason}"),
                FromWorker::Refused { reason } => panic!("refused: {reason}"),
                _ => {}
            }
        }
        self.send(&ToWorker::Drain);
        assert_eq!(self.ended(), Some(0));
    }

    /// Waits for mpirun's end: its exit code, none when a signal ended it.
    fn ended(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let status = wait_for("the end of mpirun", LIMIT, || {
            child.try_wait().map_err(|error| error.to_string())?.ok_or("it runs".to_owned())
        });
        status.code()
    }

    /// Waits until no process carries the launch's tag.
    fn wait_until_gone(&self) {
        wait_for("the end of all ranks", LIMIT, || {
            let left = faults::tagged(&self.run.to_string());
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        mpi::end(&mut self.child);
        for process in faults::tagged(&self.run.to_string()) {
            faults::kill(process.pid);
        }
    }
}

fn place(objects: &Path, item: Item) -> Locator {
    let name = match item {
        Item::Chunk(ChunkIndex(index)) => format!("chunk-{index}"),
        Item::Sound => "sound".to_owned(),
    };
    Locator::File(objects.join(name).into())
}

/// A plan of this environment whose input does not exist: every item of it fails, with a reason.
fn plan_without_input() -> Plan {
    let unknown = || "unknown".to_owned();
    let color = Color {
        range: unknown(),
        primaries: unknown(),
        transfer: unknown(),
        matrix: unknown(),
        chroma: unknown(),
    };
    let index = Index {
        identity: Identity {
            path: "/nonexistent/film".into(),
            size: 1,
            mtime_ns: 0,
            ctime_ns: 0,
            inode: 0,
        },
        format: "matroska,webm".to_owned(),
        start_us: 0,
        duration_us: 400_000,
        video: Video {
            stream: 0,
            codec: "h264".to_owned(),
            width: 320,
            height: 180,
            pixel_format: "yuv420p".to_owned(),
            time_base: Ratio::new(1, 25),
            frame_rate: Ratio::new(25, 1),
            sample_aspect: Ratio::new(1, 1),
            rotation: 0,
            intra_only: false,
            reorder: 0,
            stamps: (0..10).collect(),
            last_duration: 1,
            counted: None,
            splices: Vec::new(),
            runs: Vec::new(),
            damage: Vec::new(),
            upright: String::new(),
            color: color.clone(),
            undecodable: 0,
        },
        audio: Vec::new(),
        left_out: Vec::new(),
        tags: Vec::new(),
        others: Vec::new(),
    };
    let text = SpecText {
        tasks: Vec::new(),
        set: BTreeMap::from([
            ("convert.codec".to_owned(), "ffv1".to_owned()),
            ("plan.chunk_frames".to_owned(), "5".to_owned()),
        ]),
    };
    let spec = resolve(&text, Some("mkv")).expect("a spec");
    let environment = Environment {
        fingerprint: mpi::versions().expect("the worker runs").fingerprint,
        picture: Picture {
            width: 320,
            height: 180,
            format: "yuv420p".to_owned(),
            sample_aspect: Ratio::new(1, 1),
            color,
            interlaced: false,
            beside: Vec::new(),
        },
        graph: String::new(),
    };
    make(&index, &spec, &environment).expect("a plan")
}
