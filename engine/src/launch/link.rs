//! A running launch: mpirun with rank 0's lines in both directions. It never outlives its link: when this
//! is dropped, rank 0's stdin ends and mpirun is given up. Knows nothing of jobs or the store.

use std::time::Duration;

use dvp_model::wire::worker::{BEAT_MS, FromWorker, ToWorker};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::exec::{Ended, Running};
use crate::tasks::Tasks;

/// Longest line of stderr that is kept, bytes.
const LOG_LINE: usize = 500;

/// How long streams may stay open after mpirun's end.
const AFTER_END: Duration = Duration::from_secs(2);

/// What comes from a launch.
#[derive(Debug)]
pub enum Heard {
    /// Rank 0 says something.
    Line(Box<FromWorker>),
    /// Rank 0's stdout holds something that is no line of the protocol.
    Garbled(String),
    /// A line of stderr, cleaned.
    Log(String),
    /// Both streams are at their end, and mpirun ended this way.
    Ended(Ended),
}

/// The engine's end of a launch.
#[derive(Debug)]
pub struct Link {
    to: mpsc::UnboundedSender<ToWorker>,
    from: mpsc::Receiver<Heard>,
}

impl Link {
    /// Speaks with mpirun, which was just started. Beats go out by themselves, whatever the caller does.
    pub fn open(launch: Running, tasks: &Tasks) -> Self {
        let (to, commands) = mpsc::unbounded_channel();
        let (heard, from) = mpsc::channel(1024);
        let Running { stdin, stdout, stderr, mut end } = launch;
        tasks.spawn(write(stdin, commands));
        tasks.spawn(async move {
            let closed = heard.clone();
            let all = async {
                let streams = async { tokio::join!(read(stdout, &heard), log(stderr, &heard)) };
                tokio::pin!(streams);
                let ended = tokio::select! {
                    _ = &mut streams => end.await,
                    // A process that outlives mpirun may hold its streams: they get a moment.
                    ended = &mut end => {
                        let _ = tokio::time::timeout(AFTER_END, streams).await;
                        ended
                    }
                };
                let _ = heard.send(Heard::Ended(ended)).await;
            };
            // Nobody listens any more: the launch is dropped, and so ended.
            tokio::select! { () = all => {}, () = closed.closed() => {} }
        });
        Self { to, from }
    }

    /// Says something to rank 0. Lost when the launch is gone, which [`Link::hear`] tells.
    pub fn say(&self, line: ToWorker) {
        let _ = self.to.send(line);
    }

    /// The next thing heard. None after [`Heard::Ended`].
    pub async fn hear(&mut self) -> Option<Heard> {
        self.from.recv().await
    }
}

async fn write(
    mut stdin: impl AsyncWrite + Unpin,
    mut commands: mpsc::UnboundedReceiver<ToWorker>,
) {
    let mut beats = tokio::time::interval(Duration::from_millis(BEAT_MS));
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let line = tokio::select! {
            line = commands.recv() => match line {
                Some(line) => line,
                None => return,
            },
            _ = beats.tick() => ToWorker::Beat,
        };
        let Ok(mut bytes) = serde_json::to_vec(&line) else { continue };
        bytes.push(b'\n');
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(stdout: impl AsyncRead + Unpin, heard: &mpsc::Sender<Heard>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let next = match reader.read_until(b'\n', &mut line).await {
            // The end, maybe in the midst of a line: whoever wrote it is dead.
            Ok(_) if line.last() != Some(&b'\n') => return,
            Ok(_) => match serde_json::from_slice(&line) {
                Ok(line) => Heard::Line(Box::new(line)),
                Err(error) => Heard::Garbled(format!("{error} in '{}'", clean(&line))),
            },
            Err(error) => Heard::Garbled(error.to_string()),
        };
        let garbled = matches!(next, Heard::Garbled(_));
        if heard.send(next).await.is_err() || garbled {
            return;
        }
    }
}

async fn log(stderr: impl AsyncRead + Unpin, heard: &mpsc::Sender<Heard>) {
    let mut reader = BufReader::new(stderr);
    while let Some(line) = bounded_line(&mut reader).await {
        let line = clean(&line);
        if line.trim_matches('-').trim().is_empty() {
            continue;
        }
        if heard.send(Heard::Log(line)).await.is_err() {
            return;
        }
    }
}

/// A line of at most [`LOG_LINE`] bytes; what is longer is dropped.
async fn bounded_line(reader: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut any = false;
    loop {
        let buffer = reader.fill_buf().await.ok()?;
        if buffer.is_empty() {
            return any.then_some(line);
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        line.extend(&part[..part.len().min(LOG_LINE.saturating_sub(line.len()))]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Some(line);
        }
    }
}

/// Fit for a terminal line.
fn clean(line: &[u8]) -> String {
    dvp_model::path::printable(String::from_utf8_lossy(line).trim_end())
}
