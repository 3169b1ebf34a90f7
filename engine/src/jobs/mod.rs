//! What people do with jobs: the door that every submission passes, and the commands on a job.

pub mod command;
pub mod submit;
