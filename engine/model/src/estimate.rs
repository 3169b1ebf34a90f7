//! Estimates from what is known so far: time left, size.
