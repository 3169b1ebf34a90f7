//! The real console on a real pseudo-terminal: it opens, is resized, is stopped by the shell and comes
//! back, is left alone by a terminal that goes away, and gives the terminal back as it was.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use testbed::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(120);

/// A program on a terminal.
struct Terminal {
    dir: tempfile::TempDir,
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    parser: Arc<Mutex<vt100::Parser>>,
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("at least one")
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// The console on a terminal of 80x24, alone in it or below a shell with job control.
    fn open(below_a_shell: bool) -> Self {
        Self::open_with(below_a_shell, &[])
    }

    /// The same with more in its environment.
    fn open_with(below_a_shell: bool, environment: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let pair = native_pty_system().openpty(size(80, 24)).expect("a pseudo-terminal");
        let console = env!("CARGO_BIN_EXE_dvp-console");
        let mut command = match below_a_shell {
            false => CommandBuilder::new(console),
            true => {
                let mut command = CommandBuilder::new("bash");
                command.args(["--norc", "--noprofile", "-i"]);
                command
            }
        };
        command.cwd(dir.path());
        command.env("DVP_DATA_DIR", dir.path().join("data"));
        command.env("XDG_CONFIG_HOME", dir.path());
        command.env("DVP_LINGER_S", "2");
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("PS1", "prompt> ");
        command.env("CONSOLE", console);
        environment.iter().for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).expect("it starts");
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(cells(24), cells(80), 0)));
        let mut reader = pair.master.try_clone_reader().expect("the terminal's other end");
        let seen = parser.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = reader.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                seen.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
            }
        });
        let writer = pair.master.take_writer().expect("the terminal's keys");
        Self { dir, master: pair.master, writer, child, parser }
    }

    fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).expect("keys");
        self.writer.flush().expect("keys");
    }

    fn text(&self) -> String {
        self.parser.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Waits until it is on the other screen, or on the shell's: what was written may still be on its way.
    #[track_caller]
    fn is_on_other_screen(&self, wanted: bool) {
        wait_for("the right screen", LIMIT, || {
            let seen = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
            match seen.screen().alternate_screen() == wanted {
                true => Ok(()),
                false => Err(seen.screen().contents()),
            }
        });
    }

    #[track_caller]
    fn sees(&self, text: &str) {
        wait_for("the screen", LIMIT, || {
            let seen = self.text();
            if seen.contains(text) { Ok(()) } else { Err(format!("no '{text}' on:\n{seen}")) }
        });
    }

    /// Waits until the shell asks for a command: the terminal is its own again.
    #[track_caller]
    fn prompts(&self) {
        wait_for("the prompt", LIMIT, || {
            let seen = self.text();
            let last = seen.trim_end().lines().last().map(str::trim_end);
            if last == Some("prompt>") { Ok(()) } else { Err(format!("no prompt on:\n{seen}")) }
        });
    }

    #[track_caller]
    fn ends(&mut self) -> u32 {
        let child = &mut self.child;
        wait_for("its end", LIMIT, || match child.try_wait() {
            Ok(Some(status)) => Ok(status.exit_code()),
            other => Err(format!("it goes on: {other:?}")),
        })
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.parser
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .screen_mut()
            .set_size(cells(rows), cells(columns));
        self.master.resize(size(columns, rows)).expect("a resize");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn opens_follows_the_size_and_gives_the_terminal_back() {
    let mut terminal = Terminal::open(false);
    terminal.sees("Nothing needs you");
    terminal.sees("engine here");
    terminal.is_on_other_screen(true);
    terminal.resize(120, 40);
    terminal.sees("Queue and services");
    terminal.resize(30, 8);
    terminal.sees("too small");
    terminal.resize(80, 24);
    terminal.sees("Nothing needs you");
    terminal.keys("3");
    terminal.sees("this machine, no SSH needed");
    terminal.keys("7");
    terminal.sees("one down");
    terminal.keys("q");
    terminal.sees("Nothing needs you");
    terminal.keys("q");
    assert_eq!(terminal.ends(), 0);
    terminal.is_on_other_screen(false);
}

#[test]
fn tells_what_is_wrong_with_an_input_beside_its_field() {
    let mut terminal = Terminal::open(false);
    std::fs::write(terminal.dir.path().join("notes.txt"), "no film").expect("a file");
    terminal.sees("Nothing needs you");
    terminal.keys("s");
    terminal.sees("Submit a job");
    // Typed in part, and completed by tab once the folder was read.
    terminal.keys("not");
    terminal.sees("tab complete");
    terminal.keys("\t");
    terminal.sees("notes.txt");
    // One letter more, and there is no such file.
    terminal.keys("x\x13");
    terminal.sees("Not submitted");
    terminal.sees("there is no file");
    terminal.keys("\x03");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_shell_stops_it_and_brings_it_back() {
    let mut terminal = Terminal::open(true);
    terminal.prompts();
    terminal.keys("\"$CONSOLE\"\n");
    terminal.sees("Nothing needs you");
    terminal.keys("\x1a");
    terminal.sees("Stopped");
    terminal.prompts();
    terminal.is_on_other_screen(false);
    terminal.keys("echo in the shell\n");
    terminal.sees("\nin the shell");
    terminal.keys("fg\n");
    terminal.sees("Nothing needs you");
    terminal.is_on_other_screen(true);
    terminal.keys("2");
    terminal.sees("No job yet");
    terminal.keys("\x03");
    terminal.prompts();
    terminal.is_on_other_screen(false);
    terminal.keys("exit 7\n");
    assert_eq!(terminal.ends(), 7);
}

#[test]
fn drives_an_engine_elsewhere_and_sends_it_a_film() {
    let there = crate::remote::Elsewhere::start();
    let environment = [("DVP_CONNECT", &*there.url), ("DVP_TOKEN", &*there.token)];
    let mut terminal = Terminal::open_with(false, &environment);
    testbed::clip::Clip::new("film.mp4").frames(48).make(terminal.dir.path());
    terminal.sees(&format!("engine at {}", there.url));
    terminal.keys("s");
    terminal.sees("Submit a job");
    terminal.keys("film.mp4");
    terminal.sees("Sent to the engine when you submit");
    terminal.keys("\x13");
    terminal.sees("is submitted as");
    terminal.sees("completed");
    // Edited, it names the film on the engine's machine, and so is planned there: the output exists by now.
    terminal.keys("e");
    terminal.sees("/film.mp4");
    terminal.sees("The engine refuses this.");
    terminal.keys("\x03");
    assert_eq!(terminal.ends(), 0);
}
