//! The session: a preset's blocks, what is gathered and fitted in them, what the session says of the decoder, and what people
//! ask for, as one state machine.
//!
//! *Invariant:* pure, as the whole crate: [`Session::handle`] takes what happened and gives what is to be done, in order; the
//! same inputs give the same actions. Whoever owns it brings queues, threads and clocks. STOP never passes over it: it is in
//! force before a session hears of it, and the session sees it as the state of the next tick.

mod preset;
mod request;
mod status;
mod verdict;

use kalmind_types::{Actor, Command, EventBody, LslTime, Mode, ModelId, Seconds, TickOutput};

use crate::{Calibration, CalibrationOptions};

pub use preset::{AssistancePoint, BlockPlan, Preset, PresetError};
pub use request::{Person, SessionOptions, SessionRefused, SessionRequest};
pub use status::{
    ActionStatus, AssistanceStatus, BlockStatus, ControlStatus, FitStatus, OptionStatus, PresetStatus,
    ScoreStatus, SessionState, SessionStatus,
};
pub use verdict::{Verdict, VerdictKind};

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
    /// The configured low-pass over velocity.
    pub smoothing: Seconds,
    /// The configured speed limit.
    pub max_speed: f64,
    /// Whether a task by others may go on after a long silence of the input, without the operator.
    pub task_may_resume: bool,
}

/// What happened.
#[derive(Debug)]
pub enum SessionInput<'a> {
    /// A tick.
    Tick(SessionTick<'a>),
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
    /// Raw features in use, as [`Calibration`] takes them.
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
    /// Rows that it was fitted to.
    pub rows: usize,
    /// Why it may not control until somebody confirms it, in words; none where it may.
    pub doubt: Option<String>,
    /// What else there is to know of it, a sentence each.
    pub warnings: Vec<String>,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum SessionAction {
    /// Send this to the tick.
    Command(Command),
    /// Tell everyone.
    Publish {
        /// When it happened.
        time: LslTime,
        /// What.
        event: EventBody,
    },
    /// Fit a decoder, and say what came of it by [`SessionInput::Fitted`]. One at a time.
    Fit(Box<FitOrder>),
    /// Nobody waits for that fit any more. What comes of it is not taken.
    CancelFit {
        /// Which.
        number: u64,
    },
    /// Let this model take over, warmed, and say what came of it by [`SessionInput::PutIn`].
    PutIn(ModelId),
    /// Measure anew how the streams arrive.
    MeasureArrival,
}

/// A fit that is asked for.
#[derive(Clone, Debug)]
pub struct FitOrder {
    /// Counts fits from 0.
    pub number: u64,
    /// Decoder to fit, with options.
    pub decoder: String,
    /// The rows.
    pub rows: Calibration,
    /// Whether another fit follows soon: hyperparameters may be kept.
    pub provisional: bool,
}
