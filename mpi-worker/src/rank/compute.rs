//! A rank's own half: which items it has in hand, and the thread that computes them. Knows nothing of
//! MPI or of lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use dvp_model::error::Reason;
use dvp_model::plan::Plan;
use dvp_model::wire::worker::Report;

use super::{Down, Task, Up};
use crate::{exit as ending, media, transfer};

/// The item that is computed, and the one after it.
const IN_HAND: usize = 2;
/// Progress is told so often at most, milliseconds.
const PACE_MS: u64 = 250;
/// libav expects the stack of a main thread.
const STACK: usize = 8 << 20;

type Outcome = Result<Report, Reason>;

/// A rank's seat.
pub struct Seat {
    plan: Option<Arc<Plan>>,
    waiting: VecDeque<Task>,
    current: Option<Task>,
    /// Asked for and not yet given.
    wants: usize,
    is_draining: bool,
    is_over: bool,
    told: (u64, u64),
    frames: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    jobs: SyncSender<(Arc<Plan>, Task)>,
    outcomes: Receiver<Outcome>,
}

impl Default for Seat {
    fn default() -> Self {
        Self::new()
    }
}

impl Seat {
    /// An empty seat, and its thread, asleep.
    pub fn new() -> Self {
        let (jobs, take) = sync_channel::<(Arc<Plan>, Task)>(1);
        let (give, outcomes) = sync_channel(1);
        let frames = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (counter, stopped) = (frames.clone(), stop.clone());
        let compute = move || {
            while let Ok((plan, task)) = take.recv() {
                let outcome = transfer::store(&task.put, |dest| {
                    let mut progress = |frames| counter.store(frames, Ordering::Relaxed);
                    media::run_item(&plan, task.item, dest, &mut progress, &stopped)
                });
                if give.send(outcome).is_err() {
                    return;
                }
            }
        };
        if let Err(error) =
            thread::Builder::new().name("compute".into()).stack_size(STACK).spawn(compute)
        {
            eprintln!("dvp-worker: no thread to compute on: {error}");
            ending::now(dvp_model::wire::worker::exit::FAILED);
        }
        Self {
            plan: None,
            waiting: VecDeque::new(),
            current: None,
            wants: 0,
            is_draining: false,
            is_over: false,
            told: (0, 0),
            frames,
            stop,
            jobs,
            outcomes,
        }
    }

    /// Takes what rank 0 says. `Close` and `Stop` are the caller's.
    pub fn take(&mut self, down: Down) {
        match down {
            Down::Plan(plan) => self.plan = Some(Arc::from(plan)),
            Down::Do(task) => {
                self.wants = self.wants.saturating_sub(1);
                self.waiting.push_back(task);
            }
            Down::Drain => self.is_draining = true,
            Down::Close | Down::Stop(_) => {}
        }
    }

    /// One look at the thread: what there is to tell.
    pub fn turn(&mut self, now_ms: u64) -> Vec<Up> {
        let mut tell = Vec::new();
        let Some(plan) = self.plan.clone() else { return tell };
        match self.outcomes.try_recv() {
            Ok(outcome) => {
                if let Some(task) = self.current.take() {
                    tell.push(match outcome {
                        Ok(report) => Up::Done { task, report },
                        Err(reason) => Up::Failed { task, reason },
                    });
                }
            }
            Err(TryRecvError::Empty) => {}
            // Its thread can only end by a panic, which ends the process.
            Err(TryRecvError::Disconnected) => ending::now(dvp_model::wire::worker::exit::BUG),
        }
        if self.current.is_none()
            && let Some(task) = self.waiting.pop_front()
        {
            self.frames.store(0, Ordering::Relaxed);
            self.told = (0, now_ms);
            self.current = Some(task.clone());
            // Never full: the thread took the one before, whose outcome was seen.
            let _ = self.jobs.try_send((plan, task));
        }
        if self.is_draining {
            if self.current.is_none() && !self.is_over {
                self.is_over = true;
                tell.push(Up::Over);
            }
        } else {
            let in_hand = self.waiting.len() + usize::from(self.current.is_some());
            while in_hand + self.wants < IN_HAND {
                self.wants += 1;
                tell.push(Up::Want);
            }
        }
        let frames = self.frames.load(Ordering::Relaxed);
        if let Some(task) = &self.current
            && frames != self.told.0
            && now_ms >= self.told.1 + PACE_MS
        {
            self.told = (frames, now_ms);
            tell.push(Up::Progress { item: task.item, frames });
        }
        tell
    }

    /// Stops what computes, and forgets what waits.
    pub fn stop(&mut self) {
        self.waiting.clear();
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Removes what the thread has written so far, which will not come to an end.
    pub fn abandon(&self) {
        if let Some(task) = &self.current {
            transfer::abandon(&task.put);
        }
    }

    /// Whether nothing computes.
    pub fn is_idle(&mut self) -> bool {
        if self.outcomes.try_recv().is_ok() {
            self.current = None;
        }
        self.current.is_none()
    }
}
