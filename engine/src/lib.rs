//! The DVP engine: keeps jobs, hands out chunks, launches workers, serves the API. Knows nothing of
//! terminals, MPI or libav.

pub mod bug;
pub mod client;
pub mod config;
pub mod engine;
pub mod exec;
pub mod host;
pub mod http;
pub mod jobs;
pub mod launch;
pub mod nodes;
pub mod objects;
pub mod queue;
pub mod reconcile;
pub mod run;
pub mod store;
pub mod tasks;

pub use engine::{Engine, Settings, Timings};
pub use store::{FeedQuery, Store, StoreError, StoreUrl};

/// The version of this program. An engine and its clients have the same.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
