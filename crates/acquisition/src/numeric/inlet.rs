//! Numeric streams: which one to receive and how, and the handle of the threads that do it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use kalmind_types::{SampleBlock, StreamDescription};
use serde::{Deserialize, Serialize};

use crate::arrival::limits::ArrivalSettings;
use crate::companion::Companion;
use crate::health::MonitorLimits;
use crate::monitor::StreamMonitor;
use crate::numeric::delivery::{BlockSender, Senders};
use crate::numeric::receiver::Receiver;
use crate::pool::{PoolReader, pool};
use crate::search::resolve::{ResolveError, checked_predicate};
use crate::search::selector::StreamSelector;
use crate::waker::Waker;

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
    /// [`difference`](crate::difference)) is refused.
    pub description: StreamDescription,
    /// The stream was not there yet: of `description` only the number of channels is known, and perhaps their labels; the
    /// first outlet with as many, and with no others, becomes what the stream has to be from then on. Its numbers are converted to the description's format, `Double64`.
    pub is_assumed: bool,
    /// When it counts as stalled, behind, foreign or off its rate. What follows from how it arrives is never shorter.
    pub limits: MonitorLimits,
    /// How long its arrival is measured, and what follows from it.
    pub arrival: ArrivalSettings,
    /// How many samples a second it sends where its header does not say (nominal rate 0); sizes the queue in front of us.
    pub rate_hz: Option<f64>,
    /// Room of one block in samples. A pull ends when a block is full or nothing more is there.
    pub block_samples: usize,
    /// Number of blocks. When the reader is so far behind that all are taken, samples are dropped and counted.
    pub blocks: usize,
    /// Whose clock the stamps are on.
    pub clock: ClockSource,
    /// Where set, every sample that is received also goes to a recorder, those that are refused or dropped on their way to
    /// the tick thread included, through a pool of so many blocks. When the recorder is so far behind that all are taken,
    /// samples are not recorded; the hole shows in the next block's first index.
    pub recorded_blocks: Option<usize>,
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
    /// The defaults: limits for 20 ms bins, blocks of 20 ms but at least 16 samples, 64 of them but at least 1.5 s: chunks
    /// of 500 ms, and as much again that a reader still keeps.
    #[must_use]
    pub fn new(key: impl Into<String>, selector: StreamSelector, description: StreamDescription) -> Self {
        let rate = description.nominal_rate_hz.max(0.0);
        let block_samples = ((rate * 0.02).ceil() as usize).clamp(16, 4096);
        let blocks = blocks_for(rate, block_samples);
        Self {
            key: key.into(),
            selector,
            description,
            is_assumed: false,
            limits: MonitorLimits::default(),
            arrival: ArrivalSettings::default(),
            rate_hz: None,
            block_samples,
            blocks,
            clock: ClockSource::Sender,
            recorded_blocks: None,
            on_start: None,
        }
    }
}

/// Seconds of a stream that its blocks hold.
const HELD: f64 = 1.5;

/// Blocks of so many samples that hold 1.5 s of a stream, and 64 beside: a reader keeps some that hold one sample each.
#[must_use]
pub fn blocks_for(rate_hz: f64, block_samples: usize) -> usize {
    (HELD * rate_hz / block_samples.max(1) as f64).ceil() as usize + 64
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

impl SpawnError {
    /// Whether the selector itself is wrong (see [`ResolveError::is_configuration`]).
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Selector(error) if error.is_configuration())
    }
}

/// A running inlet. Dropping it ends its threads.
#[derive(Debug)]
pub struct NumericInlet {
    /// Where the samples come out; for the tick thread.
    pub blocks: PoolReader<SampleBlock>,
    /// Where they come out for a recorder, if one is configured.
    pub recorded: Option<PoolReader<SampleBlock>>,
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
        let status = Arc::new(StreamMonitor::new(config.key.clone()));
        Self::spawn_under(config, waker, status)
    }

    /// As [`spawn`](Self::spawn), for a stream that has been shown as awaited: `status` is what it was shown by.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_under(
        config: InletConfig,
        waker: Waker,
        status: Arc<StreamMonitor>,
    ) -> Result<Self, SpawnError> {
        let Some(format) = config.description.format else {
            return Err(SpawnError::NotNumeric(config.description.name));
        };
        let predicate = checked_predicate(&config.selector)?;
        let channels = config.description.channels;
        let samples = config.block_samples.max(1);
        let (writer, blocks) = pool(config.blocks, || SampleBlock::with_capacity(format, channels, samples));
        let (recorder, recorded) = config
            .recorded_blocks
            .map(|count| {
                let block = || SampleBlock::with_capacity(format, channels, samples);
                let (writer, reader) = pool(count, block);
                (BlockSender::new(writer, samples), reader)
            })
            .unzip();
        let senders = Senders { tick: BlockSender::new(writer, samples), recorder };
        let stop = Arc::new(AtomicBool::new(false));
        let companion = Companion::spawn(&config.key, predicate.clone(), Arc::clone(&status))?;
        let monitor = Arc::clone(&status);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(format!("lsl {}", config.key)).spawn(move || {
            if let Some(on_start) = &config.on_start {
                (on_start.0)();
            }
            Receiver::new(config, predicate, senders, monitor, companion, waker, stopped).run();
        })?;
        Ok(Self { blocks, recorded, status, running: Running { stop, thread: Some(thread) } })
    }

    /// Ends the threads and waits for them: milliseconds while samples arrive, at most a few seconds while a dead outlet
    /// is being asked for its header.
    pub fn stop(&mut self) {
        self.running.stop();
    }

    /// Takes the inlet apart, so that each part can go where it is used.
    #[must_use]
    pub fn into_parts(self) -> InletParts {
        InletParts {
            blocks: self.blocks,
            recorded: self.recorded,
            status: self.status,
            guard: InletGuard(self.running),
        }
    }
}

/// A running inlet, taken apart.
#[derive(Debug)]
pub struct InletParts {
    /// For the tick thread.
    pub blocks: PoolReader<SampleBlock>,
    /// For a recorder, if one is configured.
    pub recorded: Option<PoolReader<SampleBlock>>,
    /// For anyone.
    pub status: Arc<StreamMonitor>,
    /// Ends the threads when it is dropped.
    pub guard: InletGuard,
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
