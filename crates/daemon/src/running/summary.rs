//! What a run did, as it is gathered at its end.

use kalmind_output::{Controls as _, Ledger, LedgerSnapshot};
use kalmind_types::{InputDelay, OutputState, StreamStatus};
use serde_json::Value;

use crate::controls::DaemonControls;

/// What a run did, for the summary at its end.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What the tick thread counted: name, help, value.
    pub counts: Vec<(&'static str, &'static str, u64)>,
    /// The streams as they stood.
    pub streams: Vec<StreamStatus>,
    /// How late the input was.
    pub input: InputDelay,
    /// Latencies.
    pub latency: LedgerSnapshot,
    /// How long each output state was shown, in seconds on the local clock.
    pub state_seconds: Vec<(OutputState, f64)>,
    /// Events published.
    pub events: u64,
    /// What the recorder did, if there was one.
    pub recording: Option<Value>,
    /// Lines of the log that nobody took.
    pub dropped_lines: u64,
    /// What came over the task stream.
    pub task: Value,
    /// What of it never matched, for people.
    pub task_sentences: Vec<String>,
    /// What the recording has lost, in a sentence, if anything.
    pub recording_loss: Option<String>,
}

impl Summary {
    /// As things stand.
    pub(crate) fn of(controls: &DaemonControls, ledger: &Ledger) -> Self {
        Self {
            counts: controls.tick_counts(),
            streams: controls.streams(),
            input: controls.input.now(),
            latency: ledger.snapshot(),
            state_seconds: controls.hub.state_seconds().to_vec(),
            events: controls.events.count(),
            recording: controls.recording.as_ref().map(|recording| recording.json()),
            dropped_lines: crate::log::dropped_lines(),
            task: controls.markers.json(),
            task_sentences: controls.markers.sentences(),
            recording_loss: controls.recording.as_ref().and_then(|recording| recording.loss()),
        }
    }
}
