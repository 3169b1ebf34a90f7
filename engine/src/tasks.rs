//! The one owner of spawned tasks: whatever runs in the background of an engine is counted here, hears
//! of the stop here, and is waited for at the end. Knows nothing of what the tasks do.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks of one engine. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` on the current runtime until it ends by itself: it watches [`Tasks::token`].
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(future);
    }

    /// Runs `future` on the current runtime, dropping it where it stands when the stop comes.
    pub fn spawn_until_stop<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            let _ = token.run_until_cancelled(future).await;
        });
    }

    /// Is cancelled when the stop comes.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Whether the stop has come.
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Tells every task to stop, without waiting.
    pub fn ask_to_stop(&self) {
        self.token.cancel();
    }

    /// Tells every task to stop and waits for their ends, at most `within`. Returns how many were left.
    pub async fn stop(&self, within: Duration) -> usize {
        self.token.cancel();
        self.tracker.close();
        let _ = tokio::time::timeout(within, self.tracker.wait()).await;
        self.tracker.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stop_reaches_every_task_and_counts_the_deaf() {
        let tasks = Tasks::new();
        let token = tasks.token().clone();
        tasks.spawn(async move { token.cancelled().await });
        tasks.spawn_until_stop(std::future::pending());
        assert_eq!(tasks.stop(Duration::from_secs(30)).await, 0);

        let tasks = Tasks::new();
        tasks.spawn(std::future::pending());
        assert_eq!(tasks.stop(Duration::from_millis(10)).await, 1);
    }
}
