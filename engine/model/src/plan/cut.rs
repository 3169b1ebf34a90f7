//! Where to cut: how many chunks, and how long.
