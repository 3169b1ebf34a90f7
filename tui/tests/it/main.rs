//! The console and the command line from outside.

mod cli;
mod pty;
mod screens;
