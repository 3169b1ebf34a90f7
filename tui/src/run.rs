//! The console's loop: input first, then what tasks say, then the clock; one frame for all that came
//! together, none when nothing changed. Owns the terminal; never waits for the network.

use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;
use std::task::Poll;
use std::time::{Duration, Instant};

use crossterm::event::{Event as TerminalEvent, EventStream};
use dvp_engine::config::Config;
use futures::StreamExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::action::{Action, Leave};
use crate::again;
use crate::event::{Contact, Event};
use crate::keymap;
use crate::perform::{Performer, Told, now};
use crate::screen;
use crate::state::{Place, State};
use crate::terminal::{self, Screen};
use crate::update::update;
use crate::widget::words;

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(250);
/// Between two frames.
const FRAME: Duration = Duration::from_millis(16);
/// The signal that ends a stop of our own comes within this.
const OWN_STOP: Duration = Duration::from_millis(500);
/// Events taken before a frame is due, whatever else waits.
const AT_ONCE: usize = 256;

/// How the console is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The settings of this process.
    pub config: Config,
}

/// The console, until the person leaves.
pub fn console(options: Options) -> ExitCode {
    let mut state = State::new(now(), (80, 24), terminal::look());
    state.form.folder = std::env::current_dir().unwrap_or_else(|_| "/".into());
    state.form.remote = options.config.connect.as_ref().map(|remote| remote.url.clone());
    run(options.config, state)
}

/// The console, from a state on.
pub(crate) fn run(config: Config, mut state: State) -> ExitCode {
    if !terminal::is_there() {
        eprintln!(
            "the console needs a terminal on stdin and stdout; without one use the commands: \
             dvp-console --help"
        );
        return ExitCode::from(2);
    }
    if let Ok(program) = std::env::current_exe() {
        state.command_name = again::command(program.as_os_str(), &config);
    }
    let command = again::command(OsStr::new("dvp-console"), &config);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the console's threads can't be started: {error}; try again");
            return ExitCode::from(6);
        }
    };
    let ended = runtime.block_on(async {
        let mut looping = Loop::start(config, state)?;
        let ended = looping.go().await;
        Ok::<_, io::Error>((ended, looping.last_words(&command)))
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    match ended {
        Ok((Ok(()), words)) => {
            if let Some(words) = words {
                println!("{words}");
            }
            ExitCode::SUCCESS
        }
        Ok((Err(error), _)) | Err(error) => {
            eprintln!("the terminal can't be used: {error}");
            ExitCode::from(6)
        }
    }
}

struct Loop {
    screen: Screen,
    state: State,
    performer: Performer,
    told: mpsc::UnboundedReceiver<Told>,
    input: EventStream,
    hangup: Signal,
    terminate: Signal,
    resumed: Signal,
    drawn: Option<u64>,
    drawn_at: Instant,
    resumed_at: Instant,
    /// How the console was left.
    left: Option<Leave>,
    /// The terminal is gone: nothing is drawn any more.
    gone: bool,
    done: bool,
}

impl Loop {
    fn start(config: Config, mut state: State) -> io::Result<Self> {
        // Its folder is made by the host; a log that can't be opened yet is no log.
        let log = config.data_dir.join("console.log");
        let _ = dvp_engine::host::prepare_folder(&config.data_dir);
        let hangup = signal(SignalKind::hangup())?;
        let terminate = signal(SignalKind::terminate())?;
        let resumed = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        let screen = Screen::open(&log)?;
        state.size = screen.size();
        let (tell, told) = mpsc::unbounded_channel();
        let performer = Performer::new(tokio::runtime::Handle::current(), config, tell);
        if state.place == Place::Submit {
            let folder = state.form.completing().map(|(folder, _)| folder);
            folder.into_iter().for_each(|folder| performer.perform(Action::List(folder.into())));
        }
        Ok(Self {
            screen,
            state,
            performer,
            told,
            input: EventStream::new(),
            hangup,
            terminate,
            resumed,
            drawn: None,
            drawn_at: Instant::now(),
            resumed_at: Instant::now(),
            left: None,
            gone: false,
            done: false,
        })
    }

    async fn go(&mut self) -> io::Result<()> {
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.draw_if_due().await?;
            if self.done {
                return Ok(());
            }
            let frame_in = FRAME.saturating_sub(self.drawn_at.elapsed());
            let changed = self.drawn != Some(self.state.revision) && !self.gone;
            tokio::select! {
                biased;
                input = self.input.next(), if !self.gone => self.take_input(input)?,
                _ = self.hangup.recv() => {
                    self.gone = true;
                    self.take(Event::Hangup)?;
                }
                _ = self.terminate.recv() => self.take(Event::Hangup)?,
                _ = self.resumed.recv() => {
                    // Stopped from outside, by a signal that can't be seen: the shell has drawn since.
                    if self.resumed_at.elapsed() > OWN_STOP {
                        self.screen.enter()?;
                        self.take(Event::Resumed)?;
                    }
                }
                told = self.told.recv() => {
                    if let Some(told) = told {
                        self.take_told(told)?;
                    }
                }
                _ = clock.tick() => self.take(Event::Tick(now()))?,
                () = tokio::time::sleep(frame_in), if changed => {}
            }
            self.take_what_waits().await?;
        }
    }

    /// Everything that came meanwhile, so that one frame shows it all.
    async fn take_what_waits(&mut self) -> io::Result<()> {
        for _ in 0..AT_ONCE {
            if !self.gone
                && let Some(input) = self.waiting_input().await
            {
                self.take_input(input)?;
            } else if let Ok(told) = self.told.try_recv() {
                self.take_told(told)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Input that is already there. Polled with this task's own waker: the stream keeps the first waker
    /// that it is given until input comes, so that one that wakes nobody would make the console deaf.
    async fn waiting_input(&mut self) -> Option<Option<io::Result<TerminalEvent>>> {
        std::future::poll_fn(|context| {
            Poll::Ready(match self.input.poll_next_unpin(context) {
                Poll::Ready(input) => Some(input),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn take_input(&mut self, input: Option<io::Result<TerminalEvent>>) -> io::Result<()> {
        let event = match input {
            Some(Ok(event)) => event,
            // The terminal is gone.
            Some(Err(_)) | None => {
                self.gone = true;
                return self.take(Event::Hangup);
            }
        };
        match event {
            TerminalEvent::Key(key) => match keymap::from_terminal(key) {
                Some(key) => self.take(Event::Key(key)),
                None => Ok(()),
            },
            TerminalEvent::Paste(text) => self.take(Event::Paste(text)),
            TerminalEvent::Resize(width, height) => self.take(Event::Resize(width, height)),
            _ => Ok(()),
        }
    }

    fn take_told(&mut self, told: Told) -> io::Result<()> {
        match told {
            Told::Event(event) => self.take(event),
            Told::Leave => {
                self.done = true;
                Ok(())
            }
            Told::Suspend => self.suspend(),
        }
    }

    fn take(&mut self, event: Event) -> io::Result<()> {
        for action in update(&mut self.state, event) {
            match action {
                Action::Redraw if self.gone => {}
                Action::Redraw => {
                    self.screen.forget()?;
                    self.drawn = None;
                }
                Action::Copy(text) => self.screen.copy(&text)?,
                action => {
                    if let Action::Leave(leave) = action {
                        self.left = Some(leave);
                    }
                    self.performer.perform(action);
                }
            }
        }
        Ok(())
    }

    async fn draw_if_due(&mut self) -> io::Result<()> {
        if self.gone || self.drawn == Some(self.state.revision) || self.drawn_at.elapsed() < FRAME {
            return Ok(());
        }
        let state = &self.state;
        match self.screen.draw(|frame| screen::view(state, frame)) {
            Ok(()) => {}
            Err(_) => {
                self.gone = true;
                return self.take(Event::Hangup);
            }
        }
        self.drawn = Some(self.state.revision);
        self.drawn_at = Instant::now();
        if self.state.overlay.as_ref().is_some_and(|overlay| overlay.awaits_showing()) {
            // Keys typed before the dialog could be read are taken now, while it is deaf.
            while let Some(input) = self.waiting_input().await {
                self.take_input(input)?;
            }
            self.take(Event::Shown)?;
        }
        Ok(())
    }

    /// Stops as Ctrl-Z does; the engine was handed over before, if it had to be.
    fn suspend(&mut self) -> io::Result<()> {
        self.screen.leave();
        terminal::stop_here();
        self.resumed_at = Instant::now();
        self.screen.enter()?;
        let (width, height) = self.screen.size();
        self.take(Event::Resize(width, height))?;
        self.take(Event::Tick(now()))?;
        self.take(Event::Resumed)
    }

    /// What stays behind, in a line; told once the terminal is given back.
    fn last_words(mut self, command: &str) -> Option<String> {
        self.screen.leave();
        let data = &self.state.live;
        let jobs = words::count(data.open_jobs().count(), "job");
        let tour = crate::demo::tour::hint(&self.state)
            .filter(|_| self.state.tour.as_ref().is_some_and(|tour| tour.second.is_some()));
        match (&data.contact, self.left, tour) {
            (_, _, Some(hint)) => Some(hint.text.replace(" q leaves.", "")),
            _ if data.open_jobs().next().is_none() => None,
            (_, Some(Leave::HoldJobs), _) => Some(format!(
                "{jobs} held; `p` in the console or `{command} release ID` lets go on"
            )),
            (_, Some(Leave::HandOver), _) => {
                Some(format!("the background engine goes on with {jobs}; `{command}` shows them"))
            }
            (Contact::Attached { pid }, ..) => Some(format!(
                "the engine with pid {pid} goes on with {jobs}; `{command}` shows them"
            )),
            _ => None,
        }
    }
}
