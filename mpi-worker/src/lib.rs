//! The DVP worker as a library: the media pipeline, and the ranks that run it. Knows nothing of
//! databases, brokers or credentials.

pub mod exit;
pub mod media;
pub mod rank;
pub mod tool;
pub mod transfer;
