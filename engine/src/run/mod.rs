//! Runs: claims, launches, what ranks are given and what they bring, assembly, publication. One task a
//! run; `live` is what the screen sees of it between two commits.

pub mod dispatch;
mod guard;
pub mod live;
mod plan;
mod publish;
mod supervise;
mod work;

pub use live::Live;
pub use publish::{SPARE, Target};

use dvp_model::error::Reason;
use guard::Order;

/// Why a run ends before its output is published.
#[derive(Clone, Debug)]
enum End {
    /// It was told to.
    Ordered(Order),
    /// It may work later. `blame`: a fault of the job's, which counts as an attempt.
    Retry { reason: Reason, blame: bool },
    /// At once again, without blame: what happened was wanted, and is in the feed.
    Requeue,
    /// It would fail again.
    Fail(Reason),
    /// The plan holds no more: plan again.
    Replan(Reason),
}

impl From<Reason> for End {
    fn from(reason: Reason) -> Self {
        match reason.kind.is_transient() {
            true => End::Retry { reason, blame: false },
            false => End::Fail(reason),
        }
    }
}
