//! What a session shows of itself: the answer to `GET /v1/session`, and the one thing that the page draws.

use kalmind_types::SelectBy;
use serde::Serialize;

use super::{
    compare::ComparisonStatus, reference::ReferenceStatus, score::ScoreStatus,
    signal_check::SignalCheckStatus, verdict::Verdict,
};

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionStatus {
    /// What it does.
    pub state: SessionState,
    /// What is to be done now, or what went wrong, in words for whoever runs the session.
    pub message: String,
    /// Whose session it is.
    pub participant: Option<String>,
    /// The code of the person in charge.
    pub operator: Option<String>,
    /// Which of their pages or programs.
    pub console: Option<String>,
    /// Whether the participant is a simulated one.
    pub simulated: bool,
    /// Presets that can be opened.
    pub presets: Vec<PresetStatus>,
    /// The preset that was opened.
    pub preset: Option<String>,
    /// Its blocks.
    pub blocks: Vec<BlockStatus>,
    /// Place in `blocks` of the one that runs, or comes next.
    pub block: Option<usize>,
    /// Seconds of that block so far.
    pub elapsed_s: f64,
    /// Seconds of rest that are left before it.
    pub rest_s: f64,
    /// Seconds left of the whole preset.
    pub seconds_left: f64,
    /// How much the cursor is helped right now.
    pub assistance: AssistanceStatus,
    /// What the newest signal check found.
    pub signal_check: Option<SignalCheckStatus>,
    /// The stretch of rest that thresholds and references are of; none where they are as configured.
    pub reference: Option<ReferenceStatus>,
    /// Fits of the session.
    pub fits: FitStatus,
    /// Seconds from the start of the first block to the first target that was acquired by the decoder with at most 20 % help.
    pub first_target_s: Option<f64>,
    /// What the session says of the decoder.
    pub verdict: Verdict,
    /// Whether the decoder may control, and who let it where the verdict does not.
    pub control: ControlStatus,
    /// Decoders that are compared, where some are.
    pub comparison: Option<ComparisonStatus>,
    /// How intent moves the cursor.
    pub options: OptionStatus,
    /// What may be asked for now; and why the rest may not.
    pub actions: Vec<ActionStatus>,
    /// Notes so far.
    pub notes: usize,
    /// Targets, trials, blocks and modes that other programs told while the session showed its own: they are not shown.
    pub told_by_others: u64,
    /// Since when the participant calls, on the LSL clock.
    pub called: Option<f64>,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Nothing was opened.
    Closed,
    /// A preset was opened; it waits to be started.
    Ready,
    /// It rests before the next block.
    Resting,
    /// A block runs.
    Running,
    /// It waits for a fit.
    Fitting,
    /// It waits for what a stretch of rest says of thresholds and references.
    Learning,
    /// It was paused.
    Paused,
    /// All blocks are over, or it was ended.
    Done,
}

/// A preset that can be opened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresetStatus {
    /// By which requests call it.
    pub name: String,
    /// What people read.
    pub title: String,
    /// What it is for.
    pub about: String,
    /// Seconds of all blocks and rests.
    pub seconds: f64,
    /// Number of blocks.
    pub blocks: usize,
}

/// A block of the preset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlockStatus {
    /// What it is for.
    pub block: &'static str,
    /// What people read.
    pub title: String,
    /// What the participant is asked to do.
    pub instruction: String,
    /// Its task.
    pub task: Option<String>,
    /// How long it lasts.
    pub seconds: f64,
    /// `waiting`, `running`, `done` or `skipped`.
    pub state: &'static str,
    /// How it went so far.
    pub score: Option<ScoreStatus>,
}

/// How much the cursor is helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct AssistanceStatus {
    /// See [`kalmind_types::Assistance::attenuation`].
    pub attenuation: f64,
    /// See [`kalmind_types::Assistance::mixing`].
    pub mixing: f64,
    /// Factor on what the preset says.
    pub scale: f64,
}

/// Fits of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FitStatus {
    /// Whether one runs.
    pub running: bool,
    /// Models that came of them.
    pub done: u64,
    /// Fits that failed.
    pub failed: u64,
    /// Models that were kept out.
    pub kept_out: u64,
    /// What became of the newest one, in words.
    pub newest: Option<String>,
    /// Rows gathered so far.
    pub rows: usize,
    /// Rows that found no room.
    pub rows_refused: u64,
}

/// Whether the decoder may control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ControlStatus {
    /// Whether it may.
    pub allowed: bool,
    /// Who let it, where the verdict does not.
    pub overridden_by: Option<String>,
}

/// How intent moves the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OptionStatus {
    /// Factor on the configured gain.
    pub gain: f64,
    /// By how much that gain grows for each workspace width per second.
    pub gain_growth: f64,
    /// Time constant of the low-pass over velocity.
    pub smoothing_ms: f64,
    /// Speed limit in workspace widths per second.
    pub max_speed: f64,
    /// The configured speed limit.
    pub highest_max_speed: f64,
    /// Factor on the preset's assistance.
    pub assistance: f64,
    /// What selects where the preset has a click do it; none where it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<SelectBy>,
    /// The least probability of a press; none where it is the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_threshold: Option<f64>,
    /// For how long a click has to be as probable as that; none where it is the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_hold_ms: Option<f64>,
}

/// What may be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionStatus {
    /// As in the request.
    pub action: &'static str,
    /// Whether it may be asked for now.
    pub allowed: bool,
    /// Why not, where it may not.
    pub why: Option<String>,
}
