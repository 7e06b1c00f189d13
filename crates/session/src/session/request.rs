//! What people and scripts may ask of a session.

use kalmind_types::SelectBy;
use serde::{Deserialize, Serialize};

/// What is asked of a session: the body of `POST /v1/session`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionRequest {
    /// Choose preset and participant. Whoever asks is in charge from then on.
    Open {
        /// The preset's name.
        preset: String,
        /// The participant's code; that of the configuration where it states one.
        #[serde(default)]
        participant: Option<String>,
    },
    /// Begin the first block, the next one at once where the session rests, or go on after a pause.
    Start,
    /// Let the session stand still.
    Pause,
    /// End the block that runs, and go on with the next.
    Skip,
    /// Begin the block that runs, or ended last, anew.
    Repeat,
    /// End the session.
    End,
    /// Change how intent moves the cursor, and how much of the preset's assistance is given; what is left out stays.
    Options(SessionOptions),
    /// Let the decoder control although the verdict does not: whoever asks answers for it, by their code.
    Override,
    /// Write something down.
    Note {
        /// What.
        text: String,
    },
    /// Be in charge from now on, in place of somebody else.
    TakeOver,
    /// The participant calls for somebody.
    Call,
    /// Somebody has seen that.
    AnswerCall,
}

/// Changes of options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionOptions {
    /// Factor on the configured gain, 0.1 to 10.
    #[serde(default)]
    pub gain: Option<f64>,
    /// By how much that gain grows for each workspace width per second, 0 to 10.
    #[serde(default)]
    pub gain_growth: Option<f64>,
    /// Time constant of the low-pass over velocity, 0 to 1000 ms.
    #[serde(default)]
    pub smoothing_ms: Option<f64>,
    /// Speed limit in workspace widths per second, up to the configured one.
    #[serde(default)]
    pub max_speed: Option<f64>,
    /// Factor on the preset's assistance, 0 to 1.
    #[serde(default)]
    pub assistance: Option<f64>,
    /// What selects from the next block on, where the preset has a click do it.
    #[serde(default)]
    pub select: Option<SelectBy>,
    /// The least probability of a press, 0.05 to 0.999.
    #[serde(default)]
    pub click_threshold: Option<f64>,
    /// For how long a click has to be as probable as that, 0 to 1000 ms.
    #[serde(default)]
    pub click_hold_ms: Option<f64>,
}

/// Who asks: the code of the person in charge, and which of their pages or programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The person's code; none where nobody is stated.
    #[serde(default)]
    pub operator: Option<String>,
    /// Which page or program, by an identifier of its own choice.
    #[serde(default)]
    pub console: Option<String>,
}

/// Why a session does not do what it was asked for, in words: what is the matter, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefused {
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Not in the state that the session is in.
    #[error("{0}")]
    NotNow(String),
}
