//! The process's stderr, taken apart: the end that others read, and the end that liblsl writes to.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Write},
    os::fd::AsFd as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::{
    event::{PollFd, PollFlags},
    fs::OFlags,
    io::Errno,
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking};
use tracing_subscriber::fmt::MakeWriter;

/// The longest line that is read in one piece, in bytes.
const LONGEST_LINE: u64 = 16 * 1024;
/// Ends what stands in the pipe before it: no program writes this line.
const CAUGHT_UP: &str = "\u{0}kalmind: caught up\u{0}";

/// The way to the writing thread: takes whole lines, never waits.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(super) lines: NonBlocking,
    pub(super) progress: Progress,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.progress.count_sent();
        self.lines.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// How far the writing thread has got. Shared; counters only.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    counts: Arc<Counts>,
    moved: Receiver<()>,
    note: Sender<()>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Lines handed to the queue, dropped ones included.
    sent: AtomicU64,
    /// Lines that the writing thread is done with.
    done: AtomicU64,
    /// Those of them that stderr refused.
    refused: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        let (note, moved) = bounded(1);
        Self { counts: Arc::default(), moved, note }
    }
}

impl Progress {
    pub(super) fn count_sent(&self) {
        self.counts.sent.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }

    fn count_done(&self, refused: bool) {
        self.counts.refused.fetch_add(u64::from(refused), Ordering::Relaxed);
        self.counts.done.fetch_add(1, Ordering::AcqRel);
        // one note is enough for whoever waits
        let _noted_already = self.note.try_send(());
    }

    /// Waits until all lines are written, or none was within `patience`.
    pub(super) fn wait_for_rest(&self, dropped: &ErrorCounter, patience: Duration) {
        loop {
            let accepted =
                self.counts.sent.load(Ordering::Acquire).saturating_sub(dropped.dropped_lines() as u64);
            if self.counts.done.load(Ordering::Acquire) >= accepted
                || self.moved.recv_timeout(patience).is_err()
            {
                return;
            }
        }
    }
}

/// What stderr was when the program started. Its writer is the log's thread, which may wait here for ever.
#[derive(Debug)]
pub(super) struct RealStderr {
    file: File,
    progress: Progress,
    dropped: Arc<OnceLock<ErrorCounter>>,
    told: usize,
}

impl RealStderr {
    /// # Errors
    /// When the system gives no further file descriptor.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self::of(File::from(io::stderr().as_fd().try_clone_to_owned()?)))
    }

    fn of(file: File) -> Self {
        Self { file, progress: Progress::default(), dropped: Arc::default(), told: 0 }
    }

    /// Columns, where it is a terminal.
    pub(super) fn width(&self) -> Option<u16> {
        rustix::termios::tcgetwinsize(&self.file).ok().map(|size| size.ws_col).filter(|width| *width > 0)
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Where to put the counter of lines that found no room in the queue.
    pub(super) fn drops(&self) -> Arc<OnceLock<ErrorCounter>> {
        Arc::clone(&self.dropped)
    }

    fn put(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.file).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // whoever gave us this stderr has made it so
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut room = [PollFd::new(&self.file, PollFlags::OUT)];
                    match rustix::event::poll(&mut room, None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Write for RealStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let dropped = self.dropped.get().map_or(0, ErrorCounter::dropped_lines);
        let missing = dropped - self.told;
        let mut written = Ok(());
        if missing > 0 {
            let lines = if missing == 1 { "line of the log is" } else { "lines of the log are" };
            written =
                self.put(format!("kalmind: {missing} {lines} missing here: nobody read stderr\n").as_bytes());
            if written.is_ok() {
                self.told = dropped;
            }
        }
        let written = written.and_then(|()| self.put(line));
        self.progress.count_done(written.is_err());
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what this process writes to its stderr, and puts it into the log.
#[derive(Debug)]
pub(super) struct Drain {
    pipe: PipeWriter,
    caught_up: Receiver<()>,
}

impl Drain {
    /// From now on the process's stderr is a pipe that a thread of ours reads. Writing to it never waits: where that thread
    /// does not get to run, and 64 KiB wait, the rest of a message is lost.
    ///
    /// # Errors
    /// When the system gives no pipe or no thread; stderr is as it was then.
    pub(super) fn take_over(queue: Queue) -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        let (caught, caught_up) = bounded(1);
        std::thread::Builder::new()
            .name("kalmind-stderr".to_owned())
            .spawn(move || drain(reader, queue, &caught))?;
        last_words::wait_for_them()?;
        rustix::stdio::dup2_stderr(&pipe)?;
        Ok(Self { pipe, caught_up })
    }

    /// Waits until what was written so far is in the log, at most `patience`.
    pub(super) fn catch_up(&self, patience: Duration) {
        if writeln!(&self.pipe, "{CAUGHT_UP}").is_ok() {
            // at the end of the program nobody cares which of the two it was
            let _in_time = self.caught_up.recv_timeout(patience);
        }
    }
}

fn drain(reader: PipeReader, mut queue: Queue, caught_up: &Sender<()>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match io::Read::take(&mut reader, LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_cannot_happen_to_a_pipe) => return,
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text == CAUGHT_UP {
            let _one_is_enough = caught_up.try_send(());
        } else if let Some(message) = LslMessage::read(&without_colours(text)) {
            message.log();
        } else if !text.is_empty() {
            // never fails: the queue drops and counts
            let _taken = queue.write_all(format!("{text}\n").as_bytes());
        }
    }
}

/// A program that aborts (an exception that nobody caught, a panic while another one unwinds) has just said why.
mod last_words {
    #![expect(unsafe_code, reason = "an action for a signal has no safe wrapper")]

    use std::io;

    use rustix::thread::{Timespec, nanosleep};
    use signal_hook::{consts::SIGABRT, low_level};

    /// How long the threads that carry it to the real stderr have for that.
    const WITHIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

    /// From now on an abort waits for a moment, so that what was said before it gets out.
    ///
    /// # Errors
    /// When the action cannot be installed.
    pub(super) fn wait_for_them() -> io::Result<()> {
        let action = || {
            let _woken_early = nanosleep(&WITHIN);
            // cannot fail for a signal that exists
            let _ended = low_level::emulate_default_handler(SIGABRT);
        };
        // SAFETY: the action sleeps and ends the process, which signal(7) lists among what a handler may do; it does not panic
        unsafe { low_level::register(SIGABRT, action) }.map(drop)
    }
}

/// A line less the ANSI sequences that colour it on a terminal.
fn without_colours(line: &str) -> Cow<'_, str> {
    let Some((plain, coloured)) = line.split_once('\u{1b}') else { return Cow::Borrowed(line) };
    let mut all = plain.to_owned();
    for piece in coloured.split('\u{1b}') {
        // `[`, numbers, and a letter that ends the sequence
        let end = piece.find(|letter: char| letter.is_ascii_alphabetic()).map_or(piece.len(), |end| end + 1);
        all.push_str(piece.get(end..).unwrap_or_default());
    }
    Cow::Owned(all)
}

/// How bad liblsl finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
    Information,
    Detail,
}

/// A message of liblsl, as its logging library (loguru) writes it:
/// `2026-01-31 12:00:00.123 (   1.234s) [R_MyStream      ]      data_receiver.cpp:344    ERR| what happened`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LslMessage<'a> {
    severity: Severity,
    text: &'a str,
}

impl<'a> LslMessage<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (head, text) = line.split_once("| ")?;
        let (head, severity) = head.trim_end().rsplit_once(' ')?;
        let (_, place) = head.trim_end().rsplit_once(' ')?;
        let (file, line_number) = place.split_once(':')?;
        if !(file.contains('.')
            && !line_number.is_empty()
            && line_number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return None;
        }
        let severity = match severity {
            "FATL" | "ERR" => Severity::Error,
            "WARN" => Severity::Warning,
            "INFO" => Severity::Information,
            level if level.parse::<i8>().is_ok() => Severity::Detail,
            _ => return None,
        };
        Some(Self { severity, text })
    }

    fn log(self) {
        let Self { severity, text } = self;
        match severity {
            Severity::Error => tracing::error!(target: "liblsl", "{text}"),
            Severity::Warning => tracing::warn!(target: "liblsl", "{text}"),
            Severity::Information => tracing::info!(target: "liblsl", "{text}"),
            Severity::Detail => tracing::debug!(target: "liblsl", "{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::fd::OwnedFd};

    use tracing_appender::non_blocking::NonBlockingBuilder;

    use super::*;

    #[test]
    fn lines_that_nobody_takes_are_dropped_counted_and_told() {
        let (mut reader, mut writer) = io::pipe().expect("a pipe");
        let flags = rustix::fs::fcntl_getfl(&writer).expect("flags");
        rustix::fs::fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags are set");
        while writer.write(b".").is_ok() {}
        // stays so: whoever gave us a stderr may have made it so
        let real = RealStderr::of(File::from(OwnedFd::from(writer)));
        let (progress, drops) = (real.progress(), real.drops());
        let (lines, worker) = NonBlockingBuilder::default().buffered_lines_limit(8).finish(real);
        let dropped = lines.error_counter();
        drops.set(dropped.clone()).expect("set once");
        let mut queue = Queue { lines, progress: progress.clone() };
        for number in 0..100 {
            queue.write_all(format!("line {number}\n").as_bytes()).expect("never waits, never fails");
        }
        let missing = dropped.dropped_lines();
        assert!((91..=92).contains(&missing), "8 wait and one may be on its way: {missing}");
        // nobody reads: the wait is given up
        progress.wait_for_rest(&dropped, Duration::from_millis(1));
        let read = std::thread::spawn(move || {
            let mut all = String::new();
            reader.read_to_string(&mut all).map(|_| all)
        });
        progress.wait_for_rest(&dropped, Duration::from_mins(1));
        queue.write_all(b"last\n").expect("never fails");
        progress.wait_for_rest(&dropped, Duration::from_mins(1));
        drop((queue, worker));
        let all = read.join().expect("no panic").expect("text");
        assert!(all.contains("line 0\n") && all.ends_with("last\n"), "{all}");
        assert!(all.contains(&format!("kalmind: {missing} lines of the log are missing here")), "{all}");
        assert_eq!(progress.refused(), 0);
    }

    #[test]
    fn messages_of_liblsl_are_told_from_other_lines() {
        let line = "2026-11-27 01:02:03.456 (   0.123s) [R_Array         ]      data_receiver.cpp:344    ERR| Stream transmission broke off";
        let text = "Stream transmission broke off";
        assert_eq!(LslMessage::read(line), Some(LslMessage { severity: Severity::Error, text }));
        let coloured =
            line.replace("2026-11-27", "\u{1b}[0m\u{1b}[2m2026-11-27").replace("ERR", "\u{1b}[1;31mERR")
                + "\u{1b}[0m";
        assert_eq!(
            LslMessage::read(&without_colours(&coloured)),
            Some(LslMessage { severity: Severity::Error, text })
        );
        for (shown, severity) in [
            ("FATL", Severity::Error),
            ("WARN", Severity::Warning),
            ("INFO", Severity::Information),
            ("2", Severity::Detail),
        ] {
            let line = format!(
                "(   0.001s) [D4A7C0           ]      netinterfaces.cpp:36    {shown}| netif 'lo' | up"
            );
            let expected = LslMessage { severity, text: "netif 'lo' | up" };
            assert_eq!(LslMessage::read(&line), Some(expected), "{shown}");
        }
        for other in [
            "thread 'main' panicked at src/main.rs:3:5:",
            "terminate called after throwing an instance of 'std::system_error'",
            "a | b",
            "| ",
            "",
        ] {
            assert_eq!(LslMessage::read(other), None, "{other}");
        }
    }
}
