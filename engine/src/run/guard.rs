//! Keeps a run's lease alive and tells the run to stop: because its job is to be held or cancelled,
//! because the engine stops, or because the lease is lost. Works on while the run itself waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dvp_model::job::State;
use dvp_model::{Epoch, JobId};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::End;
use crate::engine::Engine;
use crate::store::StoreError;

/// Pause before a failed call to the store is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a run must stop. A later one outweighs an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// The engine stops: the job goes back into the queue.
    Shutdown,
    /// Its job is to be held or cancelled.
    Stop,
    /// Another engine has the job: nothing may be written any more.
    Lost,
}

/// Watches over one run; ends with it.
pub struct Guard {
    engine: Engine,
    orders: watch::Receiver<Option<Order>>,
    valid_until_ms: Arc<AtomicU64>,
    _end: DropGuard,
}

impl Guard {
    /// Watches over `epoch` of `job`, whose lease was just claimed.
    pub fn start(engine: &Engine, job: JobId, epoch: Epoch, claimed_at_ms: u64) -> Self {
        let (order, orders) = watch::channel(None);
        let lease_ms = engine.settings.timings.lease.as_millis() as u64;
        let valid_until_ms = Arc::new(AtomicU64::new(claimed_at_ms + lease_ms));
        let end = CancellationToken::new();
        let watching = watch_over(engine.clone(), job, epoch, order, valid_until_ms.clone());
        let ended = end.clone();
        engine.tasks.spawn(async move {
            let _ = ended.run_until_cancelled(watching).await;
        });
        Self { engine: engine.clone(), orders, valid_until_ms, _end: end.drop_guard() }
    }

    /// Whether the lease still stands by our own clock. If not, nothing new may be handed out.
    pub fn is_valid(&self) -> bool {
        boottime_ms() < self.valid_until_ms.load(Ordering::Relaxed)
    }

    /// The order to stop, as soon as there is one.
    pub async fn order(&self) -> Order {
        let mut orders = self.orders.clone();
        let order = orders.wait_for(Option::is_some).await.map(|order| *order);
        match order {
            Ok(Some(order)) => order,
            _ => std::future::pending().await,
        }
    }

    /// Refuses to go on when there is an order.
    ///
    /// # Errors
    /// The order.
    pub fn check(&self) -> Result<(), End> {
        match *self.orders.borrow() {
            Some(order) => Err(End::Ordered(order)),
            None => Ok(()),
        }
    }

    /// Makes a call to the store until it is answered: a store that is away for a while harms no run.
    ///
    /// # Errors
    /// When the store refuses, or the run is told to stop while the store is away.
    pub async fn persist<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, End>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match call().await {
                Ok(value) => return Ok(value),
                Err(StoreError::EpochLost(..)) => return Err(End::Ordered(Order::Lost)),
                Err(error) if error.is_transient() => {
                    tracing::warn!("the store does not answer, trying again: {error}");
                    if self.engine.tasks.is_stopping() || *self.orders.borrow() == Some(Order::Lost)
                    {
                        return Err(End::Ordered(Order::Lost));
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => {
                    // What a run writes is refused when its job is to stop; the order may be on its way.
                    self.check()?;
                    return Err(End::Fail(error.into()));
                }
            }
        }
    }
}

async fn watch_over(
    engine: Engine,
    job: JobId,
    epoch: Epoch,
    order: watch::Sender<Option<Order>>,
    valid_until_ms: Arc<AtomicU64>,
) {
    let timings = &engine.settings.timings;
    let lease_ms = timings.lease.as_millis() as u64;
    let mut commits = engine.store.commits();
    let mut renew = tokio::time::interval(timings.renew);
    let mut poll = tokio::time::interval(timings.poll);
    let give = |new: Order| {
        order.send_if_modified(|order| {
            let rises = order.is_none_or(|old| old < new);
            if rises {
                *order = Some(new);
            }
            rises
        });
    };
    let mut stopping = false;
    loop {
        let mut look = false;
        tokio::select! {
            () = engine.tasks.token().cancelled(), if !stopping => {
                stopping = true;
                give(Order::Shutdown);
            }
            _ = renew.tick() => {
                let asked_at = boottime_ms();
                match engine.store.lease_renew(job, epoch, &engine.owner, lease_ms as i64).await {
                    Ok(true) => valid_until_ms.store(asked_at + lease_ms, Ordering::Relaxed),
                    Ok(false) => give(Order::Lost),
                    Err(error) => {
                        tracing::warn!("the lease of job {job} could not be renewed: {error}");
                        renew.reset_after(AGAIN);
                    }
                }
            }
            _ = poll.tick() => look = true,
            changed = commits.changed() => look = changed.is_ok(),
        }
        if look && let Ok(found) = engine.store.job_get(job).await {
            match found.state {
                State::Running { epoch: of, .. } if of == epoch => {}
                State::Holding { epoch: of, .. } | State::Cancelling { epoch: of }
                    if of == epoch =>
                {
                    give(Order::Stop);
                }
                _ => give(Order::Lost),
            }
        }
    }
}

/// Milliseconds since the machine started, time asleep included.
pub fn boottime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}
