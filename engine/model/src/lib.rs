//! What DVP talks about: ids, specs, the planner, the scheduler, the state machine, and every wire
//! format. Pure: no I/O, no async, no clock. Everything else depends on this; this depends on nothing.

pub mod error;
pub mod estimate;
pub mod id;
pub mod job;
pub mod manifest;
pub mod media;
pub mod node;
pub mod path;
pub mod plan;
pub mod s3;
pub mod schedule;
pub mod spec;
pub mod time;
pub mod validate;
pub mod wire;

pub use id::{BatchId, ChunkIndex, Epoch, Item, JobId, NodeName, Rank, RunTag};
pub use path::FilePath;
pub use s3::S3Name;
pub use time::Millis;
