//! Every format that crosses a process: the worker's protocol, the API, the feed.

pub mod api;
pub mod feed;
pub mod worker;
