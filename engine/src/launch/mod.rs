//! How work gets started: `dvp-worker` alone for planning and assembling, under mpirun for chunks. Argvs
//! are pure functions; `exec` starts them.

pub mod folder;
pub mod hello;
pub mod link;
pub mod mpirun;
pub mod spread;
pub mod tool;
