//! Does what `update` wants done, in tasks, and sends back what came of it: calls of the engine, polls,
//! folders read. The only part of the screen that knows the engine's client.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use dvp_engine::client::Client;
use dvp_engine::config::Config;
use dvp_engine::host::{self, Attached};
use dvp_model::error::Reason;
use dvp_model::job::{StateName, Submission};
use dvp_model::wire::api::{
    Cancel, DryRun, Errors, Feed, Hold, JobGet, Jobs, KillRank, Nodes, Release, Retry, SetPriority,
    Status, Submit,
};
use dvp_model::{FilePath, JobId, Millis};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::action::{Action, Ask, Leave};
use crate::event::{Contact, Event, Found, Listing, Reply};
use crate::remote;
use crate::state::data::{FEED_KEPT, JOBS_POLLED, needs_engine};
use crate::widget::words;

/// Between two polls.
const STATUS_EVERY: Duration = Duration::from_millis(1000);
const JOBS_EVERY: Duration = Duration::from_millis(700);
const NODES_EVERY: Duration = Duration::from_millis(2000);
const DETAIL_EVERY: Duration = Duration::from_millis(400);
/// After a poll without an answer.
const AFTER_FAULT: Duration = Duration::from_millis(1500);
/// How long the feed is waited for.
const FEED_WAIT_MS: u64 = 20_000;
/// How long jobs that are to be held may take to stop.
const HOLD_WITHIN: Duration = Duration::from_secs(30);

/// What reaches the console's loop from its tasks.
#[derive(Debug)]
pub enum Told {
    /// Something happened.
    Event(Event),
    /// All is ready to leave.
    Leave,
    /// All is ready to stop.
    Suspend,
}

/// Starts tasks.
pub struct Performer {
    runtime: Handle,
    told: mpsc::UnboundedSender<Told>,
    engine: watch::Receiver<Option<Arc<Attached>>>,
    watched: watch::Sender<Option<JobId>>,
    /// The engine is elsewhere: films are sent to it.
    remote: bool,
}

/// The moment, by this machine's clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(since.as_millis() as i64)
}

impl Performer {
    /// Starts to look for the engine, and to poll it.
    pub fn new(runtime: Handle, config: Config, told: mpsc::UnboundedSender<Told>) -> Self {
        let (found, engine) = watch::channel(None);
        let (watched, watch) = watch::channel(None);
        let remote = config.connect.is_some();
        runtime.spawn(find(config, found, told.clone()));
        let polls = Polls { engine: engine.clone(), told: told.clone() };
        runtime.spawn(polls.clone().status());
        runtime.spawn(polls.clone().jobs());
        runtime.spawn(polls.clone().nodes());
        runtime.spawn(polls.clone().feed());
        runtime.spawn(polls.detail(watch));
        Self { runtime, told, engine, watched, remote }
    }

    /// The engine, once it was found.
    pub fn engine(&self) -> Option<Arc<Attached>> {
        self.engine.borrow().clone()
    }

    /// Does an action that needs no terminal.
    pub fn perform(&self, action: Action) {
        match action {
            Action::Watch(id) => {
                self.watched.send_replace(id);
            }
            Action::List(folder) => {
                self.spawn_reply(async move { Reply::Listed(list(folder).await) })
            }
            Action::Ask(ask) => self.call(|client| async move {
                let result = command(&client, &ask).await.map(Box::new);
                Reply::Asked(ask, result)
            }),
            Action::Submit(edits, submission) => {
                let sending = self.sending();
                self.call(move |client| async move {
                    let sent = match sending {
                        Some(progress) => send(&client, *submission, progress).await,
                        None => Ok(*submission),
                    };
                    let result = match sent {
                        Ok(submission) => client.call(&Submit(submission)).await,
                        Err(errors) => Err(errors),
                    };
                    Reply::Submitted(edits, result.map(Box::new))
                })
            }
            Action::DryRun(edits, submission) => {
                let remote = self.remote;
                self.call(move |client| async move {
                    // Only of what is there already: nothing is sent for a dry run.
                    let submission = match remote {
                        true => remote::send(&client, *submission, None, |_, _| {}).await,
                        false => Ok(*submission),
                    };
                    let result = match submission {
                        Ok(submission) => client.call(&DryRun(submission)).await,
                        Err(errors) => Err(errors),
                    };
                    Reply::DryRun(edits, result)
                })
            }
            Action::KillRank(id) => self.call(move |client| async move {
                Reply::Killed(id, client.call(&KillRank { id }).await)
            }),
            Action::Leave(leave) => self.leave(leave),
            Action::Suspend(hand_over) => self.suspend(hand_over),
            // These are the terminal's owner's.
            Action::Copy(_) | Action::Redraw => {}
        }
    }

    /// Says how far a film is that is being sent; none where the engine has the same files.
    fn sending(&self) -> Option<impl Fn(u64, u64) + Clone + Send + Sync + 'static> {
        let told = self.told.clone();
        let shown = Arc::new(AtomicU64::new(u64::MAX));
        let progress = move |done: u64, all: u64| {
            let share = done.saturating_mul(100).checked_div(all).unwrap_or(100);
            if shown.swap(share, Ordering::Relaxed) != share {
                let text = format!("Sending the film: {share} % of {}", words::bytes(all));
                let _ = told.send(Told::Event(Event::Reply(Box::new(Reply::Told(text, false)))));
            }
        };
        self.remote.then_some(progress)
    }

    fn spawn_reply(&self, task: impl Future<Output = Reply> + Send + 'static) {
        let told = self.told.clone();
        self.runtime.spawn(async move {
            let _ = told.send(Told::Event(Event::Reply(Box::new(task.await))));
        });
    }

    fn call<F, T>(&self, task: F)
    where
        F: FnOnce(Client) -> T + Send + 'static,
        T: Future<Output = Reply> + Send + 'static,
    {
        let mut engine = self.engine.clone();
        self.spawn_reply(async move {
            match wait_for_engine(&mut engine).await {
                Some(attached) => task(attached.client.clone()).await,
                None => Reply::Told("The console is ending.".into(), true),
            }
        });
    }

    fn leave(&self, leave: Leave) {
        let told = self.told.clone();
        let engine = self.engine();
        self.runtime.spawn(async move {
            let result = match (&engine, leave) {
                (None, _) => Ok(()),
                (Some(engine), Leave::HandOver) => {
                    engine.hand_over().await.map_err(|reason| reason.to_string())
                }
                (Some(engine), Leave::HoldJobs) => {
                    let held = hold_all(&engine.client).await.map_err(|errors| errors.to_string());
                    if held.is_ok() {
                        engine.stop().await;
                    }
                    held
                }
                (Some(engine), Leave::Now) => {
                    engine.stop().await;
                    Ok(())
                }
            };
            let _ = told.send(match result {
                Ok(()) => Told::Leave,
                Err(why) => Told::Event(Event::Reply(Box::new(Reply::CannotLeave(why)))),
            });
        });
    }

    fn suspend(&self, hand_over: bool) {
        let told = self.told.clone();
        let engine = self.engine().filter(|_| hand_over);
        self.runtime.spawn(async move {
            let result = match engine {
                Some(engine) => engine.hand_over().await,
                None => Ok(()),
            };
            let _ = told.send(match result {
                Ok(()) => Told::Suspend,
                Err(reason) => {
                    let text = format!("Not stopped, or the jobs would stand still: {reason}");
                    Told::Event(Event::Reply(Box::new(Reply::Told(text, true))))
                }
            });
        });
    }
}

async fn find(
    config: Config,
    found: watch::Sender<Option<Arc<Attached>>>,
    told: mpsc::UnboundedSender<Told>,
) {
    loop {
        match host::attach_or_host(&config).await {
            Ok(attached) => {
                found.send_replace(Some(Arc::new(attached)));
                // The sender stays: whoever waits for the engine is never told that it won't come.
                std::future::pending::<()>().await;
            }
            Err(reason) => {
                let contact = Contact::Lost { since: now(), why: reason.text };
                if told.send(Told::Event(Event::Reply(Box::new(Reply::Contact(contact))))).is_err()
                {
                    return;
                }
            }
        }
        tokio::time::sleep(AFTER_FAULT).await;
    }
}

async fn wait_for_engine(
    engine: &mut watch::Receiver<Option<Arc<Attached>>>,
) -> Option<Arc<Attached>> {
    engine.wait_for(Option::is_some).await.ok()?.clone()
}

/// The polls. Each goes on for ever, at its own pace, and says what it finds.
#[derive(Clone)]
struct Polls {
    engine: watch::Receiver<Option<Arc<Attached>>>,
    told: mpsc::UnboundedSender<Told>,
}

impl Polls {
    fn say(&self, reply: Reply) -> bool {
        self.told.send(Told::Event(Event::Reply(Box::new(reply)))).is_ok()
    }

    async fn client(&mut self) -> Option<Arc<Attached>> {
        wait_for_engine(&mut self.engine).await
    }

    async fn status(mut self) {
        while let Some(engine) = self.client().await {
            let (pause, reply, contact) = match engine.client.call(&Status {}).await {
                Ok(status) => {
                    let contact = match engine.is_hosting() {
                        true => Contact::Hosting,
                        false => Contact::Attached { pid: status.pid },
                    };
                    (STATUS_EVERY, Some(Reply::Status(status)), contact)
                }
                Err(errors) => {
                    (AFTER_FAULT, None, Contact::Lost { since: now(), why: one_line(&errors) })
                }
            };
            if !self.say(Reply::Contact(contact)) {
                return;
            }
            if let Some(reply) = reply {
                self.say(reply);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn jobs(mut self) {
        while let Some(engine) = self.client().await {
            let pause = match engine.client.call(&Jobs { limit: Some(JOBS_POLLED) }).await {
                Ok(jobs) => {
                    if !self.say(Reply::Jobs(jobs)) {
                        return;
                    }
                    JOBS_EVERY
                }
                // The status' poll says that the engine is lost.
                Err(_) => AFTER_FAULT,
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn nodes(mut self) {
        while let Some(engine) = self.client().await {
            let pause = match engine.client.call(&Nodes {}).await {
                Ok(nodes) => {
                    if !self.say(Reply::Nodes(nodes)) {
                        return;
                    }
                    NODES_EVERY
                }
                Err(_) => AFTER_FAULT,
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn feed(mut self) {
        let mut after = 0;
        let mut first = true;
        while let Some(engine) = self.client().await {
            let call = Feed {
                after,
                limit: Some(FEED_KEPT as u32 / 2),
                tail: first,
                wait_ms: if first { 0 } else { FEED_WAIT_MS },
                ..Feed::default()
            };
            match engine.client.call(&call).await {
                Ok(entries) => {
                    first = false;
                    after = entries.last().map_or(after, |entry| entry.seq);
                    if !entries.is_empty() && !self.say(Reply::Feed(entries)) {
                        return;
                    }
                }
                Err(_) => tokio::time::sleep(AFTER_FAULT).await,
            }
        }
    }

    async fn detail(mut self, mut watched: watch::Receiver<Option<JobId>>) {
        while let Some(engine) = self.client().await {
            let wanted = *watched.borrow_and_update();
            let Some(id) = wanted else {
                if watched.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let (reply, pause) = match engine.client.call(&JobGet { id }).await {
                Ok(detail) => (Reply::Detail(Box::new(detail)), DETAIL_EVERY),
                Err(errors) => (Reply::NoDetail(id, errors), AFTER_FAULT),
            };
            if !self.say(reply) {
                return;
            }
            // Another job's page is filled at once.
            let _ = tokio::time::timeout(pause, watched.changed()).await;
            watched.mark_changed();
        }
    }
}

/// Sends a form's film to an engine elsewhere. Its output stays there.
async fn send(
    client: &Client,
    submission: Submission,
    progress: impl Fn(u64, u64) + Clone + Send + Sync + 'static,
) -> Result<Submission, Errors> {
    if let Some(output) = submission.output.as_ref().filter(|it| remote::is_here(it.as_path())) {
        return Err(Reason::output(format!(
            "{output} lies on this machine: name engine:/path, or leave it empty and fetch the output with \
             `download`"
        ))
        .into());
    }
    remote::send(client, submission, None, progress).await
}

fn one_line(errors: &Errors) -> String {
    let texts: Vec<&str> = errors.errors.iter().map(|reason| reason.text.as_str()).collect();
    texts.join("; ")
}

async fn command(client: &Client, ask: &Ask) -> Result<dvp_model::job::Job, Errors> {
    match *ask {
        Ask::Cancel(id) => client.call(&Cancel { id }).await,
        Ask::Retry(id) => client.call(&Retry { id }).await,
        Ask::Hold(id) => client.call(&Hold { id }).await,
        Ask::Release(id) => client.call(&Release { id }).await,
        Ask::Priority { id, to, .. } => client.call(&SetPriority { id, priority: to }).await,
    }
}

/// Holds every open job and waits until none is at work.
async fn hold_all(client: &Client) -> Result<(), Errors> {
    let until = tokio::time::Instant::now() + HOLD_WITHIN;
    loop {
        let jobs = client.call(&Jobs { limit: None }).await?;
        let open: Vec<_> = jobs.iter().filter(|job| needs_engine(job)).collect();
        if open.is_empty() || tokio::time::Instant::now() > until {
            return Ok(());
        }
        for job in open {
            if !matches!(job.state.name(), StateName::Holding | StateName::Cancelling) {
                // It may have ended in the meantime, which is as good.
                let _ = client.call(&Hold { id: job.id }).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn list(folder: FilePath) -> Listing {
    let path = folder.clone();
    let read = tokio::task::spawn_blocking(move || entries(path.as_path())).await;
    let entries = match read {
        Ok(Ok(entries)) => Ok(entries),
        Ok(Err(error)) => Err(format!("{folder} can't be read: {error}")),
        Err(_) => Err(format!("{folder} can't be read")),
    };
    Listing { folder, entries }
}

fn entries(folder: &Path) -> std::io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        // What a link leads to, or the link itself where it leads nowhere.
        let Ok(about) = std::fs::metadata(&path).or_else(|_| entry.metadata()) else { continue };
        found.push(Found { path: path.into(), folder: about.is_dir(), size: about.len() });
    }
    found.sort_by_cached_key(|found| {
        (!found.folder, found.path.file_name().to_string_lossy().to_lowercase())
    });
    Ok(found)
}
