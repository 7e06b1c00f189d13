//! Which stretch of rest thresholds and references are of, and the one that runs.

use kalmind_types::LslTime;
use serde::Serialize;

/// The stretch of rest that thresholds and references are of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReferenceStatus {
    /// Which stretch, in words: when, and how long.
    pub text: String,
    /// When it was learnt, in ISO 8601; none where it was learnt from a recording later.
    pub made: Option<String>,
    /// Its length.
    pub seconds: f64,
    /// The streams, by their keys, of whose stages something was learnt.
    pub streams: Vec<String>,
    /// What to know of it, a sentence each.
    pub warnings: Vec<String>,
}

/// A stretch of rest that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) begun: LslTime,
    pub(super) bins: u64,
    pub(super) incomplete: u64,
}

/// What was learnt of the stretches of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Learning {
    /// The stretch that runs.
    pub(super) rest: Option<Rest>,
    /// The one that is being learnt from, and how many there were.
    pub(super) running: Option<u64>,
    pub(super) number: u64,
    /// Whether other stages of a stream are on their way.
    pub(super) stages_are_coming: bool,
    /// What is in force.
    pub(super) reference: Option<ReferenceStatus>,
}

impl Learning {
    /// Nothing was learnt yet; what is in force is of this stretch.
    pub(super) fn of(reference: Option<ReferenceStatus>) -> Self {
        Self { reference, ..Self::default() }
    }
}
