//! How a process of the worker ends: its codes, a panic, and a parent that is gone. Its one `unsafe` is
//! the declaration of `_exit`, which takes any code, touches no memory of ours and never returns.
#![allow(unsafe_code)]

use std::io::Write;
use std::time::Duration;

use dvp_model::wire::worker::exit;
use rustix::process::{Pid, getppid};

unsafe extern "C" {
    /// POSIX: ends the process at once, without the handlers that `exit` would run.
    safe fn _exit(code: i32) -> !;
}

/// Ends the process at once. Other threads may be in the middle of anything, so nothing of theirs is
/// waited for or torn down.
pub fn now(code: u8) -> ! {
    let _ = std::io::stderr().flush();
    _exit(i32::from(code))
}

/// A panic on any thread ends the whole process: a rank that lost a thread would leave the others
/// waiting for it in `MPI_Finalize`.
pub fn on_panic() {
    let message = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        message(info);
        now(exit::BUG);
    }));
}

/// Notices when whoever started this process is gone.
#[derive(Clone, Copy, Debug)]
pub struct Parent(Option<Pid>);

impl Parent {
    /// The process that started this one.
    pub fn get() -> Self {
        Self(getppid())
    }

    /// Whether it is gone, and another process took this one over.
    pub fn is_gone(self) -> bool {
        getppid() != self.0
    }
}

/// Ends the process when its parent is gone: for tools that don't read a link which would tell.
pub fn with_parent() {
    let parent = Parent::get();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            if parent.is_gone() {
                now(exit::LINK);
            }
        }
    });
}

/// Ends the process with `code` in `limit`, whatever the calling thread is stuck in by then.
pub fn at_latest(limit: Duration, code: u8) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        now(code);
    });
}
