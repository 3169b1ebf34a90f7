//! The DVP engine: keeps jobs, hands out chunks, launches workers, serves the API. Knows nothing of
//! terminals, MPI or libav.

pub mod config;
pub mod tasks;
