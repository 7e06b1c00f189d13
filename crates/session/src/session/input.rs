//! What a session is told.

use kalmind_types::{Actor, EventBody, LslTime, Mode, ModelId, OutputState, TickOutput};

use super::{
    reference::ReferenceStatus,
    request::{Person, SessionRequest},
};

/// What happened.
#[derive(Debug)]
pub enum SessionInput<'a> {
    /// A tick.
    Tick(SessionTick<'a>),
    /// No ticks come, and meanwhile the output is in this state.
    Silent(OutputState),
    /// A task by others told something, which is published already.
    Told {
        /// When.
        time: LslTime,
        /// What.
        event: &'a EventBody,
    },
    /// Somebody asks something of the session.
    Asked {
        /// What.
        request: SessionRequest,
        /// Who, by their own account.
        person: Person,
        /// Who, as far as rights go.
        by: Actor,
    },
    /// Somebody asked for a mode, past the session.
    ModeAsked(Mode),
    /// A fit that the session asked for has ended.
    Fitted {
        /// Which.
        number: u64,
        /// What came of it, or why nothing did, in words.
        result: Result<FittedModel, String>,
    },
    /// A stretch of rest was learnt from, and what was learnt is in force.
    Learnt {
        /// Which.
        number: u64,
        /// What it is called from now on, or why nothing was learnt, in words.
        result: Result<ReferenceStatus, String>,
    },
    /// Whether other stages of any stream are on their way: no block in which the decoder moves the cursor begins meanwhile.
    StagesComing(bool),
    /// Other stages of a stream are in force, whoever asked for them.
    StagesChanged,
    /// A model was put in, or could not be.
    PutIn {
        /// Which.
        model: ModelId,
        /// Why not, in words, where it was not.
        result: Result<(), String>,
    },
}

/// A tick as a session sees it.
#[derive(Clone, Copy, Debug)]
pub struct SessionTick<'a> {
    /// Start of its bin.
    pub start: LslTime,
    /// What the engine gave.
    pub output: &'a TickOutput,
    /// Raw features in use, as [`Calibration`](crate::Calibration) takes them.
    pub features: &'a [f64],
    /// The model that decodes, and whether it may not control until somebody confirms it.
    pub model: Option<(ModelId, bool)>,
}

/// A model that came of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedModel {
    /// Which.
    pub id: ModelId,
    /// Its decoder, with options.
    pub decoder: String,
    /// Whether it decodes clicks as well.
    pub decodes_clicks: bool,
    /// Rows that it was fitted to.
    pub rows: usize,
    /// Whether it decodes better than chance, on rows that the decoder did not move; none where that could not be tested.
    pub better_than_chance: Option<bool>,
    /// How often what knows nothing decodes as well, where that was tested.
    pub p_value: Option<f64>,
    /// Why it may not control until somebody confirms it, in words; none where it may.
    pub doubt: Option<String>,
    /// What else there is to know of it, a sentence each.
    pub warnings: Vec<String>,
}
