//! What DVP's tests stand on: clips made on the spot, ffmpeg as the reference, faults, and waiting.
//! Knows DVP's formats, never its insides.

pub mod clip;
pub mod drive;
pub mod edits;
pub mod faults;
pub mod minio;
pub mod mpi;
pub mod postgres;
pub mod python;
pub mod rabbitmq;
pub mod reference;
pub mod sound;
pub mod sshd;
pub mod wait;
