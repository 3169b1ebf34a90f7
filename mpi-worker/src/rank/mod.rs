//! The ranks: `mpirun dvp-worker work`. Rank 0 relays between the engine's lines and the ranks, and
//! works too. The main thread of each owns MPI and sleeps between looks; one other thread computes.
//! Knows nothing of what is in a chunk.

pub mod compute;
mod hello;
pub mod lines;
pub mod link;
pub mod relay;

use std::time::Duration;

use dvp_model::Item;
use dvp_model::error::Reason;
use dvp_model::plan::Plan;
use dvp_model::wire::worker::{Locator, RankInfo, Report, exit};
use mpi::Threading;
use mpi::environment::Universe;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use self::compute::Seat;
pub use self::hello::hello;
use self::lines::Lines;
use self::link::Link;
use self::relay::Relay;
use crate::exit::{self as ending, Parent};
use crate::media;

/// What rank 0 tells a rank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Down {
    /// What all this is about. Ask for items now.
    Plan(Box<Plan>),
    /// Do this.
    Do(Task),
    /// Finish what is in hand, then say `Over`.
    Drain,
    /// All ranks are over: end well.
    Close,
    /// Stop at once and end with this code.
    Stop(u8),
}

/// An item as it was handed out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// What.
    pub item: Item,
    /// Which try.
    pub attempt: u32,
    /// Where its object goes.
    pub put: Locator,
}

/// What a rank tells rank 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Up {
    /// It is there.
    Here(RankInfo),
    /// It can take one more item.
    Want,
    /// How far it is. May be dropped.
    Progress {
        /// With what.
        item: Item,
        /// Pictures so far.
        frames: u64,
    },
    /// An item is done and stored.
    Done {
        /// Which.
        task: Task,
        /// What was found.
        report: Report,
    },
    /// An item can't be done.
    Failed {
        /// Which.
        task: Task,
        /// Why.
        reason: Reason,
    },
    /// Drained: nothing in hand.
    Over,
}

/// Milliseconds of a clock that counts while the machine sleeps, and that nobody sets.
pub fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// The nap between two looks: a millisecond while things happen, longer when nothing does.
#[derive(Debug)]
pub struct Nap(u64);

impl Nap {
    const SHORTEST_MS: u64 = 1;
    const LONGEST_MS: u64 = 16;

    fn new() -> Self {
        Self(Self::SHORTEST_MS * 8)
    }

    /// Milliseconds to sleep, after a look that found something or nothing.
    fn after(&mut self, found: bool) -> u64 {
        // Counted in eighths, so that it stays short for a while after something happened.
        self.0 = if found { Self::SHORTEST_MS * 8 } else { (self.0 + 1).min(Self::LONGEST_MS * 8) };
        self.0 / 8
    }
}

/// A rank that is up.
struct Begun {
    universe: Universe,
    lines: Lines,
    link: Link,
    seat: Seat,
    info: RankInfo,
    parent: Parent,
}

/// Brings this rank up; the code to end with when it can't be.
fn begin() -> Result<Begun, u8> {
    let parent = Parent::get();
    // libav, MPI and any library may print: what they print must not land between protocol lines.
    let lines = Lines::take_stdout().map_err(|error| {
        eprintln!("dvp-worker: stdout can't be kept for the protocol: {error}");
        exit::LINK
    })?;
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
        eprintln!("dvp-worker: MPI could not be initialised: start it under mpirun");
        return Err(exit::FAILED);
    };
    if threading < Threading::Funneled {
        eprintln!("dvp-worker: this MPI library allows no threads beside it");
        return Err(exit::FAILED);
    }
    media::init();
    let link = Link::new(universe.world());
    let info = RankInfo {
        rank: link.rank(),
        host: mpi::environment::processor_name().unwrap_or_default(),
        pid: std::process::id(),
        fingerprint: media::versions().fingerprint,
    };
    Ok(Begun { universe, lines, link, seat: Seat::new(), info, parent })
}

/// `work`: the exit code of this rank.
pub fn work() -> u8 {
    let Begun { universe, lines, mut link, mut seat, info, parent } = match begin() {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let (code, lines) = if link.rank() == 0 {
        let mut relay = Relay::new(lines, info, link.size());
        let code = relay.run(&mut link, &mut seat, parent);
        (code, Some(relay.into_lines()))
    } else {
        drop(lines);
        (follow(&mut link, &mut seat, info, parent), None)
    };
    close(universe, link, seat, lines, code)
}

/// The life of a rank other than 0.
fn follow(link: &mut Link, seat: &mut Seat, info: RankInfo, parent: Parent) -> u8 {
    link.send(0, &Up::Here(info));
    let mut nap = Nap::new();
    let mut looked_ms = now_ms();
    loop {
        let mut found = false;
        while let Some((_, down)) = link.receive::<Down>() {
            found = true;
            match down {
                Down::Close => return exit::OK,
                Down::Stop(code) => return code,
                other => seat.take(other),
            }
        }
        for up in seat.turn(now_ms()) {
            found = true;
            match up {
                Up::Progress { .. } if link.is_behind(0) => {}
                up => link.send(0, &up),
            }
        }
        link.pump();
        if now_ms() >= looked_ms + 500 {
            looked_ms = now_ms();
            if parent.is_gone() {
                return exit::LINK;
            }
        }
        std::thread::sleep(Duration::from_millis(nap.after(found)));
    }
}

/// Ends this rank with `code`: what computes is stopped, what is still to be sent is sent, and all meet
/// in `MPI_Finalize`; a rank that can't in time takes all others down with it.
fn close(universe: Universe, mut link: Link, mut seat: Seat, lines: Option<Lines>, code: u8) -> u8 {
    let limit_ms = if code == exit::OK { 10_000 } else { 1_500 };
    let deadline_ms = now_ms() + limit_ms;
    seat.stop();
    let mut lines = lines;
    let mut flushed = false;
    while now_ms() < deadline_ms {
        link.pump();
        while link.receive::<serde_json::Value>().is_some() {}
        // Where nobody reads any more, there is nothing left to say.
        flushed = lines.as_mut().is_none_or(|lines| lines.write().unwrap_or(0) == 0);
        if link.is_sent() && seat.is_idle() && flushed {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if !(link.is_sent() && seat.is_idle() && flushed) {
        seat.abandon();
        ending::at_latest(Duration::from_millis(1_000), code);
        link.abort(code);
    }
    ending::at_latest(Duration::from_millis(limit_ms), code);
    drop(link);
    drop(universe);
    // Not `exit`: handlers of libraries have nothing to do that matters, and could hang.
    ending::now(code)
}
