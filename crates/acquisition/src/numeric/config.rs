//! Which numeric stream to receive, and how.

use std::sync::Arc;

use kalmind_types::StreamDescription;
use serde::{Deserialize, Serialize};

use crate::arrival::limits::ArrivalSettings;
use crate::health::MonitorLimits;
use crate::numeric::stages::{GivenTo, Stages};
use crate::search::selector::StreamSelector;

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
    /// Where set, the tick thread gets what these make of the samples, and so does a recorder.
    pub stages: Option<Stages>,
    /// Whether a recorder gets the samples themselves where there are stages, and whether it gets what these make of them.
    pub records_raw: bool,
    /// See `records_raw`.
    pub records_derived: bool,
    /// Where set, what was given to the stages is handed to it by the data thread, once a second and at every gap, and what
    /// they remember once a minute.
    pub on_given: Option<GivenTo>,
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
            stages: None,
            records_raw: true,
            records_derived: true,
            on_given: None,
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
