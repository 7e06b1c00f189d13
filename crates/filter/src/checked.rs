//! Every decoder, behind a check of what goes in and what comes out: whatever numbers arrive, no NaN or infinity leaves,
//! and none stays behind in a belief.

use kalmind_types::{Intent, Position};

use crate::decoder::forward;
use crate::{Decoder, FilterState, StepReport};

/// Features larger than this count as not finite: products of features, weights and means then stay far from overflow.
const LARGEST: f64 = 1e60;

/// A decoder that sees usable features only. A bin with others is a bin without features, with `fallback`. Where its own
/// arithmetic overflows all the same, it starts anew, and that bin has no intent.
#[derive(Debug)]
pub(crate) struct Checked {
    decoder: Box<dyn Decoder>,
    /// What the decoder writes to, so that an intent that is not finite goes no further.
    intent: Intent,
}

impl Checked {
    pub(crate) fn new(decoder: Box<dyn Decoder>) -> Self {
        let intent = Intent::zero(decoder.dimension());
        Self { decoder, intent }
    }
}

/// Whether all values are finite and of a size that decoders can work with; no early end, so that it vectorises.
pub(crate) fn usable(values: &[f64]) -> bool {
    values.iter().fold(true, |all, value| all & (value.abs() <= LARGEST))
}

impl Decoder for Checked {
    forward!(decoder: features, dimension, restart, look_back, unfiltered, takes_cursor, state);

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let usable = features.filter(|values| values.len() == self.decoder.features() && usable(values));
        let mut report = self.decoder.step(usable, &mut self.intent);
        report.fallback |= features.is_some() && usable.is_none();
        report.unused |= features.is_some() && usable.is_none();
        if report.valid && !self.intent.is_finite() {
            self.decoder.restart();
            return StepReport { fallback: true, unused: true, ..StepReport::default() };
        }
        if report.valid {
            *intent = self.intent;
        }
        report
    }

    fn observe_cursor(&mut self, cursor: Position) {
        if usable(&cursor.0) {
            self.decoder.observe_cursor(cursor);
        }
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        usable(state.mean) && usable(state.covariance) && self.decoder.adopt(state)
    }
}
