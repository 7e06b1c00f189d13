//! What the slow side learns of a tick: its input, its output and the features in between.

use kalmind_types::{LslTime, OutputState, Position, TickInput, TickOutput, Velocity};

/// A whole tick, in a pooled box. Made once, filled by the tick thread, read by the desk (and by a recorder).
#[derive(Clone, Debug)]
pub struct TickRecord {
    /// What went in.
    pub input: TickInput,
    /// What came out.
    pub output: TickOutput,
    /// Raw features, before masking and z-score; NaN where a channel had no valid sample.
    pub features: Vec<f64>,
    /// Ticks before this one that found no free box: the slow side never saw them.
    pub lost_before: u64,
}

impl TickRecord {
    /// An empty record for so many features.
    #[must_use]
    pub fn empty(features: usize) -> Self {
        Self {
            input: TickInput::empty(),
            output: EMPTY_OUTPUT,
            features: vec![f64::NAN; features],
            lost_before: 0,
        }
    }
}

const EMPTY_OUTPUT: TickOutput = TickOutput {
    seq: 0,
    epoch: 0,
    time: LslTime(0.0),
    newest: None,
    incomplete: true,
    state: OutputState::Idle,
    reason: None,
    position: Position([0.0, 0.0]),
    velocity: Velocity([0.0, 0.0]),
    intent: None,
    click: None,
    masked_features: 0,
    nonfinite_values: 0,
    row_one: false,
    fallback: false,
    guarded_channels: 0,
};
