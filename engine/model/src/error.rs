//! Why something could not be done, as a person reads it and as a program acts on it: one sentence that
//! says what, where and what to do, and a kind that decides the exit code and whether to try again.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is at fault. Decides exit codes, HTTP statuses and retries, each in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request is wrong: unknown task or key, a value out of range. Exit 2.
    Spec,
    /// No such job, file or node. Exit 3.
    NotFound,
    /// The input is unfit, damaged, changed, or of a kind that is refused. Exit 3.
    Input,
    /// The output's place is unfit: no folder, not writable, exists already. Exit 3.
    Output,
    /// The object is in a state that does not allow this. Exit 4.
    Conflict,
    /// The job itself failed, and would fail again. Exit 4.
    Job,
    /// The machine or a service it needs: disk full, no mpirun, database away. May mend itself. Exit 6.
    Machine,
    /// A bug of DVP. Exit 70.
    Bug,
}

impl Kind {
    /// The exit code of a command that ends with this.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Spec => 2,
            Kind::NotFound | Kind::Input | Kind::Output => 3,
            Kind::Conflict | Kind::Job => 4,
            Kind::Machine => 6,
            Kind::Bug => 70,
        }
    }

    /// Whether trying again later, with nothing changed by a person, may work.
    pub fn is_transient(self) -> bool {
        matches!(self, Kind::Machine)
    }
}

/// A reason: its kind, and one sentence (or several, joined by `; `) for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// What is at fault.
    pub kind: Kind,
    /// What failed, where, and what to do. No control characters, no secret.
    pub text: String,
}

impl Reason {
    /// A reason of `kind`; control characters in `text` are escaped.
    pub fn new(kind: Kind, text: impl AsRef<str>) -> Self {
        Self { kind, text: crate::path::printable(text.as_ref()) }
    }
}

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl Reason {
            $(
                #[doc = concat!("A reason of kind [`Kind::", stringify!($kind), "`].")]
                pub fn $name(text: impl AsRef<str>) -> Self {
                    Self::new(Kind::$kind, text)
                }
            )*
        }
    };
}

constructors! {
    spec => Spec, not_found => NotFound, input => Input, output => Output,
    conflict => Conflict, job => Job, machine => Machine, bug => Bug,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Reason {}
