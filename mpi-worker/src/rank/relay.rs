//! Rank 0: between the engine's lines and the ranks, of which it is one itself. It decides nothing
//! about items: the engine hands out and accepts. It decides when all ranks end, and how.

use std::collections::BTreeMap;

use dvp_model::Rank;
use dvp_model::error::Reason;
use dvp_model::wire::worker::{
    BEAT_MS, FromWorker, PROTOCOL, RankInfo, SILENCE_MS, ToWorker, Versions, exit,
};

use super::compute::Seat;
use super::lines::Lines;
use super::link::Link;
use super::{Down, Nap, Task, Up, now_ms};
use crate::exit::Parent;
use crate::media;

/// Rank 0's state.
pub struct Relay {
    lines: Lines,
    versions: Versions,
    ranks: BTreeMap<Rank, RankInfo>,
    size: u32,
    /// The plan, until every rank has spoken and it is sent on.
    plan: Option<Box<dvp_model::plan::Plan>>,
    is_started: bool,
    is_draining: bool,
    over: u32,
    heard_ms: u64,
    beaten_ms: u64,
}

impl Relay {
    /// Rank 0 of `size` ranks.
    pub fn new(lines: Lines, info: RankInfo, size: u32) -> Self {
        Self {
            lines,
            versions: media::versions(),
            ranks: BTreeMap::from([(0, info)]),
            size,
            plan: None,
            is_started: false,
            is_draining: false,
            over: 0,
            heard_ms: now_ms(),
            beaten_ms: now_ms(),
        }
    }

    /// The lines, for what is still to be written.
    pub fn into_lines(self) -> Lines {
        self.lines
    }

    /// Relays until all ranks are to end; the code to end with. They have been told.
    pub fn run(&mut self, link: &mut Link, seat: &mut Seat, parent: Parent) -> u8 {
        let mut nap = Nap::new();
        loop {
            let (found, end) = self.look(link, seat);
            if let Some(code) = end {
                let all = if code == exit::OK { Down::Close } else { Down::Stop(code) };
                link.send_all(&all);
                return code;
            }
            if parent.is_gone() {
                link.send_all(&Down::Stop(exit::LINK));
                return exit::LINK;
            }
            self.lines.nap(nap.after(found));
        }
    }

    /// One look at the engine, the ranks, the own seat and the clock: whether anything happened, and
    /// the code to end with, if so.
    fn look(&mut self, link: &mut Link, seat: &mut Seat) -> (bool, Option<u8>) {
        let lines = match self.lines.read() {
            Ok(lines) => lines,
            Err(error) => {
                eprintln!("dvp-worker: the engine can't be heard: {error}");
                return (true, Some(exit::LINK));
            }
        };
        let mut found = !lines.is_empty();
        for line in lines {
            self.heard_ms = now_ms();
            if let Some(code) = self.engine(&line, link, seat) {
                return (true, Some(code));
            }
        }
        if self.lines.is_ended() {
            return (true, Some(exit::LINK));
        }
        while let Some((from, up)) = link.receive::<Up>() {
            found = true;
            self.rank(from, up);
        }
        for up in seat.turn(now_ms()) {
            found = true;
            self.rank(0, up);
        }
        if let Some(code) = self.start(link, seat) {
            return (true, Some(code));
        }
        link.pump();
        let now = now_ms();
        if now >= self.beaten_ms + BEAT_MS {
            self.beaten_ms = now;
            self.lines.say(FromWorker::Beat);
        }
        if self.is_draining && self.over == self.size {
            self.lines.say(FromWorker::Bye);
            return (true, Some(exit::OK));
        }
        if self.lines.wants_to_write() && self.lines.write().is_err() {
            return (true, Some(exit::LINK));
        }
        if now >= self.heard_ms + SILENCE_MS {
            eprintln!("dvp-worker: the engine said nothing for {} s", SILENCE_MS / 1000);
            return (true, Some(exit::LINK));
        }
        (found, None)
    }

    /// A line of the engine; the code to end with, if it asks for an end or makes no sense.
    fn engine(&mut self, line: &[u8], link: &mut Link, seat: &mut Seat) -> Option<u8> {
        let message: ToWorker = match serde_json::from_slice(line) {
            Ok(message) => message,
            Err(error) => return Some(self.refuse_line(&error.to_string())),
        };
        match message {
            ToWorker::Job { plan, .. } if self.plan.is_none() && !self.is_started => {
                self.plan = Some(plan);
            }
            ToWorker::Job { .. } => return Some(self.refuse_line("a second job")),
            ToWorker::Do { rank, .. } if rank >= self.size || !self.is_started => {
                return Some(
                    self.refuse_line(&format!("an item for rank {rank}, which is not there")),
                );
            }
            ToWorker::Do { rank, item, attempt, put } => {
                let down = Down::Do(Task { item, attempt, put });
                if rank == 0 { seat.take(down) } else { link.send(rank, &down) }
            }
            // The engine has it: nothing is kept here that could be forgotten.
            ToWorker::Ok { .. } | ToWorker::Beat => {}
            ToWorker::Drain if self.is_started => {
                self.is_draining = true;
                link.send_all(&Down::Drain);
                seat.take(Down::Drain);
            }
            // Nothing was begun: there is nothing to finish.
            ToWorker::Drain => {
                self.lines.say(FromWorker::Bye);
                return Some(exit::OK);
            }
            ToWorker::Cancel => return Some(exit::CANCELLED),
        }
        None
    }

    fn refuse_line(&mut self, what: &str) -> u8 {
        let text = format!("the ranks (protocol {PROTOCOL}) can't follow the engine: {what}");
        self.lines.say(FromWorker::Refused { reason: Reason::bug(text) });
        exit::PROTOCOL
    }

    /// What a rank says.
    fn rank(&mut self, rank: Rank, up: Up) {
        let line = match up {
            Up::Here(info) => {
                self.ranks.insert(rank, info);
                return;
            }
            Up::Over => {
                self.over += 1;
                return;
            }
            Up::Want => FromWorker::Want { rank },
            Up::Progress { item, frames } => FromWorker::Progress { rank, item, frames },
            Up::Done { task, report } => {
                FromWorker::Done { rank, item: task.item, attempt: task.attempt, report }
            }
            Up::Failed { task, reason } => {
                FromWorker::Failed { rank, item: task.item, attempt: task.attempt, reason }
            }
        };
        self.lines.say(line);
    }

    /// Once the plan is there and every rank has spoken: hello, and the plan to all.
    fn start(&mut self, link: &mut Link, seat: &mut Seat) -> Option<u8> {
        if self.ranks.len() < self.size as usize {
            return None;
        }
        let plan = self.plan.take()?;
        let ranks: Vec<RankInfo> = self.ranks.values().cloned().collect();
        self.lines.say(FromWorker::Hello { versions: self.versions.clone(), ranks });
        let other = self.ranks.values().find(|info| info.fingerprint != plan.fingerprint);
        if let Some(info) = other {
            let reason = Reason::machine(format!(
                "rank {} on {} has another environment ({}) than the plan ({}): plan again, or mend that machine",
                info.rank, info.host, info.fingerprint, plan.fingerprint
            ));
            self.lines.say(FromWorker::Refused { reason });
            return Some(exit::FAILED);
        }
        self.is_started = true;
        link.send_all(&Down::Plan(plan.clone()));
        seat.take(Down::Plan(plan));
        None
    }
}
