//! The blocks that a session is made of.

use kalmind_types::{CursorDrive, Mode};
use serde::{Deserialize, Serialize};

/// What a stretch of a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskBlock {
    /// Looking at the signals; nothing is trained or scored.
    SignalCheck,
    /// The cursor moves by the label law and the participant imagines moving it: rows to fit on.
    OpenLoop,
    /// The decoder moves the cursor to targets.
    ClosedLoop,
    /// Closed loop whose score is reported.
    Evaluation,
    /// The participant types.
    Typing,
}

impl TaskBlock {
    /// The name by which events and configurations call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignalCheck => "signal_check",
            Self::OpenLoop => "open_loop",
            Self::ClosedLoop => "closed_loop",
            Self::Evaluation => "evaluation",
            Self::Typing => "typing",
        }
    }

    /// The mode that the block needs the daemon in. Whoever runs the task asks for it; a latched hold stays.
    pub fn mode(self) -> Mode {
        match self {
            Self::SignalCheck => Mode::Idle,
            Self::OpenLoop => Mode::Calibrating,
            Self::ClosedLoop | Self::Evaluation | Self::Typing => Mode::Control,
        }
    }

    /// What moves the cursor in it while the daemon calibrates.
    pub fn drive(self) -> CursorDrive {
        match self {
            Self::OpenLoop => CursorDrive::Label,
            Self::SignalCheck | Self::ClosedLoop | Self::Evaluation | Self::Typing => CursorDrive::Decoder,
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
