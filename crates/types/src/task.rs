//! The words of a task: the blocks that a session is made of, its trials, and what it may ask for.

use serde::{Deserialize, Serialize};

use crate::{Mode, Position};

/// What a stretch of a session is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskBlock {
    /// Looking at the signals; nothing is trained or scored.
    #[default]
    SignalCheck,
    /// The cursor moves by the label law and the participant imagines moving it: rows to fit on.
    OpenLoop,
    /// The decoder moves the cursor to targets.
    ClosedLoop,
    /// Closed loop whose score is reported.
    Evaluation,
    /// The participant types.
    Typing,
    /// Nothing moves, and the participant rests: thresholds and references are learnt from it.
    Rest,
}

impl TaskBlock {
    /// The name by which events and configurations call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignalCheck => "signal_check",
            Self::OpenLoop => "open_loop",
            Self::ClosedLoop => "closed_loop",
            Self::Evaluation => "evaluation",
            Self::Typing => "typing",
            Self::Rest => "rest",
        }
    }

    /// The mode that the block needs the daemon in. Whoever runs the task asks for it; a latched hold stays.
    #[must_use]
    pub fn mode(self) -> Mode {
        match self {
            Self::SignalCheck | Self::Rest => Mode::Idle,
            Self::OpenLoop => Mode::Calibrating,
            Self::ClosedLoop | Self::Evaluation | Self::Typing => Mode::Control,
        }
    }

    /// What moves the cursor in it while the daemon calibrates.
    #[must_use]
    pub fn drive(self) -> CursorDrive {
        match self {
            Self::OpenLoop => CursorDrive::Label,
            Self::SignalCheck | Self::ClosedLoop | Self::Evaluation | Self::Typing | Self::Rest => {
                CursorDrive::Decoder
            }
        }
    }
}

/// Which end of a trial or block an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It begins.
    Start,
    /// It is over.
    End,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialResult {
    /// The cursor was held in the target.
    Acquired,
    /// The time was up.
    Timeout,
    /// Something else was selected.
    Incorrect,
}

/// What moves the cursor while the state is `calibrating`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorDrive {
    /// The decoder, as in `control`.
    #[default]
    Decoder,
    /// The label law toward the target: open loop.
    Label,
}

/// How much a task helps the cursor toward the target while the decoder moves it in `calibrating`: first what leads past the
/// target is attenuated, then what is left is mixed with what the label law would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assistance {
    /// The part of the velocity perpendicular to the way to the target that is taken away, 0 to 1.
    #[serde(default)]
    pub attenuation: f64,
    /// The part of the velocity that is the label law's, 0 to 1.
    #[serde(default)]
    pub mixing: f64,
}

impl Assistance {
    /// No help at all.
    pub const NONE: Self = Self { attenuation: 0.0, mixing: 0.0 };

    /// Whether the decoder moves the cursor by itself.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The greater of both parts: what figures say beside a result.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.attenuation.max(self.mixing)
    }

    /// Whether both are parts of a whole.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        [self.attenuation, self.mixing].iter().all(|part| (0.0..=1.0).contains(part))
    }
}

/// What a participant moves the cursor to: a disc.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Centre, in workspace widths.
    pub position: Position,
    /// Radius, in workspace widths.
    pub radius: f64,
}
