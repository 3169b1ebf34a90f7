//! The console and the command line from outside.

mod cli;
mod pty;
mod readme;
mod remote;
mod screens;
