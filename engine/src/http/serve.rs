//! Serves a router on a socket, Unix or TCP, until told to stop, and counts who uses it. An open call never
//! holds up the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::serve::Listener;
use tokio_util::sync::CancellationToken;

/// How long calls in hand may take once the end has come.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Who uses the API: calls in hand, and the moment of the last one.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    in_hand: AtomicUsize,
    born: Instant,
    last_ms: AtomicUsize,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Inner {
            in_hand: AtomicUsize::new(0),
            born: Instant::now(),
            last_ms: AtomicUsize::new(0),
        }))
    }
}

impl Activity {
    /// How long nobody has asked for anything; zero while a call is in hand.
    pub fn idle(&self) -> Duration {
        if self.0.in_hand.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.0.last_ms.load(Ordering::Relaxed) as u64);
        self.0.born.elapsed().saturating_sub(last)
    }

    /// Counts somebody in until what comes back is dropped.
    pub(super) fn begin(&self) -> InHand {
        self.0.in_hand.fetch_add(1, Ordering::Relaxed);
        InHand(self.clone())
    }
}

/// A call in hand; counted until it is dropped, answered or not.
pub(super) struct InHand(Activity);

impl Drop for InHand {
    fn drop(&mut self) {
        let inner = &self.0.0;
        inner.last_ms.store(inner.born.elapsed().as_millis() as usize, Ordering::Relaxed);
        inner.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves until `stop`; then no call is taken any more, and those in hand are given a moment.
pub async fn serve<L>(listener: L, router: Router, activity: Activity, stop: CancellationToken)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let counted = router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let in_hand = activity.begin();
        async move {
            let response = next.run(request).await;
            drop(in_hand);
            response
        }
    }));
    let ending = stop.clone();
    let server = axum::serve(listener, counted)
        .with_graceful_shutdown(async move { ending.cancelled().await });
    let server = std::future::IntoFuture::into_future(server);
    let cut = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        result = server => {
            if let Err(error) = result {
                tracing::error!(%error, "the API's socket failed");
            }
        }
        () = cut => {}
    }
}
