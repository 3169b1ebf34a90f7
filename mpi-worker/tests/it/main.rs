//! Tests of the worker: real ranks under mpirun on clips generated on the spot, compared with ffmpeg.

mod assemble;
mod audio;
mod codecs;
mod filters;
mod media;
mod ranks;
mod tasks;
mod traps;
