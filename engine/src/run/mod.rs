//! Runs: claims, launches, what ranks are given and what they bring, assembly, publication. One task a
//! run; `live` is what the screen sees of it between two commits.

pub mod live;

pub use live::Live;
