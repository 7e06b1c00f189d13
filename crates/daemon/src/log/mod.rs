//! The log: everything that is said on stderr, by Kalmind and by what it is linked to, written by one thread.
//!
//! A terminal that is held (Ctrl-S), a parent process that does not read, a full disk: whoever gets stderr may stop taking
//! it. Nobody but the writing thread notices. What finds no room in the queue is dropped, counted, and told of as soon as
//! lines get out again.
//!
//! liblsl writes to stderr by itself, and its threads would stand still with it. So a command that uses LSL gives its
//! process another stderr, a pipe that is always read ([`start_for_lsl`]): liblsl's messages become lines of the log, and
//! whatever else comes that way (a panic, a child process) passes on as it is.

mod stderr;

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
    time::Duration,
};

use indicatif::{ProgressDrawTarget, TermLike};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::configuration::{self, LogFormat};
use stderr::{Drain, Progress, Queue, RealStderr};

/// Lines that may wait.
const LINES: usize = 4096;
/// How long the end of the program waits for whoever reads stderr to take another line.
const LAST_PATIENCE: Duration = Duration::from_millis(500);
/// A terminal that does not say how wide it is.
const USUAL_WIDTH: u16 = 80;

static LOG: OnceLock<Log> = OnceLock::new();

/// The log of this process.
#[derive(Debug)]
struct Log {
    queue: Queue,
    dropped: ErrorCounter,
    progress: Progress,
    /// Width of the terminal that stderr is, if it is one.
    width: Option<u16>,
    drain: Option<Drain>,
    /// Never dropped: dropping it waits for the reader, and speaks on stdout.
    _worker: WorkerGuard,
}

/// Starts the log of a command that does not use LSL. A second start in one process keeps the first.
pub fn start(log: &configuration::Log) {
    let _first = LOG.get_or_init(|| begin(log, false));
}

/// Starts the log and reads from now on what this process, liblsl first of all, writes to its stderr. To be called before
/// any LSL call, and after [`crate::process::lsl_network::apply`], which may start the program anew. Where the system refuses a pipe,
/// stderr stays as it is, and the log says so.
pub fn start_for_lsl(log: &configuration::Log) {
    let _first = LOG.get_or_init(|| begin(log, true));
}

fn begin(log: &configuration::Log, for_lsl: bool) -> Log {
    let terminal = io::stderr().is_terminal();
    let (real, refused) = match RealStderr::open() {
        Ok(real) => (Some(real), None),
        Err(error) => (None, Some(error)),
    };
    let width = terminal.then(|| real.as_ref().and_then(RealStderr::width).unwrap_or(USUAL_WIDTH));
    let progress = real.as_ref().map(RealStderr::progress).unwrap_or_default();
    let told = real.as_ref().map(RealStderr::drops);
    let has_own = real.is_some();
    let writer: Box<dyn io::Write + Send> = match real {
        Some(real) => Box::new(real),
        None => Box::new(io::stderr()),
    };
    let (lines, worker) =
        NonBlockingBuilder::default().buffered_lines_limit(LINES).thread_name("kalmind-log").finish(writer);
    let dropped = lines.error_counter();
    if let Some(told) = told {
        // the writer tells what was dropped before it: it needs the counter, which comes after it
        let _first = told.set(dropped.clone());
    }
    let queue = Queue { lines, progress: progress.clone() };
    let builder = tracing_subscriber::fmt()
        .with_writer(queue.clone())
        .with_env_filter(EnvFilter::default().add_directive(log.level.into()));
    // where a test has set another one, that one stays
    let _started = match log.format {
        LogFormat::Text => builder.with_ansi(terminal).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    let mut drain = None;
    let refused = match refused {
        None if for_lsl && has_own => match Drain::take_over(queue.clone()) {
            Ok(taken) => {
                drain = Some(taken);
                None
            }
            Err(error) => Some(error),
        },
        refused => refused,
    };
    if let Some(error) = refused {
        tracing::warn!(%error, "stderr is written to directly: a terminal that blocks can block acquisition");
    }
    Log { queue, dropped, progress, width, drain, _worker: worker }
}

/// Says something to the person who started the program.
pub fn say(text: &str) {
    // where nobody can hear it any more, the program goes on all the same
    let _closed = match LOG.get() {
        Some(log) => log.queue.clone().write_all(format!("{text}\n").as_bytes()),
        None => writeln!(io::stderr().lock(), "{text}"),
    };
}

/// Lines that were not written: nobody took them in time, or stderr refused them.
#[must_use]
pub fn dropped_lines() -> u64 {
    LOG.get().map_or(0, |log| log.dropped.dropped_lines() as u64 + log.progress.refused())
}

/// Gives what waits to be written a last chance, for as long as lines get out, and half a second longer.
pub fn finish() {
    let Some(log) = LOG.get() else { return };
    if let Some(drain) = &log.drain {
        drain.catch_up(LAST_PATIENCE);
    }
    log.progress.wait_for_rest(&log.dropped, LAST_PATIENCE);
}

/// Where a progress bar of a command with [`start_for_lsl`] is drawn: over the log's queue where stderr is a terminal,
/// nowhere otherwise.
#[must_use]
pub fn progress_target() -> ProgressDrawTarget {
    match LOG.get().and_then(|log| log.width.map(|width| (log, width))) {
        Some((log, width)) => {
            ProgressDrawTarget::term_like(Box::new(QueuedTerminal { queue: log.queue.clone(), width }))
        }
        None => ProgressDrawTarget::hidden(),
    }
}

/// A terminal behind the queue: what is drawn waits there, and nobody waits for it.
#[derive(Debug)]
struct QueuedTerminal {
    queue: Queue,
    width: u16,
}

impl QueuedTerminal {
    fn put(&self, text: &str) -> io::Result<()> {
        if text.is_empty() { Ok(()) } else { self.queue.clone().write_all(text.as_bytes()) }
    }

    /// An ANSI control sequence that moves the cursor.
    fn go(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.put(&format!("\x1b[{count}{direction}")) }
    }
}

impl TermLike for QueuedTerminal {
    fn width(&self) -> u16 {
        self.width
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.put(&format!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.put(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
