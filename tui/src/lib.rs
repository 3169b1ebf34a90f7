//! The DVP console: screen and command line, both clients of the engine's API. Knows nothing of SQL,
//! message brokers, S3, SSH, MPI or libav.

pub mod action;
pub mod again;
pub mod cli;
pub mod command;
pub mod demo;
pub mod event;
pub mod glyph;
pub mod keymap;
pub mod perform;
pub mod query;
pub mod remote;
pub mod run;
pub mod screen;
pub mod state;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod widget;
