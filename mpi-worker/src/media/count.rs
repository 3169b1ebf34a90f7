//! Decodes pictures of a film from its start, to learn what packets don't tell: the first picture, whether
//! packets are pictures, and where they aren't, every picture's own time.

use std::sync::atomic::AtomicBool;

use dvp_model::error::Reason;

use super::av::{Frame, NO_PTS};
use super::decode::stamp_of;
use super::pass::{self, Begin, Film, Pass, Trouble};

/// Pictures that are compared with what packets tell.
const COMPARED: usize = 12;

/// How a film begins.
pub struct Opening {
    /// The first picture that can be decoded.
    pub first: Frame,
    /// Times of the first pictures.
    stamps: Vec<Option<i64>>,
}

/// Decodes the film's first pictures.
///
/// # Errors
/// `Input` when none can be decoded.
pub fn opening(film: &Film) -> Result<Opening, Reason> {
    let mut pass = Pass::open(film, Begin::Start)?;
    let never = AtomicBool::new(false);
    let mut stamps = Vec::new();
    let mut first = None;
    while stamps.len() < COMPARED {
        match pass.next(&never) {
            Ok(true) => {}
            Err(Trouble::Final(reason)) => return Err(reason),
            // What comes later is for those who want it.
            Ok(false) | Err(Trouble::Damage) => break,
        }
        stamps.push(stamp_of(&pass.frame));
        if first.is_none() {
            first = Some(pass.frame.share()?);
        }
    }
    let Some(first) = first else {
        let path = &film.input.path;
        let words = super::log::last_line().map_or(String::new(), |line| format!(" ({line})"));
        return Err(Reason::input(format!("{path}: no picture can be decoded{words}")));
    };
    Ok(Opening { first, stamps })
}

impl Opening {
    /// The time of the first picture.
    pub fn stamp(&self) -> Option<i64> {
        self.stamps[0]
    }

    /// Whether the first pictures are those that these times promise, sorted.
    pub fn is_as(&self, promised: &[i64]) -> bool {
        let Some(first) = self.stamp() else { return false };
        let from = promised.partition_point(|&stamp| stamp < first);
        self.stamps.iter().zip(&promised[from..]).all(|(found, due)| *found == Some(*due))
    }
}

/// All pictures of a film, as they come out of the decoder.
#[derive(Debug, Default)]
pub struct Census {
    /// Their times.
    pub times: Vec<Option<i64>>,
    /// Numbers of those that are damaged, or follow what is: where that is tolerated.
    pub damaged: Vec<usize>,
}

/// Takes the census of a film. `progress` counts bytes.
///
/// # Errors
/// `Input` for the first damage, where that is not tolerated.
pub fn all(film: &Film, progress: &mut dyn FnMut(u64, u64)) -> Result<Census, Reason> {
    let mut pass = Pass::open(film, Begin::Start)?;
    let never = AtomicBool::new(false);
    let mut census = Census::default();
    loop {
        let more = match pass.next(&never) {
            Ok(true) if !pass.is_clean() => Err(Trouble::Damage),
            more => more,
        };
        match more {
            Ok(true) => {}
            Ok(false) => {
                if film.tolerant && pass.is_damaged() {
                    census.damaged.push(census.times.len());
                }
                return Ok(census);
            }
            Err(Trouble::Final(reason)) => return Err(reason),
            Err(Trouble::Damage) => {
                let moment = format!("number {}", census.times.len() + 1);
                return Err(pass::damage(&film.input, &moment));
            }
        }
        if film.tolerant && pass.is_damaged() {
            census.damaged.push(census.times.len());
        }
        census.times.push(Some(pass.frame.get().pts).filter(|&pts| pts != NO_PTS));
        if census.times.len() % 256 == 0 {
            progress(pass.source.position(), film.input.size);
        }
    }
}
