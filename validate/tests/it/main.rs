//! `dvp-validate` as a user meets it.

mod single;
