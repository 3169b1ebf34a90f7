//! Where an output goes when nobody says: beside its input, named after it and the task.
