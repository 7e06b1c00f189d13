//! What a session needs to know of the run.

use kalmind_types::Seconds;

use super::{preset::Preset, reference::ReferenceStatus};
use crate::CalibrationOptions;

/// What a session needs to know of the run.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Presets that can be opened.
    pub presets: Vec<Preset>,
    /// Whose session it is, where the configuration says so.
    pub participant: Option<String>,
    /// Whether the participant is a simulated one.
    pub simulated: bool,
    /// Decides whatever is random in tasks and tests.
    pub seed: u64,
    /// Decoder to fit where a preset names none, with options; none fits nothing.
    pub decoder: Option<String>,
    /// How rows are made of ticks.
    pub calibration: CalibrationOptions,
    /// Features of a row.
    pub features: usize,
    /// Which stretch of rest thresholds and references are of at the start; none where they are as configured.
    pub reference: Option<ReferenceStatus>,
    /// Why nothing can be learnt from rest in this run, in words; none where it can.
    pub cannot_learn: Option<String>,
    /// The configured low-pass over velocity.
    pub smoothing: Seconds,
    /// The configured speed limit.
    pub max_speed: f64,
    /// The workspace's height, in workspace widths.
    pub height: f64,
    /// Whether a task by others may go on after a long silence of the input, without the operator.
    pub task_may_resume: bool,
}
