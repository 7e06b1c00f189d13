//! One thread per numeric stream: connects, pulls, sorts, counts and hands on samples, and connects anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use kalmind_types::{
    ClockOffset, LslTime, NumberFormat, SampleBlock, Seconds, StreamDescription, StreamHealth, StreamTime,
};
use lsl::{Pullable, StreamInfo, StreamInlet};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::companion::Companion;
use crate::delivery::{BlockSender, PullContext};
use crate::health::{Evidence, Fate, Link, MonitorLimits, judge};
use crate::monitor::StreamMonitor;
use crate::number::Number;
use crate::pool::{PoolReader, pool};
use crate::rate::RateMeter;
use crate::resolve::{ResolveError, checked_predicate, difference, open, phrase, search};
use crate::selector::StreamSelector;
use crate::sorting::Sorter;
use crate::waker::Waker;

/// How long a pull waits for a sample before the thread looks at its surroundings. A sample that comes ends the wait at
/// once.
const PATIENCE: f64 = 0.02;
/// One search for a lost stream, and so how long the thread may take to end.
const SEARCH: f64 = 0.2;
/// Every fifth search takes longer, for outlets that LSL's own settings ask only after half a second.
const LONG_SEARCH: f64 = 0.8;
/// How long an outlet may take to accept a connection for data.
const OPEN: f64 = 2.0;
/// A stream that is silent for this long is searched for; a shorter pause is left alone.
const SEARCH_AFTER: Seconds = Seconds(1.0);
/// How long `backlog` stays visible after the last old sample; a burst itself is over in milliseconds.
const SHOW_BACKLOG: Seconds = Seconds(1.0);

/// Whose clock a stream's stamps are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// The sender's LSL clock, whose offset LSL measures.
    #[default]
    Sender,
    /// A clock of its own (Unix time, a device counter in seconds): mapped to ours by when samples arrive. The stamps
    /// have to advance with time; the least delay on the way is not known and stays in.
    Arrival,
}

/// Which stream to receive, and how.
#[derive(Clone, Debug)]
pub struct InletConfig {
    /// The name by which the configuration knows the stream.
    pub key: String,
    /// What it is searched by.
    pub selector: StreamSelector,
    /// What it has to be: the header as [`find_one`](crate::find_one) gave it. An outlet whose header differs (see
    /// [`difference`]) is refused.
    pub description: StreamDescription,
    /// When it counts as stalled, behind, foreign or off its rate.
    pub limits: MonitorLimits,
    /// Room of one block in samples. A pull ends when a block is full or nothing more is there.
    pub block_samples: usize,
    /// Number of blocks. When the reader is so far behind that all are taken, samples are dropped and counted.
    pub blocks: usize,
    /// Whose clock the stamps are on.
    pub clock: ClockSource,
    /// Run by the data thread on itself before its first LSL call; LSL's network threads inherit the scheduling policy
    /// and affinity that it sets.
    pub on_start: Option<ThreadStart>,
}

/// Something that a thread does to itself as it starts.
#[derive(Clone)]
pub struct ThreadStart(pub Arc<dyn Fn() + Send + Sync>);

impl core::fmt::Debug for ThreadStart {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("ThreadStart")
    }
}

impl InletConfig {
    /// The defaults: limits for 20 ms bins, blocks of 20 ms but at least 16 samples, 64 of them but at least one second.
    #[must_use]
    pub fn new(key: impl Into<String>, selector: StreamSelector, description: StreamDescription) -> Self {
        let rate = description.nominal_rate_hz.max(0.0);
        let block_samples = ((rate * 0.02).ceil() as usize).clamp(16, 4096);
        let blocks = ((rate / block_samples as f64).ceil() as usize).clamp(64, 1024);
        Self {
            key: key.into(),
            selector,
            description,
            limits: MonitorLimits::default(),
            block_samples,
            blocks,
            clock: ClockSource::Sender,
            on_start: None,
        }
    }
}

/// Why an inlet could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The description is of a string stream; see [`MarkerInlet`](crate::MarkerInlet).
    #[error("stream {0:?} sends text, not numbers")]
    NotNumeric(String),
    /// The selector cannot be used.
    #[error(transparent)]
    Selector(#[from] ResolveError),
    /// The system gave no thread.
    #[error("no thread for the stream: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running inlet. Dropping it ends its threads.
#[derive(Debug)]
pub struct NumericInlet {
    /// Where the samples come out; for the tick thread.
    pub blocks: PoolReader<SampleBlock>,
    /// What is known of the stream; for anyone.
    pub status: Arc<StreamMonitor>,
    running: Running,
}

/// The threads of a running inlet.
#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NumericInlet {
    /// Starts receiving; `waker` is woken after each block and each change of state.
    ///
    /// Returns at once: the connection is made by the new thread, and its progress shows in `status`.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(config: InletConfig, waker: Waker) -> Result<Self, SpawnError> {
        let Some(format) = config.description.format else {
            return Err(SpawnError::NotNumeric(config.description.name));
        };
        let predicate = checked_predicate(&config.selector)?;
        let status = Arc::new(StreamMonitor::new(config.key.clone()));
        let channels = config.description.channels;
        let samples = config.block_samples.max(1);
        let (writer, blocks) = pool(config.blocks, || SampleBlock::with_capacity(format, channels, samples));
        let stop = Arc::new(AtomicBool::new(false));
        let companion = Companion::spawn(&config.key, predicate.clone(), Arc::clone(&status))?;
        let monitor = Arc::clone(&status);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(format!("lsl {}", config.key)).spawn(move || {
            if let Some(on_start) = &config.on_start {
                (on_start.0)();
            }
            Receiver {
                meter: RateMeter::new(Seconds::from_millis(config.limits.rate_window_ms)),
                sender: BlockSender::new(writer, samples),
                predicate,
                format,
                monitor,
                companion,
                waker,
                stop: stopped,
                was_connected: false,
                last: None,
                config,
            }
            .run();
        })?;
        Ok(Self { blocks, status, running: Running { stop, thread: Some(thread) } })
    }

    /// Ends the threads and waits for them: milliseconds while samples arrive, at most a few seconds while a dead outlet
    /// is being asked for its header.
    pub fn stop(&mut self) {
        self.running.stop();
    }

    /// Takes the inlet apart: the reader for the tick thread, the monitor for everyone, and the handle that ends the
    /// threads when it is dropped.
    #[must_use]
    pub fn into_parts(self) -> (PoolReader<SampleBlock>, Arc<StreamMonitor>, InletGuard) {
        (self.blocks, self.status, InletGuard(self.running))
    }
}

/// Keeps an inlet's threads running; dropping it ends them and waits for that.
#[derive(Debug)]
pub struct InletGuard(#[expect(dead_code, reason = "held for its drop")] Running);

impl Running {
    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("an acquisition thread panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An outlet that was chosen.
struct Chosen {
    info: StreamInfo,
    inlet: StreamInlet,
    description: StreamDescription,
    /// How it differs from what was expected, if it does.
    difference: Option<String>,
    /// Other outlets that matched and were not chosen.
    passed_over: Vec<String>,
}

/// The outlet that was connected last.
struct Last {
    uid: String,
    newest_stamp: Option<StreamTime>,
}

/// Why a connection ended.
enum Ended {
    Stopped,
    Lost,
    Replaced,
}

/// What is known of the connection at hand.
struct Connection {
    link: Link,
    /// When the newest sample arrived, or the connection was made.
    heard: LslTime,
    newest: Option<Fate>,
    nominal_rate_hz: f64,
    number: u32,
    description: StreamDescription,
    difference: Option<String>,
    shown: StreamHealth,
    backlog_until: Option<LslTime>,
}

/// What one pull brought.
#[derive(Default)]
struct Batch {
    received: u64,
    dropped: u64,
    missing: u64,
    newest: Option<(LslTime, ClockOffset)>,
}

/// The data thread.
struct Receiver {
    config: InletConfig,
    predicate: String,
    format: NumberFormat,
    monitor: Arc<StreamMonitor>,
    sender: BlockSender,
    meter: RateMeter,
    companion: Companion,
    waker: Waker,
    stop: Arc<AtomicBool>,
    was_connected: bool,
    last: Option<Last>,
}

impl Receiver {
    fn run(mut self) {
        while let Some(chosen) = self.choose() {
            self.companion.follow(&chosen.info, chosen.passed_over.clone());
            self.monitor.set_description(chosen.description.clone());
            let ended = match (&chosen.difference, self.format) {
                (Some(_), _) => self.refuse(chosen),
                (None, NumberFormat::Float32) => self.receive::<f32>(chosen),
                (None, NumberFormat::Double64) => self.receive::<f64>(chosen),
                (None, NumberFormat::Int8) => self.receive::<i8>(chosen),
                (None, NumberFormat::Int16) => self.receive::<i16>(chosen),
                (None, NumberFormat::Int32) => self.receive::<i32>(chosen),
                (None, NumberFormat::Int64) => self.receive::<i64>(chosen),
            };
            self.companion.forget();
            self.meter.reset();
            self.monitor.set_measured_rate(None);
            match ended {
                Ended::Stopped => return,
                Ended::Lost => self.searching(None),
                Ended::Replaced => {}
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Searches until there is an outlet to connect to; `None` when the inlet is to end.
    fn choose(&mut self) -> Option<Chosen> {
        for round in 1_u64.. {
            if self.stopped() {
                break;
            }
            let wait = if round.is_multiple_of(5) { LONG_SEARCH } else { SEARCH };
            let infos = match search(&self.predicate, wait) {
                Ok(infos) => infos,
                Err(error) => {
                    self.searching(Some(error.to_string()));
                    std::thread::park_timeout(core::time::Duration::from_secs_f64(SEARCH));
                    continue;
                }
            };
            let uids: Vec<_> = infos.iter().map(StreamInfo::uid).collect();
            let (mut same, mut other) = (Vec::new(), Vec::new());
            for info in infos {
                let Some((inlet, description)) = open(&info) else { continue };
                let difference = difference(&self.config.description, &description);
                let passed_over = uids.iter().filter(|uid| **uid != description.uid).cloned().collect();
                let candidates = if difference.is_none() { &mut same } else { &mut other };
                candidates.push(Chosen { info, inlet, description, difference, passed_over });
            }
            if same.len() > 1 {
                let last = self.last.as_ref().map_or(&self.config.description.uid, |last| &last.uid);
                if let Some(known) = same.iter().position(|chosen| chosen.description.uid == *last) {
                    return Some(same.swap_remove(known));
                }
                let names: Vec<_> = same.iter().map(|chosen| phrase(&chosen.description)).collect();
                self.searching(Some(format!(
                    "{} outlets could be this stream: {}; close all but one, or give each its own source_id",
                    names.len(),
                    names.join(", ")
                )));
                continue;
            }
            if let Some(chosen) = same.pop().or_else(|| other.pop()) {
                return Some(chosen);
            }
            self.searching(None);
        }
        None
    }

    /// Shows that no outlet is connected.
    fn searching(&self, detail: Option<String>) {
        let evidence = Evidence {
            link: Link::Searching,
            was_connected: self.was_connected,
            silent_for: Seconds(0.0),
            newest: None,
            measured_rate_hz: None,
            nominal_rate_hz: 0.0,
        };
        let health = judge(&evidence, &self.config.limits);
        let detail = detail.unwrap_or_else(|| {
            let selector = &self.config.selector;
            match health {
                StreamHealth::Lost => format!("the outlet is gone; searching for {selector}"),
                _ => format!("searching for {selector}"),
            }
        });
        self.show(health, Some(detail));
    }

    fn show(&self, health: StreamHealth, detail: Option<String>) {
        let before = self.monitor.health();
        if before != health {
            let detail = detail.as_deref().unwrap_or_default();
            tracing::info!(stream = %self.config.key, %before, now = %health, detail, "stream state");
        }
        self.monitor.set_health(health, detail);
        if before != health {
            self.waker.wake();
        }
    }

    fn connected(&self, chosen: &Chosen, link: Link, number: u32) -> Connection {
        Connection {
            link,
            heard: clock::now(),
            newest: None,
            nominal_rate_hz: chosen.description.nominal_rate_hz,
            number,
            description: chosen.description.clone(),
            difference: chosen.difference.clone(),
            shown: self.monitor.health(),
            backlog_until: None,
        }
    }

    /// Pulls from the expected stream until it ends.
    fn receive<T: Number>(&mut self, chosen: Chosen) -> Ended {
        if chosen.inlet.open_stream(OPEN).is_err() {
            return Ended::Lost;
        }
        let number = self.monitor.count_connection();
        let mut connection = self.connected(&chosen, Link::Connected, number);
        self.was_connected = true;
        let same_machine = this_host().is_some_and(|host| host == chosen.description.hostname);
        let mut sorter = Sorter::new(
            &self.config.limits,
            chosen.description.nominal_rate_hz,
            self.config.clock,
            same_machine,
        );
        if let Some(last) = self.last.take()
            && last.uid == chosen.description.uid
        {
            sorter = sorter.continues(last.newest_stamp);
        }
        let ended = self.pull_all::<T>(&chosen, &mut connection, &mut sorter);
        self.last = Some(Last { uid: chosen.description.uid, newest_stamp: sorter.newest_stamp() });
        ended
    }

    fn pull_all<T: Number>(
        &mut self,
        chosen: &Chosen,
        connection: &mut Connection,
        sorter: &mut Sorter,
    ) -> Ended {
        let mut row = vec![T::default(); self.config.description.channels];
        let mut measured = None;
        loop {
            if let Some(ended) = self.interrupted() {
                return ended;
            }
            let stamp = match T::pull(&chosen.inlet, &mut row, PATIENCE) {
                Ok(0.0) => {
                    self.publish(connection, clock::now());
                    continue;
                }
                Ok(stamp) => stamp,
                Err(_gone) => return Ended::Lost,
            };
            let arrival = clock::now();
            self.companion.watch().offset.refresh(&mut measured);
            let mut batch = Batch::default();
            let mut next = Ok(stamp);
            while let Ok(stamp) = next
                && stamp != 0.0
            {
                self.take::<T>(StreamTime(stamp), &row, arrival, measured, connection, sorter, &mut batch);
                if self.sender.is_full() || batch.received >= self.config.block_samples as u64 {
                    break;
                }
                next = T::pull(&chosen.inlet, &mut row, 0.0);
            }
            self.finish(connection, &batch);
            if next.is_err() {
                return Ended::Lost;
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the inner step of one loop, split off to be read")]
    fn take<T: Number>(
        &mut self,
        stamp: StreamTime,
        row: &[T],
        arrival: LslTime,
        measured: Option<ClockOffset>,
        connection: &mut Connection,
        sorter: &mut Sorter,
        batch: &mut Batch,
    ) {
        let sorted = sorter.sort(stamp, arrival, measured);
        connection.newest = Some(sorted.fate);
        batch.received += 1;
        batch.missing += sorted.missing;
        let delivered = if sorted.fate == Fate::Deliver {
            self.sender.deliver(stamp, |samples| {
                let fits = T::append(row, samples);
                debug_assert!(fits, "blocks are built for the stream's format");
            })
        } else {
            if sorted.fate == Fate::Backlog {
                connection.backlog_until = Some(arrival + SHOW_BACKLOG);
            }
            let context =
                self.context(connection, arrival, batch.newest.map_or(sorted.clock, |(_, clock)| clock));
            if self.sender.lose(context) {
                self.waker.wake();
            }
            false
        };
        batch.dropped += u64::from(!delivered);
        if sorted.fate != Fate::BadClock {
            batch.newest = Some((sorted.corrected, sorted.clock));
        }
    }

    /// Sends the block of a pull and publishes what it told of the stream.
    fn finish(&mut self, connection: &mut Connection, batch: &Batch) {
        let now = clock::now();
        connection.heard = now;
        let clock = batch.newest.map(|(_, clock)| clock).unwrap_or_default();
        if self.sender.flush(self.context(connection, now, clock)) {
            self.waker.wake();
        }
        self.meter.observe(now, batch.received);
        self.monitor.count_received(batch.received, batch.dropped, batch.missing);
        if let Some((newest, _)) = batch.newest {
            self.monitor.set_newest(newest);
        }
        self.publish(connection, now);
    }

    fn context(&self, connection: &Connection, received: LslTime, clock: ClockOffset) -> PullContext {
        let health = judge(&self.evidence(connection, received), &self.config.limits);
        PullContext { received, clock, health: Some(health), connection: connection.number }
    }

    fn evidence(&self, connection: &Connection, now: LslTime) -> Evidence {
        let unanswered = connection.link == Link::Connected
            && self.companion.watch().unanswered.load(Ordering::Relaxed)
            && (now - connection.heard).0 > SEARCH_AFTER.0;
        Evidence {
            link: if unanswered { Link::Unanswered } else { connection.link },
            was_connected: self.was_connected,
            silent_for: now - connection.heard,
            newest: connection.newest,
            measured_rate_hz: self.meter.rate_hz(),
            nominal_rate_hz: connection.nominal_rate_hz,
        }
    }

    /// Judges the stream and shows a state that has changed.
    fn publish(&mut self, connection: &mut Connection, now: LslTime) {
        let evidence = self.evidence(connection, now);
        let mut health = judge(&evidence, &self.config.limits);
        if matches!(health, StreamHealth::Live | StreamHealth::Mismatch)
            && connection.link == Link::Connected
            && connection.backlog_until.is_some_and(|until| now < until)
        {
            health = StreamHealth::Backlog;
        }
        let silent = matches!(health, StreamHealth::Stalled | StreamHealth::Lost | StreamHealth::Waiting)
            && evidence.silent_for.0 > SEARCH_AFTER.0;
        self.companion
            .watch()
            .search_wanted
            .store(silent || connection.link == Link::Refused, Ordering::Relaxed);
        self.monitor.set_measured_rate(evidence.measured_rate_hz);
        if health != connection.shown {
            if !matches!(health, StreamHealth::Live | StreamHealth::Mismatch) {
                self.meter.reset();
            }
            connection.shown = health;
            self.show(health, self.sentence(health, connection, &evidence));
        }
    }

    /// What is wrong, and what to do.
    fn sentence(&self, health: StreamHealth, connection: &Connection, evidence: &Evidence) -> Option<String> {
        let limits = &self.config.limits;
        Some(match health {
            StreamHealth::Live => return None,
            StreamHealth::Waiting if evidence.newest == Some(Fate::Unmeasured) => format!(
                "measuring the clock of host {:?}; samples are used as soon as it is known",
                connection.description.hostname
            ),
            StreamHealth::Waiting => String::from("connected; no sample has arrived yet"),
            StreamHealth::Stalled => format!(
                "connected, and no sample for more than {:.0} ms; is the sender paused?",
                limits.stall(evidence.nominal_rate_hz).as_millis()
            ),
            StreamHealth::Lost => String::from(
                "no samples, and the outlet does not answer a search: its program hangs or the network is cut",
            ),
            StreamHealth::Mismatch => match (&connection.difference, evidence.measured_rate_hz) {
                (Some(difference), _) => format!(
                    "it has changed: {difference}; its samples are refused (restart it as it was, or restart Kalmind \
                     for the new one)"
                ),
                (None, measured) => format!(
                    "measured rate {:.1} Hz, nominal {:.1} Hz; samples are used, but the sender is not what it says",
                    measured.unwrap_or(0.0),
                    evidence.nominal_rate_hz
                ),
            },
            StreamHealth::Backlog => format!(
                "samples older than {:.0} ms arrive and are dropped: the sender or the network was held up",
                limits.backlog_ms
            ),
            StreamHealth::BadClock => String::from(
                "its stamps are on a clock that has nothing to do with LSL's (Unix time? a device counter?); its \
                 samples are refused; set clock = \"arrival\" for this stream to time them by when they arrive",
            ),
        })
    }

    /// Counts the samples of an outlet that is not the stream expected, until it ends or another one is there.
    fn refuse(&mut self, chosen: Chosen) -> Ended {
        let mut connection = self.connected(&chosen, Link::Refused, 0);
        // shown even if the state was `mismatch` before: the difference is another one
        connection.shown = StreamHealth::Waiting;
        self.publish(&mut connection, clock::now());
        if chosen.inlet.open_stream(OPEN).is_err() {
            return Ended::Lost;
        }
        let (mut numbers, mut texts) = (Vec::<f64>::new(), Vec::<String>::new());
        loop {
            if let Some(ended) = self.interrupted() {
                return ended;
            }
            // LSL converts between number types
            let pulled = match chosen.description.format {
                Some(_) => f64::pull(&chosen.inlet, &mut numbers, PATIENCE),
                None => chosen.inlet.pull_sample_buf(&mut texts, PATIENCE),
            };
            match pulled {
                Ok(0.0) => self.publish(&mut connection, clock::now()),
                Ok(_) => {
                    let context = self.context(&connection, clock::now(), ClockOffset::default());
                    self.sender.lose(context);
                    self.monitor.count_received(1, 1, 0);
                }
                Err(_gone) => return Ended::Lost,
            }
        }
    }

    fn interrupted(&self) -> Option<Ended> {
        if self.stopped() {
            Some(Ended::Stopped)
        } else if self.companion.watch().replacement_seen.swap(false, Ordering::Relaxed) {
            Some(Ended::Replaced)
        } else {
            None
        }
    }
}

/// This machine's name as LSL writes it into headers; `None` where it cannot be told, and then every clock is measured
/// before its samples are used.
pub(crate) fn this_host() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned())
}
