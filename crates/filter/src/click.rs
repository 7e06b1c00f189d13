//! How likely the participant means to click: a linear discriminant behind a hidden Markov model of two states.
//!
//! **Law.** Features of a bin are taken to be normal about one of two means, with one covariance (linear discriminant
//! analysis, by which people with tetraplegia have clicked since Kim et al., IEEE Trans. Neural Syst. Rehabil. Eng. 19, 2011,
//! and Jarosiewicz et al., Science Translational Medicine 7, 2015). What a bin says is then the logarithm of a ratio of
//! likelihoods that is linear in the features. Bins follow one another as states of a Markov chain do (Kao et al., IEEE Trans.
//! Biomed. Eng. 64, 2017; Pandarinath et al., eLife 6, 2017), so that the probability after each bin is that of the forward
//! recursion (Rabiner, Proc. IEEE 77, 1989, eq. 20, normalised):
//!
//! ```text
//! l = weights . x + intercept              q = p (1 - end) + (1 - p) begin
//! p' = q e^l / (q e^l + 1 - q)             p' = q in a bin without features
//! ```
//!
//! *Invariant:* the tick allocates nothing, and the same calls give the same bits on every machine.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use serde::{Deserialize, Serialize};

use crate::button::PressLaw;
use crate::checked::usable;
use crate::cholesky::dot;
use crate::model_error::ModelError;
use crate::validate::{finite, out_of_range};

/// A fitted click decoder: what a model file holds of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickParameters {
    /// What a unit of each feature, as the decoder takes it, adds to the logarithm of the ratio of likelihoods; n.
    pub weights: Vec<f64>,
    /// That logarithm where all features are 0.
    pub intercept: f64,
    /// How bins follow one another, and what counts as a press.
    pub settings: ClickSettings,
}

/// How clicks begin and end, and when the button goes down and up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickSettings {
    /// Probability that a click begins in a bin, where the bin before had none; above 0, at most 0.5.
    pub begin: f64,
    /// Probability that it is over in the next bin; above 0, at most 0.5.
    pub end: f64,
    /// The button goes down where the probability is at least this; above 0 and below 1.
    pub threshold: f64,
    /// It goes up where the probability is below this; above 0, at most the threshold.
    pub release: f64,
    /// For how long the probability has to be at least the threshold, in milliseconds.
    pub hold_ms: f64,
    /// How long after a press none can begin, in milliseconds.
    pub refractory_ms: f64,
}

/// So many time constants of a chain, and e^-5 is left of what came before.
const LOOK_BACK: f64 = 5.0;
/// The longest hold, and the longest time without a press, in milliseconds.
const LONGEST_MS: f64 = 10_000.0;

impl ClickSettings {
    /// What counts as a press, for bins of this width; times last until the end of the bin in which they end.
    fn law(&self, bin_ms: f64) -> PressLaw {
        let Self { threshold, release, hold_ms, refractory_ms, .. } = *self;
        let [hold, refractory] = [hold_ms, refractory_ms].map(|time| PressLaw::bins(time, bin_ms));
        PressLaw { threshold, release, hold, refractory, bin_ms }
    }
}

impl ClickParameters {
    /// Checks them for `n` features.
    pub(crate) fn validate(&self, n: usize) -> Result<(), ModelError> {
        let Self { weights, intercept, settings } = self;
        if weights.len() != n {
            let (found, expected) = (weights.len().to_string(), n.to_string());
            return Err(ModelError::Shape { tensor: "click weights", found, expected });
        }
        finite("click weights", weights)?;
        finite("click intercept", &[*intercept])?;
        let ClickSettings { begin, end, threshold, release, hold_ms, refractory_ms } = *settings;
        for (name, value) in [("click begin", begin), ("click end", end)] {
            // with less one of both states would be certain for ever
            if !(1e-9..=0.5).contains(&value) {
                return out_of_range(name, value, "at least 1e-9 and at most 0.5");
            }
        }
        if !(threshold > 0.0 && threshold < 1.0) {
            return out_of_range("click threshold", threshold, "above 0 and below 1");
        }
        if !(release > 0.0 && release <= threshold) {
            return out_of_range("click release", release, "above 0 and at most the threshold");
        }
        for (name, value) in [("click hold_ms", hold_ms), ("click refractory_ms", refractory_ms)] {
            if !(0.0..=LONGEST_MS).contains(&value) {
                return out_of_range(name, value, "from 0 to 10000");
            }
        }
        Ok(())
    }
}

/// A click decoder at work. Belongs to a model on the tick; what a press is, and how many there were, is the run's
/// ([`Button`](crate::Button)).
#[derive(Clone, Debug)]
pub struct ClickDecoder {
    weights: Vec<f64>,
    intercept: f64,
    begin: f64,
    end: f64,
    probability: f64,
    /// Whether it has seen no bin since it began anew.
    is_new: bool,
    law: PressLaw,
}

impl ClickDecoder {
    /// One that has seen nothing, for bins of this width. Allocates.
    #[must_use]
    pub fn new(parameters: &ClickParameters, bin_ms: f64) -> Self {
        let ClickParameters { weights, intercept, settings } = parameters;
        let ClickSettings { begin, end, .. } = *settings;
        let mut decoder = Self {
            weights: weights.clone(),
            intercept: *intercept,
            begin,
            end,
            probability: 0.0,
            is_new: true,
            law: settings.law(bin_ms),
        };
        decoder.restart();
        decoder
    }

    /// Forgets the past: the probability is that of a chain that has run for long.
    pub fn restart(&mut self) {
        self.probability = self.begin / (self.begin + self.end);
        self.is_new = true;
    }

    /// Handles one bin and says how likely a click is meant in it. `None`, a bin without valid features, and features from
    /// which nothing finite follows are a time update only. Real-time; n multiplications.
    pub fn step(&mut self, features: Option<&[f64]>) -> f64 {
        let Self { weights, intercept, begin, end, probability, is_new, .. } = self;
        *is_new = false;
        let predicted = *probability * (1.0 - *end) + (1.0 - *probability) * *begin;
        let said = features
            .filter(|features| features.len() == weights.len() && usable(features))
            .map(|features| dot(weights, features) + *intercept)
            .filter(|said| said.is_finite());
        *probability = said.map_or(predicted, |said| {
            // the exponent is never positive, so nothing overflows
            let small = libm::exp(-said.abs());
            let (meant, not) = (predicted, 1.0 - predicted);
            if said >= 0.0 { meant / (meant + not * small) } else { meant * small / (meant * small + not) }
        });
        *probability
    }

    /// Bins after which the chain has all but forgotten what came before, whatever they said.
    #[must_use]
    pub fn look_back(&self) -> u64 {
        (LOOK_BACK / (self.begin + self.end)).ceil() as u64
    }

    /// Goes on from the probability of another one.
    pub fn adopt(&mut self, other: &Self) {
        (self.probability, self.is_new) = (other.probability, other.is_new);
    }

    /// Whether it has seen no bin since it began anew: it knows nothing of an act that goes on.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// What counts as a press.
    #[must_use]
    pub fn law(&self) -> PressLaw {
        self.law
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> ClickParameters {
        ClickParameters {
            weights: vec![1.0, -0.5],
            intercept: -1.0,
            settings: ClickSettings {
                begin: 0.1,
                end: 0.2,
                threshold: 0.9,
                release: 0.5,
                hold_ms: 40.0,
                refractory_ms: 500.0,
            },
        }
    }

    #[test]
    fn the_probability_is_that_of_bayes_rule_bin_by_bin() {
        let mut decoder = ClickDecoder::new(&parameters(), 20.0);
        // the chain's own: 0.1 / 0.3; it predicts itself
        assert!((decoder.step(None) - 1.0 / 3.0).abs() < 1e-15);
        // l = 2 - 1 - 1 = 0 says nothing
        assert!((decoder.step(Some(&[2.0, 2.0])) - 1.0 / 3.0).abs() < 1e-15);
        // l = ln 2: (2 / 3) / (2 / 3 + 2 / 3)
        let twice = 1.0 + core::f64::consts::LN_2;
        assert!((decoder.step(Some(&[twice, 0.0])) - 0.5).abs() < 1e-15);
        // predicted 0.5 * 0.8 + 0.5 * 0.1 = 0.45; l = -ln 2: 0.225 / (0.225 + 0.55)
        let half = 1.0 - core::f64::consts::LN_2;
        assert!((decoder.step(Some(&[half, 0.0])) - 9.0 / 31.0).abs() < 1e-15);
        decoder.restart();
        assert!((decoder.step(None) - 1.0 / 3.0).abs() < 1e-15, "it has forgotten");
    }

    #[test]
    fn whatever_comes_in_it_stays_a_probability_and_goes_on() {
        let mut decoder = ClickDecoder::new(&parameters(), 20.0);
        for features in [
            &[1e60, 0.0][..],
            &[-1e60, 0.0],
            &[1e300, 0.0],
            &[f64::NAN, 0.0],
            &[0.0, f64::INFINITY],
            &[1.0],
            &[1e6, 1.0],
        ] {
            let probability = decoder.step(Some(features));
            assert!((0.0..=1.0).contains(&probability), "{features:?}: {probability}");
        }
        for _bin in 0..200 {
            decoder.step(Some(&[-1e60, 0.0]));
        }
        assert!(decoder.step(Some(&[-1e60, 0.0])) < 1e-300);
        for _bin in 0..2 {
            decoder.step(Some(&[20.0, 0.0]));
        }
        assert!(decoder.step(None) > 0.79, "it is never too sure to change its mind");
    }

    #[test]
    fn times_are_whole_bins() {
        let settings = ClickSettings { hold_ms: 60.0, refractory_ms: 510.0, ..parameters().settings };
        assert_eq!((settings.law(20.0).hold, settings.law(20.0).refractory), (3, 26));
        let settings = ClickSettings { hold_ms: 0.0, refractory_ms: 0.0, ..settings };
        assert_eq!((settings.law(100.0 / 3.0).hold, settings.law(100.0 / 3.0).refractory), (1, 1));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        type Change = fn(&mut ClickParameters);
        let sound = parameters();
        assert!(sound.validate(2).is_ok());
        assert!(matches!(sound.validate(3), Err(ModelError::Shape { tensor: "click weights", .. })));
        let with = |change: Change| {
            let mut changed = parameters();
            change(&mut changed);
            changed.validate(2).map_err(|error| error.to_string())
        };
        let changes: [(Change, &str); 8] = [
            (|click| click.intercept = f64::NAN, "click intercept"),
            (|click| click.weights = vec![1.0, f64::INFINITY], "click weights"),
            (|click| click.settings.begin = 0.0, "click begin is 0"),
            (|click| click.settings.end = 0.6, "click end is 0.6"),
            (|click| click.settings.threshold = 1.0, "click threshold"),
            (|click| click.settings.release = 0.95, "click release"),
            (|click| click.settings.hold_ms = f64::NAN, "click hold_ms"),
            (|click| click.settings.refractory_ms = 1e9, "click refractory_ms"),
        ];
        for (change, words) in changes {
            let refused = with(change).err().unwrap_or_default();
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
}
