//! The DVP console: screen and command line, both clients of the engine's API. Knows nothing of SQL,
//! message brokers, S3, SSH, MPI or libav.

pub mod cli;
