//! The engine's integration tests: its store on both databases, and whole jobs with real workers. Tests
//! that need a server or root lie in modules named `servers`.

mod files;
mod host;
mod http;
mod objects;
mod queue;
mod run;
mod store;
mod tcp;
