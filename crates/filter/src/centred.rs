//! A decoder of the intent less its mean, made to speak of the intent itself.
//!
//! Every state model and every prior here has mean zero. Intents that rest elsewhere (a position in pixels, a force) are
//! fitted and decoded less the mean of their training rows ([`StateModel::mean`](crate::StateModel::mean)): it is added to
//! what leaves the decoder and taken from what enters it, here and nowhere else.

use kalmind_types::{Intent, MAX_COMPONENTS};

use crate::decoder::forward;
use crate::{Decoder, FilterState, StepReport};

/// See the module.
#[derive(Debug)]
pub(crate) struct Centred {
    decoder: Box<dyn Decoder>,
    mean: Vec<f64>,
    /// What the newest measurement alone said, mean added.
    unfiltered: [f64; MAX_COMPONENTS],
    /// The mean of the stacked belief, mean of the intent added to every block.
    belief: Vec<f64>,
    /// A belief to adopt, less the mean.
    adopted: Vec<f64>,
}

impl Centred {
    /// Around a decoder whose belief is over `order` blocks.
    pub(crate) fn new(decoder: Box<dyn Decoder>, mean: &[f64], order: usize) -> Self {
        let blocks = vec![0.0; mean.len() * order];
        Self {
            decoder,
            mean: mean.to_vec(),
            unfiltered: [0.0; MAX_COMPONENTS],
            belief: blocks.clone(),
            adopted: blocks,
        }
    }

    /// Notes what the decoder believes.
    fn note(&mut self) {
        if let Some(state) = self.decoder.state() {
            shift(&mut self.belief, state.mean, &self.mean, 1.0);
        }
        if let Some(unfiltered) = self.decoder.unfiltered() {
            shift(&mut self.unfiltered, unfiltered, &self.mean, 1.0);
        }
    }
}

/// Writes `from`, one block of components after the other, with `sign` times the mean added to each.
fn shift(to: &mut [f64], from: &[f64], mean: &[f64], sign: f64) {
    for ((to, from), mean) in to.iter_mut().zip(from).zip(mean.iter().cycle()) {
        *to = from + sign * mean;
    }
}

impl Decoder for Centred {
    forward!(decoder: features, dimension, restart, look_back, takes_cursor, observe_cursor);

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let report = self.decoder.step(features, intent);
        if report.valid {
            for (value, mean) in intent.mean_mut().iter_mut().zip(&self.mean) {
                *value += mean;
            }
        }
        self.note();
        report
    }

    fn unfiltered(&self) -> Option<&[f64]> {
        self.decoder.unfiltered().and_then(|values| self.unfiltered.get(..values.len()))
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.decoder.state().map(|state| FilterState { mean: &self.belief, ..state })
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        if state.mean.len() != self.adopted.len() {
            return false;
        }
        shift(&mut self.adopted, state.mean, &self.mean, -1.0);
        let adopted = self.decoder.adopt(FilterState { mean: &self.adopted, ..state });
        self.note();
        adopted
    }
}
