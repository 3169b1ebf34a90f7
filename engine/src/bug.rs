//! A panic that reaches a program's `main` is a bug of DVP: the program says so and ends with its code.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use dvp_model::error::Kind;

/// Runs a program's `main`. When that panics, a line below the panic's own says what it means, and the exit
/// code is that of a bug. Nothing of `main` is used afterwards.
pub fn guarded(program: &str, main: impl FnOnce() -> ExitCode) -> ExitCode {
    catch_unwind(AssertUnwindSafe(main)).unwrap_or_else(|_| {
        let _ = writeln!(
            std::io::stderr(),
            "{program}: this is a bug of DVP; please report the lines above. Jobs that were accepted are \
             kept: the next engine goes on with them"
        );
        ExitCode::from(Kind::Bug.exit_code())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_with_the_code_of_a_bug() {
        assert_eq!(guarded("test", || panic!("on purpose")), ExitCode::from(70));
        assert_eq!(guarded("test", || ExitCode::from(3)), ExitCode::from(3));
    }
}
