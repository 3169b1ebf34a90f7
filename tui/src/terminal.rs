//! The terminal, as found and as the console needs it: raw mode, the other screen, and everything put
//! back at the end, at a stop and at a panic of the thread that owns it. Knows nothing of what is drawn.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write, stdout};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

use crate::glyph::Glyphs;
use crate::state::Look;
use crate::theme::Palette;

/// What other threads said when they panicked: told after the screen is put back.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The screen, from [`Screen::open`] until it is dropped.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    stderr: Option<rustix::fd::OwnedFd>,
    open: bool,
}

/// Whether both ends are a terminal.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Screen {
    /// Takes the terminal over. What anything writes to stderr goes to `log` until it is given back.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn open(log: &Path) -> io::Result<Self> {
        let mut screen = Self { terminal: fresh()?, stderr: None, open: false };
        restore_at_panic();
        screen.stderr = divert_stderr(log);
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal over again; everything is drawn anew.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn enter(&mut self) -> io::Result<()> {
        // Whoever had the terminal meanwhile may have changed its modes: they are set anew.
        disable_raw_mode()?;
        enable_raw_mode()?;
        let mut out = stdout();
        queue!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        out.flush()?;
        self.open = true;
        self.forget()
    }

    /// Gives the terminal back as it was.
    pub fn leave(&mut self) {
        if self.open {
            self.open = false;
            restore();
        }
    }

    /// Draws what changed, at once.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(view)?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        Write::flush(self.terminal.backend_mut())
    }

    /// Has everything drawn anew by the next [`Screen::draw`]. Not by `Terminal::clear`: that asks the
    /// terminal where its cursor is, and waits for an answer that the loop's input would swallow.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn forget(&mut self) -> io::Result<()> {
        let mut out = stdout();
        queue!(out, Clear(ClearType::All))?;
        out.flush()?;
        self.terminal = fresh()?;
        Ok(())
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.terminal.size().map_or((80, 24), |size| (size.width, size.height))
    }

    /// Puts text into the clipboard of the terminal, wherever that runs (OSC 52).
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let backend = self.terminal.backend_mut();
        write!(backend, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
        Write::flush(backend)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
        if let Some(stderr) = self.stderr.take() {
            let _ = rustix::stdio::dup2_stderr(&stderr);
        }
        for panic in PANICS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            eprintln!("{panic}");
        }
    }
}

/// A terminal of which nothing is known yet.
fn fresh() -> io::Result<Terminal<CrosstermBackend<BufWriter<Stdout>>>> {
    Terminal::new(CrosstermBackend::new(BufWriter::new(stdout())))
}

fn restore() {
    let mut out = stdout();
    let _ = queue!(out, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// A panic of this thread ends the console: the terminal comes first. A panic of another thread does
/// not: its words would only tear the picture, and are kept for later.
fn restore_at_panic() {
    let owner = std::thread::current().id();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == owner {
            restore();
            usual(panic);
        } else {
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        }
    }));
}

/// Sends stderr to a file; gives back what it was.
fn divert_stderr(log: &Path) -> Option<rustix::fd::OwnedFd> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log).ok()?;
    let was = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).ok()?;
    rustix::stdio::dup2_stderr(&file).ok()?;
    Some(was)
}

/// Stops this process and what it started in its group, as Ctrl-Z does; comes back when it goes on.
pub fn stop_here() {
    dvp_engine::exec::local::while_none_starts(|| {
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    });
}

/// How this terminal wants to be drawn on.
pub fn look() -> Look {
    let env = |name: &str| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let locale = [env("LC_ALL"), env("LC_CTYPE"), env("LANG")]
        .into_iter()
        .find(|value| !value.is_empty())
        .unwrap_or_default();
    Look {
        palette: Palette::for_terminal(&env("NO_COLOR"), &env("COLORTERM"), &env("TERM")),
        glyphs: Glyphs::for_locale(&locale),
        utc_offset_s: jiff::ZonedDateTime::now().offset().seconds(),
    }
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(*group.get(i).unwrap_or(&0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            if place <= group.len() {
                let six = (bits >> (18 - 6 * place)) & 63;
                out.push(SIGNS[six as usize] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_rfc_4648() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
