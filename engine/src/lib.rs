//! The DVP engine: keeps jobs, hands out chunks, launches workers, serves the API. Knows nothing of
//! terminals, MPI or libav.

pub mod config;
pub mod engine;
pub mod exec;
pub mod launch;
pub mod objects;
pub mod run;
pub mod store;
pub mod tasks;

pub use engine::{Engine, Settings, Timings};
pub use store::{FeedQuery, Store, StoreError, StoreUrl};
