//! The protocol's lines on rank 0's stdin and stdout. Nothing here waits for the other side: what it
//! does not read is kept, and progress that is overtaken by newer progress is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use dvp_model::Rank;
use dvp_model::wire::worker::FromWorker;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use rustix::stdio::{dup2_stdout, stderr, stdin, stdout};

/// A pipe that is ready takes so much without waiting (POSIX: PIPE_BUF).
const AT_ONCE: usize = 4096;
/// A line of the engine is no longer than this: a plan of ten hours at a wildly variable rate is.
const LONGEST_LINE: usize = 256 << 20;

/// Both directions.
pub struct Lines {
    input: OwnedFd,
    out: OwnedFd,
    /// Bytes of whole lines, the first of which may be partly written.
    pending: VecDeque<u8>,
    /// Newest progress a rank, while `pending` isn't empty.
    progress: BTreeMap<Rank, FromWorker>,
    incoming: Vec<u8>,
    /// Up to here `incoming` has no line's end.
    searched: usize,
    is_ended: bool,
}

impl Lines {
    /// Takes stdout for the protocol; whatever else is printed on it goes to stderr from now on.
    ///
    /// # Errors
    /// When file descriptors can't be copied.
    pub fn take_stdout() -> io::Result<Self> {
        let input = fcntl_dupfd_cloexec(stdin(), 3)?;
        let out = fcntl_dupfd_cloexec(stdout(), 3)?;
        dup2_stdout(stderr())?;
        Ok(Self::over(input, out))
    }

    fn over(input: OwnedFd, out: OwnedFd) -> Self {
        Self {
            input,
            out,
            pending: VecDeque::new(),
            progress: BTreeMap::new(),
            incoming: Vec::new(),
            searched: 0,
            is_ended: false,
        }
    }

    /// Queues a line. Progress waits until everything before it is written, and only its newest does.
    pub fn say(&mut self, line: FromWorker) {
        match line {
            FromWorker::Progress { rank, .. } => {
                self.progress.insert(rank, line);
            }
            FromWorker::Done { rank, .. } | FromWorker::Failed { rank, .. } => {
                self.progress.remove(&rank);
                self.queue(&line);
            }
            line => self.queue(&line),
        }
    }

    fn queue(&mut self, line: &FromWorker) {
        // Lines are plain data with text keys: they always have a JSON form.
        self.pending.extend(serde_json::to_vec(line).unwrap_or_default());
        self.pending.push_back(b'\n');
    }

    /// Whether there is something to write.
    pub fn wants_to_write(&self) -> bool {
        !self.pending.is_empty() || !self.progress.is_empty()
    }

    /// Writes what the other side takes now; the number of bytes that are left.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn write(&mut self) -> io::Result<usize> {
        loop {
            if self.pending.is_empty() {
                for line in std::mem::take(&mut self.progress).into_values() {
                    self.queue(&line);
                }
            }
            if self.pending.is_empty() || !self.is_writable() {
                return Ok(self.pending.len());
            }
            let (first, _) = self.pending.as_slices();
            match write(&self.out, &first[..first.len().min(AT_ONCE)]) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR | Errno::AGAIN) => return Ok(self.pending.len()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_writable(&self) -> bool {
        let mut fds = [PollFd::new(&self.out, PollFlags::OUT)];
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&zero)).is_ok_and(|ready| ready > 0)
    }

    /// Sleeps until the other side says something, at most `limit_ms`.
    pub fn nap(&self, limit_ms: u64) {
        if self.is_ended {
            return std::thread::sleep(Duration::from_millis(limit_ms));
        }
        let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: limit_ms as i64 * 1_000_000 };
        // Woken early or late: the loop looks again anyway.
        let _ = poll(&mut fds, Some(&limit));
    }

    /// What has arrived, as whole lines without their ends. After the end of the input: nothing.
    ///
    /// # Errors
    /// When it can't be read, or a line has no end in sight.
    pub fn read(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        let mut chunk = [0u8; 64 << 10];
        while !self.is_ended && self.is_readable() {
            match read(&self.input, &mut chunk) {
                Ok(0) => self.is_ended = true,
                Ok(count) => self.incoming.extend_from_slice(&chunk[..count]),
                Err(Errno::INTR | Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
            if self.incoming.len() > LONGEST_LINE {
                return Err(io::Error::other("a line of the engine has no end"));
            }
        }
        while let Some(at) = self.incoming[self.searched..].iter().position(|b| *b == b'\n') {
            let rest = self.incoming.split_off(self.searched + at + 1);
            let mut line = std::mem::replace(&mut self.incoming, rest);
            line.pop();
            self.searched = 0;
            lines.push(line);
        }
        self.searched = self.incoming.len();
        Ok(lines)
    }

    fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&zero)).is_ok_and(|ready| ready > 0)
    }

    /// Whether the other side has closed the input.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use dvp_model::error::Reason;
    use dvp_model::id::{ChunkIndex, Item};

    use super::*;

    fn failed(index: u32) -> FromWorker {
        let (item, reason) = (Item::Chunk(ChunkIndex(index)), Reason::input("x".repeat(400)));
        FromWorker::Failed { rank: 1, item, attempt: 1, reason }
    }

    #[test]
    fn a_slow_reader_costs_progress_and_nothing_else() {
        let (in_reader, _in_writer) = io::pipe().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::over(in_reader.into(), writer.into());
        let item = Item::Sound;
        for index in 0..5_000 {
            lines.say(failed(index));
            lines.say(FromWorker::Progress { rank: 0, item, frames: u64::from(index) });
            // Returns although nobody reads.
            lines.write().unwrap();
        }
        assert!(lines.write().unwrap() > 1_000_000);
        let read = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines();
            lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect::<Vec<_>>()
        });
        while lines.write().unwrap() > 0 {
            std::thread::yield_now();
        }
        drop(lines);
        let (mut next, mut progress) = (0, Vec::new());
        for line in read.join().unwrap() {
            match line {
                FromWorker::Failed { item, .. } => {
                    assert_eq!(item, Item::Chunk(ChunkIndex(next)));
                    next += 1;
                }
                FromWorker::Progress { frames, .. } => progress.push(frames),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(next, 5_000);
        assert_eq!(progress.last(), Some(&4_999));
        assert!(progress.len() < 1_000, "{} of 5000 progress lines were kept", progress.len());
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (_out_reader, out) = io::pipe().unwrap();
        let mut lines = Lines::over(reader.into(), out.into());
        let mut found = Vec::new();
        for part in ["on", "e\ntwo\nthr", "", "ee\n", "\nrest"] {
            writer.write_all(part.as_bytes()).unwrap();
            found.extend(lines.read().unwrap());
            assert!(!lines.is_ended());
        }
        drop(writer);
        assert!(lines.read().unwrap().is_empty());
        assert!(lines.is_ended());
        assert_eq!(found, [&b"one"[..], b"two", b"three", b""]);
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        let (in_reader, _in_writer) = io::pipe().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::over(in_reader.into(), writer.into());
        drop(reader);
        lines.say(FromWorker::Beat);
        assert!(lines.write().is_err());
    }
}
