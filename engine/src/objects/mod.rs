//! Objects: finished items as files in a folder, under keys that are never used twice. Knows nothing of
//! what is in them.

pub mod folder;
pub mod uploads;

pub use folder::Folder;
pub use uploads::Uploads;
