//! Every format that crosses a process: the worker's protocol, the API, the feed, the message of the queue.

pub mod access;
pub mod api;
pub mod feed;
pub mod message;
pub mod worker;
