//! What a session wants done.

use kalmind_types::{Command, EventBody, LslTime, ModelId};

use crate::Calibration;

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
    /// Fit a decoder, and say what came of it by [`SessionInput::Fitted`](super::SessionInput::Fitted). One at a time.
    Fit(Box<FitOrder>),
    /// Nobody waits for that fit any more. What comes of it is not taken.
    CancelFit {
        /// Which.
        number: u64,
    },
    /// Learn thresholds and references from this stretch of rest, put them in force, and say what came of it by
    /// [`SessionInput::Learnt`](super::SessionInput::Learnt). One at a time.
    Learn {
        /// Counts stretches from 0.
        number: u64,
        /// When the stretch begins.
        from: LslTime,
        /// When it is over.
        to: LslTime,
    },
    /// Nobody waits for that any more: what is not yet in force stays away.
    CancelLearning {
        /// Which stretch.
        number: u64,
    },
    /// Let this model take over, warmed, and say what came of it by [`SessionInput::PutIn`](super::SessionInput::PutIn).
    PutIn(ModelId),
    /// The session that wanted this model put in is over: where it is still on its way, it does not take over.
    TakeBack(ModelId),
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
    /// Whether it is the first to these rows: nothing of a fit before it is kept.
    pub anew: bool,
}
