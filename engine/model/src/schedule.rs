//! Who runs where: a pure function of waiting jobs and free slots.
