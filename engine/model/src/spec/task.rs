//! The task table: one row a parameter. Command line, form, messages and docs all read it.

use crate::error::Reason;
use crate::spec::{Spec, SpecText};

/// One task that a chain may name.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// As users write it.
    pub name: &'static str,
    /// What it does, one line.
    pub about: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
}

/// One parameter of a task, written `task.key=value`.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// The key without the task.
    pub key: &'static str,
    /// What it means, one line, with its unit.
    pub about: &'static str,
    /// Its values.
    pub kind: ParamKind,
    /// Value when not set; empty means none.
    pub default: &'static str,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum ParamKind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in a range, ends included.
    Integer(i64, i64),
    /// A decimal number in a range, ends included.
    Decimal(f64, f64),
    /// A moment: seconds or h:mm:ss(.fff).
    Time,
    /// A filter graph.
    Graph,
}

/// Every task. `plan` is not one: its keys go with any chain.
pub const TASKS: &[Task] = &[];

/// The `plan.*` keys.
pub const PLAN: &[Param] = &[];

/// Checks `text` whole: every error at once. `output_extension` (without dot) chooses the container
/// when `convert.container` is not set.
///
/// # Errors
/// One reason of kind [`crate::error::Kind::Spec`] for each thing wrong.
pub fn resolve(text: &SpecText, output_extension: Option<&str>) -> Result<Spec, Vec<Reason>> {
    let _ = (text, output_extension);
    Err(vec![])
}
