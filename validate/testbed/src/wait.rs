//! Waiting for a condition: never a sleep of hope. When time is up, the last state seen is what is said.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(20);

/// Looks until `condition` is `Ok`, and returns what it held.
///
/// # Panics
/// After `limit`, with `what` and the last `Err`.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<T, String>,
) -> T {
    let begun = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(last) if begun.elapsed() > limit => {
                panic!("waited {limit:?} in vain for {what}; last seen: {last}")
            }
            Err(_) => std::thread::sleep(PACE),
        }
    }
}
