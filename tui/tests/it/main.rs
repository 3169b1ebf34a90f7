//! The console and the command line from outside.

mod cli;
mod readme;
mod pty;
mod screens;
