//! What a session's events tell: who did what, and what the session made of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Actor;

/// Something happened in a session that is run from the page or a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionEvent {
    /// What.
    #[serde(flatten)]
    pub change: SessionChange,
    /// Whose doing it was.
    pub by: Actor,
    /// The code of the person in charge, where one is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

/// What selects a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectBy {
    /// Staying in it.
    Dwell,
    /// A click.
    Click,
}

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "session", rename_all = "snake_case")]
pub enum SessionChange {
    /// It was chosen what is to be done, and with whom.
    Opened {
        /// The preset's name.
        preset: String,
        /// The participant's code.
        participant: Option<String>,
    },
    /// A block of the preset begins.
    BlockStarted {
        /// Its place in the preset, from 0.
        number: usize,
        /// Its title.
        title: String,
    },
    /// A block is over.
    BlockEnded {
        /// Its place in the preset, from 0.
        number: usize,
        /// How it went, as the status shows it.
        score: Value,
    },
    /// The session stands still.
    Paused {
        /// Why, in words.
        why: String,
    },
    /// It goes on.
    Continued,
    /// It is over.
    Ended {
        /// Why, in words.
        why: String,
    },
    /// How intent moves the cursor was changed.
    Tuned {
        /// See [`CursorTuning`](crate::CursorTuning).
        gain: f64,
        /// See [`CursorTuning::gain_growth`](crate::CursorTuning::gain_growth).
        #[serde(default, skip_serializing_if = "crate::tick::is_none")]
        gain_growth: f64,
        /// Time constant of the low-pass over velocity.
        smoothing_s: f64,
        /// Workspace widths per second.
        max_speed: f64,
    },
    /// How much of the preset's assistance is given was changed.
    AssistanceScaled {
        /// The factor, 0 to 1.
        scale: f64,
    },
    /// What selects targets, or what counts as a click, was changed.
    ClicksTuned {
        /// What selects, in blocks that the preset has selected by clicking.
        select: SelectBy,
        /// The least probability of a press; none where it is the model's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<f64>,
        /// For how long a click has to be as probable as that; none where it is the model's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold_s: Option<f64>,
    },
    /// What the session says of the decoder has changed.
    Verdict {
        /// Its name.
        verdict: String,
        /// In words.
        text: String,
    },
    /// Somebody lets a decoder control that the verdict does not.
    Overridden {
        /// What the verdict said.
        verdict: String,
    },
    /// A fitted model was kept out.
    ModelKeptOut {
        /// SHA-256 of its file, hexadecimal.
        hash: String,
        /// Why, in words.
        why: String,
    },
    /// A stretch of rest was learnt from: what thresholds and references are from now on.
    ReferenceLearnt {
        /// Which stretch, in words.
        text: String,
        /// What to know of it, a sentence each.
        warnings: Vec<String>,
    },
    /// Nothing was learnt from a stretch of rest: thresholds and references stay as they were.
    ReferenceFailed {
        /// Why, in words.
        why: String,
    },
    /// Somebody wrote something down.
    Note {
        /// What.
        text: String,
    },
    /// Somebody took the session over from whoever was in charge.
    TakenOver {
        /// Who was in charge.
        from: Option<String>,
    },
    /// The participant calls for somebody.
    Called,
    /// Somebody has seen that.
    CallAnswered,
}
