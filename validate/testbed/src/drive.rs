//! Plays the engine to real ranks: plans, launches, hands out items, accepts, launches again after a
//! kill, assembles. No database, no API: what is left when only the worker's side is in question.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dvp_model::id::{Epoch, Item, JobId, RunTag};
use dvp_model::plan::Plan;
use dvp_model::spec::{SpecText, resolve, task};
use dvp_model::wire::worker::{
    Accepted, AssembleRequest, BEAT_MS, FromWorker, Locator, PlanRequest, ToWorker,
};
use serde::Serialize;

use crate::faults;
use crate::mpi::{self, Assembly};

/// What to drive.
#[derive(Clone, Debug)]
pub struct Drive {
    /// The input.
    pub input: PathBuf,
    /// The output; overwritten.
    pub output: PathBuf,
    /// Tasks and parameters.
    pub spec: SpecText,
    /// Ranks of each launch.
    pub ranks: u32,
    /// SIGKILL a working rank once so many items are accepted.
    pub kill_after: Option<usize>,
    /// Folder of chunk objects.
    pub objects: PathBuf,
    /// Launches at most.
    pub launches: u32,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// SHA-256 of the output.
    pub sha256: String,
    /// Pictures of the output.
    pub frames: u64,
    /// Chunks of the plan.
    pub chunks: usize,
    /// Launches that were needed.
    pub launches: u32,
    /// How often each item was handed out, by name.
    pub handed_out: BTreeMap<String, u32>,
    /// Items that were handed out again after they had been accepted: must be empty.
    pub redone: Vec<String>,
}

impl Drive {
    /// `input` to `output` on `ranks` ranks, with `set` as `("convert.codec", "ffv1")` pairs and the
    /// tasks that they name. Objects lie beside the output.
    pub fn new(input: &Path, output: &Path, ranks: u32, set: &[(&str, &str)]) -> Self {
        let mut spec = SpecText::default();
        for (key, value) in set {
            let task = key.split('.').next().unwrap_or_default();
            if task::task(task).is_some() && !spec.tasks.iter().any(|known| known == task) {
                spec.tasks.push(task.to_owned());
            }
            spec.set.insert((*key).to_owned(), (*value).to_owned());
        }
        let mut objects = output.as_os_str().to_owned();
        objects.push(".objects");
        Self {
            input: input.to_owned(),
            output: output.to_owned(),
            spec,
            ranks,
            kill_after: None,
            objects: objects.into(),
            launches: 4,
        }
    }

    /// Kills a working rank once `items` are accepted.
    pub fn kill_after(self, items: usize) -> Self {
        Self { kill_after: Some(items), ..self }
    }

    /// The plan alone.
    ///
    /// # Errors
    /// What is wrong with the spec, or the worker's reason.
    pub fn plan(&self) -> Result<Plan> {
        let extension = self.output.extension().and_then(|text| text.to_str());
        let spec = resolve(&self.spec, extension).map_err(|reasons| {
            let all: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", all.join("; "))
        })?;
        mpi::plan(&PlanRequest { input: self.input.clone().into(), spec })
    }

    /// The whole way, from plan to verified output.
    ///
    /// # Errors
    /// The worker's reason, or that ranks ended more often than allowed.
    pub fn run(&self) -> Result<Outcome> {
        self.run_planned(&self.plan()?)
    }

    /// The way after planning.
    ///
    /// # Errors
    /// As [`Drive::run`].
    pub fn run_planned(&self, plan: &Plan) -> Result<Outcome> {
        fs::create_dir_all(&self.objects)?;
        let mut ledger = Ledger::new(plan);
        for launch in 1..=self.launches {
            if ledger.waiting.is_empty() {
                break;
            }
            let kill_after = self.kill_after.filter(|_| launch == 1);
            Launch::start(self, launch)?.work(plan, &mut ledger, kill_after)?;
            ledger.requeue();
            if ledger.waiting.is_empty() {
                match self.assemble(plan, &ledger)? {
                    Assembly::Whole(output) => {
                        return Ok(Outcome {
                            sha256: output.sha256,
                            frames: output.frames,
                            chunks: plan.chunks.len(),
                            launches: launch,
                            handed_out: ledger.named(),
                            redone: ledger.redone,
                        });
                    }
                    Assembly::Damaged(items) => ledger.forget(&items),
                }
            }
        }
        bail!("{} launches did not finish {:?}", self.launches, ledger.waiting)
    }

    fn assemble(&self, plan: &Plan, ledger: &Ledger) -> Result<Assembly> {
        mpi::assemble(&AssembleRequest {
            plan: plan.clone(),
            objects: ledger.accepted.values().cloned().collect(),
            output: self.output.clone().into(),
        })
    }
}

/// Items and what became of them.
struct Ledger {
    waiting: VecDeque<Item>,
    in_flight: Vec<Item>,
    accepted: BTreeMap<Item, Accepted>,
    handed_out: BTreeMap<Item, u32>,
    redone: Vec<String>,
}

impl Ledger {
    fn new(plan: &Plan) -> Self {
        Self {
            waiting: plan.items().collect(),
            in_flight: Vec::new(),
            accepted: BTreeMap::new(),
            handed_out: BTreeMap::new(),
            redone: Vec::new(),
        }
    }

    fn next(&mut self) -> Option<(Item, u32)> {
        let item = self.waiting.pop_front()?;
        self.in_flight.push(item);
        if self.accepted.contains_key(&item) {
            self.redone.push(item.to_string());
        }
        let attempt = self.handed_out.entry(item).or_default();
        *attempt += 1;
        Some((item, *attempt))
    }

    fn accept(&mut self, accepted: Accepted) {
        self.in_flight.retain(|item| *item != accepted.item);
        self.accepted.insert(accepted.item, accepted);
    }

    fn requeue(&mut self) {
        self.waiting.extend(self.in_flight.drain(..));
    }

    fn forget(&mut self, items: &[Item]) {
        self.accepted.retain(|item, _| !items.contains(item));
        self.waiting.extend(items);
    }

    fn named(&self) -> BTreeMap<String, u32> {
        self.handed_out.iter().map(|(item, count)| (item.to_string(), *count)).collect()
    }
}

/// What reaches the driver while ranks work.
enum Event {
    Line(String),
    Beat,
    End,
}

/// One mpirun.
struct Launch {
    child: Child,
    stdin: ChildStdin,
    events: mpsc::Receiver<Event>,
    run: RunTag,
    objects: PathBuf,
    /// Made before mpirun starts, removed with the launch.
    _run_dir: tempfile::TempDir,
}

impl Launch {
    fn start(drive: &Drive, launch: u32) -> Result<Self> {
        let run_dir = tempfile::Builder::new().prefix("dvp-run-").tempdir()?;
        let run = RunTag { job: JobId(uuid::Uuid::new_v4()), epoch: Epoch(launch) };
        let mut child = mpi::mpirun(drive.ranks, run_dir.path())
            .env("DVP_RUN", run.to_string())
            .spawn()
            .context("mpirun did not start")?;
        let stdin = child.stdin.take().context("stdin is a pipe")?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let (sender, events) = mpsc::channel();
        let beats = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                if sender.send(Event::Line(line)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Event::End);
        });
        std::thread::spawn(move || {
            while beats.send(Event::Beat).is_ok() {
                std::thread::sleep(Duration::from_millis(BEAT_MS));
            }
        });
        let objects = drive.objects.clone();
        Ok(Self { child, stdin, events, run, objects, _run_dir: run_dir })
    }

    fn send(&mut self, message: &ToWorker) -> Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        Ok(self.stdin.write_all(&line)?)
    }

    /// Hands out and accepts until all is accepted or the ranks are gone.
    fn work(mut self, plan: &Plan, ledger: &mut Ledger, kill_after: Option<usize>) -> Result<()> {
        self.send(&ToWorker::Job { run: self.run.clone(), plan: Box::new(plan.clone()) })?;
        let mut kill_after = kill_after;
        loop {
            let Ok(event) = self.events.recv_timeout(Duration::from_secs(60)) else {
                bail!("the ranks said nothing for a minute")
            };
            let message = match event {
                Event::End => return Ok(()),
                // A launch that is dying no longer reads: its end is what counts.
                Event::Beat => {
                    let _ = self.send(&ToWorker::Beat);
                    continue;
                }
                Event::Line(line) => serde_json::from_str::<FromWorker>(&line)
                    .with_context(|| format!("rank 0 printed: {line}"))?,
            };
            match message {
                FromWorker::Hello { versions, ranks } => {
                    ensure!(versions.fingerprint == plan.fingerprint, "another environment");
                    ensure!(!ranks.is_empty(), "hello names no rank");
                }
                FromWorker::Want { rank } => {
                    if let Some((item, attempt)) = ledger.next() {
                        let put = Locator::File(self.place(item, attempt).into());
                        let _ = self.send(&ToWorker::Do { rank, item, attempt, put });
                    }
                }
                FromWorker::Done { rank, item, attempt, report } => {
                    let object = Locator::File(self.place(item, attempt).into());
                    let sha256 = report.sha256.clone();
                    ledger.accept(Accepted { item, object, sha256, report });
                    let _ = self.send(&ToWorker::Ok { rank, item });
                    if kill_after.is_some_and(|after| ledger.accepted.len() >= after) {
                        kill_after = None;
                        self.kill_a_rank()?;
                    }
                    if ledger.waiting.is_empty() && ledger.in_flight.is_empty() {
                        let _ = self.send(&ToWorker::Drain);
                    }
                }
                FromWorker::Failed { reason, .. } | FromWorker::Refused { reason } => {
                    return Err(reason.into());
                }
                FromWorker::Progress { .. } | FromWorker::Beat | FromWorker::Bye => {}
            }
        }
    }

    fn place(&self, item: Item, attempt: u32) -> PathBuf {
        let name = match item {
            Item::Chunk(index) => format!("chunk-{index}"),
            Item::Sound => "sound".to_owned(),
        };
        self.objects.join(format!("{name}.{}.{attempt}", self.run.epoch))
    }

    fn kill_a_rank(&self) -> Result<()> {
        let ranks = faults::ranks(&self.run.to_string());
        let victim = ranks.last().context("no rank carries the run's tag")?;
        faults::kill(victim.pid);
        Ok(())
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        mpi::end(&mut self.child);
        for process in faults::tagged(&self.run.to_string()) {
            faults::kill(process.pid);
        }
    }
}
