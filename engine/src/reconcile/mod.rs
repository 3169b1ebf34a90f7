//! Reconcilers: bring what is there in line with what the store says. They take no input and may run at
//! any moment, any number of times.

pub mod reap;
pub mod sweep;
