//! What a stage is: one step on a stream's samples, and the order in which its calls come.

use core::fmt::Debug;

use kalmind_types::StreamOutput;

use super::rows::Rows;
use super::state::{StateError, StateReader, StateWriter};

/// What goes into a stage, or comes out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Rows a second.
    pub rate_hz: f64,
    /// How many raw samples it is from one row to the next.
    pub every: u64,
    /// One a value of a row. Channels are those of the raw stream.
    pub outputs: Vec<StreamOutput>,
}

impl Signal {
    /// The raw stream: every channel stands for itself.
    pub fn raw(rate_hz: f64, channels: impl IntoIterator<Item = (String, String)>) -> Self {
        let output = |(channel, (name, unit))| StreamOutput {
            name,
            unit,
            channel: Some(channel),
            sources: Vec::new(),
        };
        Self { rate_hz, every: 1, outputs: channels.into_iter().enumerate().map(output).collect() }
    }

    /// Whether the same values come out as often, whichever channels each is made of.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_like = |output: &StreamOutput, other: &StreamOutput| {
            output.name == other.name && output.unit == other.unit && output.channel == other.channel
        };
        self.rate_hz.to_bits() == other.rate_hz.to_bits()
            && self.every == other.every
            && self.outputs.len() == other.outputs.len()
            && self.outputs.iter().zip(&other.outputs).all(|(output, other)| is_like(output, other))
    }

    /// The name of the first value that is made of a channel that the same value of `first` is not made of.
    pub fn made_of_more<'a>(&'a self, first: &Self) -> Option<&'a str> {
        let covered = |output: &StreamOutput, before: &StreamOutput| {
            let is_in = |channel: usize| {
                before.channel == Some(channel) || before.sources.iter().any(|run| run.contains(&channel))
            };
            output.sources.iter().cloned().flatten().all(is_in)
        };
        let mut pairs = self.outputs.iter().zip(&first.outputs);
        pairs.find(|(output, before)| !covered(output, before)).map(|(output, _)| output.name.as_str())
    }

    /// So many milliseconds in rows, to the nearest.
    pub(super) fn rows_in(&self, milliseconds: f64) -> f64 {
        (milliseconds * 1e-3 * self.rate_hz).round()
    }
}

/// Why a stage cannot be built from its settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct StageError {
    problem: String,
    /// Whether another signal would do.
    of_signal: bool,
}

impl StageError {
    /// With what is wrong, and what would be right.
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), of_signal: false }
    }

    /// With what does not fit the signal, and what would.
    pub(super) fn of_signal(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), of_signal: true }
    }

    /// Whether the settings are fine by themselves, and it is the signal that they do not fit.
    #[must_use]
    pub fn is_of_signal(&self) -> bool {
        self.of_signal
    }
}

/// One step on a stream's samples: a pure function of its settings and of the rows given since the last restart, however
/// they are cut into blocks.
///
/// The life of a stage, in order:
/// 1. It is built from its settings and the signal that goes in, on any thread; everything that it will ever need is
///    allocated then. [`signal`](Self::signal), [`delay`](Self::delay), [`settling`](Self::settling),
///    [`most_rows`](Self::most_rows) and [`state_bytes`](Self::state_bytes) hold from then on and never change: other settings make another stage.
/// 2. [`restart`](Self::restart), on the thread of the stream's inlet, before the first row and after every gap that is too
///    long to be filled. What has not come out by then never does.
/// 3. [`process`](Self::process), on the same thread, again and again. Neither this nor a restart allocates, locks, reads a
///    clock, logs or panics.
/// 4. [`save`](Self::save) between any two of them, and [`load`](Self::load) instead of a restart: the stage goes on bit for
///    bit as the one that was saved.
pub trait Stage: Debug + Send {
    /// What comes out.
    fn signal(&self) -> &Signal;

    /// How many rows more have to go in, at most, until the row that describes a sample comes out. 0: with the sample. Rows
    /// are those that go in, here as in [`settling`](Self::settling).
    fn delay(&self) -> u64;

    /// After how many rows a stage that was restarted gives valid values.
    fn settling(&self) -> u64;

    /// What whoever configured it should know, in words: what it does is not all that its settings say. Off the stream's thread.
    fn warning(&self) -> Option<String> {
        None
    }

    /// The most rows that come out of one call with `rows` rows.
    fn most_rows(&self, rows: usize) -> usize {
        rows
    }

    /// Forgets everything: the next row is the first. A filter starts in the steady state that an endless run of that row
    /// would have left, and what it gives is not valid until it has settled.
    fn restart(&mut self);

    /// From the next row on these channels of the raw stream are no part of any sum of channels. That their values are not
    /// valid the rows say themselves. Allocates nothing.
    fn leave_out(&mut self, _channels: &[bool]) {}

    /// Takes rows in and appends those that come out, each with the mark of the raw sample that it describes, marks rising. A
    /// row that is made of several carries the mark of the last of them.
    /// A value is valid where all that it depends on is, and the stage has settled.
    fn process(&mut self, input: &Rows, output: &mut Rows);

    /// The most bytes that [`save`](Self::save) takes down.
    fn state_bytes(&self) -> usize;

    /// Takes down what it remembers.
    fn save(&self, state: &mut StateWriter<'_>);

    /// Goes on from what was taken down by a stage with the same settings.
    ///
    /// # Errors
    /// Where that was another one; then the stage has to be restarted.
    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError>;
}

/// A kind of stage, as the registry knows it.
pub(super) trait StageKind: Stage + Sized {
    /// What is configured of it. What is wrong in it, whatever the signal, is found before what does not fit the signal.
    type Settings;
    /// The name by which configurations call it.
    const NAME: &'static str;
    /// What it does, in a sentence.
    const ABOUT: &'static str;
    /// The stage for a signal.
    fn build(settings: &Self::Settings, input: &Signal) -> Result<Self, StageError>;
    /// What it does with these settings, in a few words.
    fn summary(_settings: &Self::Settings) -> String {
        Self::NAME.to_owned()
    }
    /// Settings that work for any signal: the documentation's example, and what the conformance tests run.
    fn example() -> Self::Settings;
}
