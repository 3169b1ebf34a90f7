//! Reads a window of a film: its pictures in order, each once, decoded as a run over the whole file would
//! decode them. Knows nothing of filters and encoders.
//!
//! The rule: seek, decode; when the first picture comes later than the window's first, or the decoder
//! complains on the way to it, begin again twice as far back, at the file's start at worst. An entry
//! point whose key flag promises too little is not trusted: decoding begins one entry earlier. Where
//! pictures are counted, decoding begins at the file's start.

use std::fmt::Arguments;
use std::sync::atomic::AtomicBool;

use dvp_model::error::Reason;
use dvp_model::plan::Plan;
use dvp_model::time::Ratio;

use super::av::{self, Frame};
use super::decode;
use super::log;
use super::pass::{self, Begin, Film, Pass, Trouble};

/// What a picture is to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Just before the first wanted one; only given when decoding passed it anyway, perhaps repeatedly.
    Before,
    /// The wanted picture of this number.
    Wanted(usize),
}

/// Why a window could not be read.
#[derive(Debug)]
pub enum Fault {
    /// What was given so far can't be trusted: throw it away, then run again.
    Again,
    /// It can't be helped.
    Final(Reason),
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Self {
        Fault::Final(reason)
    }
}

/// Takes pictures as they are decoded.
pub type Take<'t> = &'t mut dyn FnMut(Place, &mut Frame) -> Result<(), Reason>;

/// Reads one window.
pub struct Reader<'a> {
    plan: &'a Plan,
    film: Film,
    stretches: Vec<Stretch<'a>>,
}

impl<'a> Reader<'a> {
    /// For the pictures `wanted` (the film's times, rising, not empty); `before` is the one just before.
    pub fn new(plan: &'a Plan, wanted: &[i64], before: Option<i64>) -> Self {
        let film = Film::of(plan);
        let runs = &plan.video.runs;
        let run_of = |stamp: i64| runs.partition_point(|run| run.from <= stamp).max(1) - 1;
        let in_file = |stamp: i64| stamp + runs.get(run_of(stamp)).map_or(0, |run| run.shift);
        let mut stretches = Vec::new();
        for same in wanted.chunk_by(|a, b| run_of(*a) == run_of(*b)) {
            let before =
                before.filter(|&before| stretches.is_empty() && run_of(before) == run_of(same[0]));
            let wanted = same.iter().map(|&stamp| in_file(stamp)).collect();
            stretches.push(Stretch::new(plan, wanted, before.map(in_file)));
        }
        Self { plan, film, stretches }
    }

    /// Gives every wanted picture to `take`, in order.
    pub fn run(&mut self, stop: &AtomicBool, take: Take) -> Result<(), Fault> {
        let mut given = 0;
        for stretch in &mut self.stretches {
            let mut moved = |place: Place, frame: &mut Frame| match place {
                Place::Wanted(number) => take(Place::Wanted(given + number), frame),
                Place::Before => take(place, frame),
            };
            match self.plan.video.counted {
                Some(passed) => stretch.count(&self.film, passed, stop, &mut moved)?,
                None => stretch.run(&self.film, stop, &mut moved)?,
            }
            given += stretch.wanted.len();
        }
        Ok(())
    }
}

/// Pictures that follow each other in the file. Decoding begins further and further back as needed.
struct Stretch<'a> {
    plan: &'a Plan,
    /// Times as they stand in the file.
    wanted: Vec<i64>,
    before: Option<i64>,
    begin: Begin,
    /// How far before the window decoding is to begin, in ticks.
    reach: i64,
    /// Decoding must begin before this entry, which was doubtful.
    insured: Option<i64>,
    /// Decoding began anew because of damage within the window.
    again: bool,
}

impl<'a> Stretch<'a> {
    fn new(plan: &'a Plan, wanted: Vec<i64>, before: Option<i64>) -> Self {
        let begin = Begin::Start;
        let mut stretch =
            Self { plan, wanted, before, begin, reach: 0, insured: None, again: false };
        stretch.begin = stretch.near(stretch.wanted[0]);
        stretch
    }

    fn run(&mut self, film: &Film, stop: &AtomicBool, take: Take) -> Result<(), Fault> {
        let first = self.wanted[0];
        loop {
            let mut pass = Window::open(self.plan, film, self.begin)?;
            let primed = pass.pass.prime(first, stop)?;
            let (begun, at_start) = (pass.pass.begun, self.begin == Begin::Start);
            if !primed && at_start {
                return Err(Fault::Final(pass.damage(first)));
            }
            let late = self.insured.is_some_and(|entry| begun.is_some_and(|begun| begun >= entry));
            if !primed || (!at_start && (late || pass.pass.shown.is_some_and(|at| at > first))) {
                self.step_back(film, begun);
                continue;
            }
            if pass.pass.doubtful && self.insured.is_none() && !at_start {
                self.insured = begun;
                self.begin = self.near(begun.map_or(i64::MIN, |begun| begun - 1));
                continue;
            }
            let Some(at) = pass.run(&self.wanted, self.before, stop, take)? else { return Ok(()) };
            let in_window = pass.given > 0;
            if at_start || (in_window && self.again) {
                return Err(Fault::Final(pass.damage(at)));
            }
            self.step_back(film, begun);
            if in_window {
                self.again = true;
                return Err(Fault::Again);
            }
        }
    }

    /// Decodes from the film's start, and finds the pictures by their number.
    fn count(&self, film: &Film, passed: u64, stop: &AtomicBool, take: Take) -> Result<(), Fault> {
        let mut pass = Window::open(self.plan, film, Begin::Start)?;
        let first = self.wanted[0];
        for number in 0.. {
            let Some(&stamp) = self.wanted.get(pass.given) else { return Ok(()) };
            let place = match number >= passed {
                true => Some(Place::Wanted(pass.given)),
                false => (number + 1 == passed).then_some(Place::Before),
            };
            match pass.pass.next(stop) {
                Ok(true) if pass.pass.is_clean() => {}
                Err(Trouble::Final(reason)) => return Err(reason.into()),
                _ => return Err(Fault::Final(pass.damage(stamp.max(first)))),
            }
            if let Some(place) = place {
                pass.check_kind(stamp)?;
                pass.give(place, take)?;
            }
            pass.given += usize::from(number >= passed);
        }
        Ok(())
    }

    /// Twice as far, and at least to before where decoding began.
    fn step_back(&mut self, film: &Film, begun: Option<i64>) {
        let first = self.wanted[0];
        let begun = begun.map_or(0, |begun| first - begun + 1);
        self.reach = (2 * self.reach).max(2 * begun).max(2 * film.second());
        self.begin = self.near(first.saturating_sub(self.reach));
    }

    fn near(&self, target: i64) -> Begin {
        let video = &self.plan.video;
        // Without its edits, a file's media begins at 0.
        let origin = if video.runs.is_empty() { video.source_origin } else { 0 };
        match target <= origin {
            true => Begin::Start,
            false => Begin::Near(target),
        }
    }
}

/// One run through the window.
struct Window<'a> {
    plan: &'a Plan,
    pass: Pass,
    /// Wanted pictures given.
    given: usize,
}

impl<'a> Window<'a> {
    fn open(plan: &'a Plan, film: &Film, begin: Begin) -> Result<Window<'a>, Reason> {
        Ok(Window { plan, pass: Pass::open(film, begin)?, given: 0 })
    }

    /// Gives the window's pictures; or says at which time it could not go on.
    fn run(
        &mut self,
        wanted: &[i64],
        before: Option<i64>,
        stop: &AtomicBool,
        take: Take,
    ) -> Result<Option<i64>, Reason> {
        while let Some(&next) = wanted.get(self.given) {
            match self.pass.next(stop) {
                Ok(true) => {}
                Ok(false) | Err(Trouble::Damage) => return Ok(Some(next)),
                Err(Trouble::Final(reason)) => return Err(reason),
            }
            let Some(stamp) = decode::stamp_of(&self.pass.frame) else { return Ok(Some(next)) };
            if !self.pass.is_clean() {
                return Ok(Some(stamp));
            }
            if stamp < wanted[0] {
                if Some(stamp) == before {
                    self.give(Place::Before, take)?;
                }
                continue;
            }
            if stamp != next {
                return Ok(Some(next));
            }
            self.check_kind(stamp)?;
            self.give(Place::Wanted(self.given), take)?;
            self.given += 1;
        }
        Ok(None)
    }

    /// Hands the picture on. What filters and encoders complain of on the way is no damage of the source.
    fn give(
        &mut self,
        place: Place,
        take: &mut dyn FnMut(Place, &mut Frame) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let before = log::complaints();
        take(place, &mut self.pass.frame)?;
        self.pass.forgive(log::complaints() - before);
        Ok(())
    }

    /// One size and format throughout.
    fn check_kind(&self, stamp: i64) -> Result<(), Reason> {
        let (raw, video) = (self.pass.frame.get(), &self.plan.video);
        let size = (raw.width as u32, raw.height as u32);
        let format = av::pixel_format_name(raw.format);
        if size == (video.source_width, video.source_height) && format == video.source_format {
            return self.check_shape(stamp);
        }
        Err(self.change(
            stamp,
            "the pictures change",
            format_args!("{}x{} {}", video.source_width, video.source_height, video.source_format),
            format_args!("{}x{} {format}", size.0, size.1),
        ))
    }

    /// One shape of the pixels throughout, unless the container's word stands above the pictures'.
    fn check_shape(&self, stamp: i64) -> Result<(), Reason> {
        let stated = self.pass.source.stream(self.plan.video.stream)?.sample_aspect_ratio;
        let shape = |of: Ratio| if of.num > 0 { of } else { Ratio::new(1, 1) };
        let planned = shape(self.plan.video.source_aspect);
        let found = shape(av::ratio(self.pass.frame.get().sample_aspect_ratio));
        if stated.num > 0 || planned.num * found.den == found.num * planned.den {
            return Ok(());
        }
        Err(self.change(
            stamp,
            "the shape of the pixels changes",
            format_args!("{}:{}", planned.num, planned.den),
            format_args!("{}:{}", found.num, found.den),
        ))
    }

    /// The reason for a change at a picture that the plan doesn't know.
    fn change(&self, stamp: i64, what: &str, from: Arguments<'_>, to: Arguments<'_>) -> Reason {
        Reason::input(format!(
            "{}: at {} {what} from {from} to {to}, which can't be carried yet",
            self.plan.input.path,
            moment(self.plan, stamp)
        ))
    }

    /// The reason for damage at a picture.
    fn damage(&self, stamp: i64) -> Reason {
        pass::damage(&self.plan.input, &moment(self.plan, stamp))
    }
}

/// A moment as a person reads it, from the film's start.
pub fn moment(plan: &Plan, stamp: i64) -> String {
    let video = &plan.video;
    format!("{:.3} s", (stamp - video.source_origin) as f64 * video.time_base.as_f64())
}
