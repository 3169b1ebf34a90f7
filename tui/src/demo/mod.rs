//! The demo: a guided tour of one job, killed and compared.

pub mod tour;
