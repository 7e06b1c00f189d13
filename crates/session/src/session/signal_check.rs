//! A signal check: whether the features arrive and move at all, before anything is learnt from them.

use kalmind_types::TickOutput;
use serde::Serialize;

/// The part of the bins that may be incomplete.
const INCOMPLETE: f64 = 0.1;

/// What a signal check has seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct SignalCheck {
    bins: u64,
    incomplete: u64,
    features: Vec<Seen>,
}

/// What one feature did.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    first: Option<f64>,
    changes: bool,
}

/// What a signal check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignalCheckStatus {
    /// Whether there is something to learn from: few bins are incomplete and few features dead.
    pub is_good: bool,
    /// In words, and what to do.
    pub text: String,
    /// Bins seen.
    pub bins: u64,
    /// Bins that were incomplete.
    pub incomplete: u64,
    /// Features in use.
    pub features: usize,
    /// Features that never had a valid value.
    pub missing: usize,
    /// Features that never changed.
    pub constant: usize,
}

impl SignalCheck {
    /// Sees a bin.
    pub(super) fn observe(&mut self, output: &TickOutput, features: &[f64]) {
        self.bins += 1;
        if output.incomplete {
            self.incomplete += 1;
            return;
        }
        self.features.resize(features.len(), Seen::default());
        for (seen, value) in self.features.iter_mut().zip(features).filter(|(_, value)| value.is_finite()) {
            match seen.first {
                None => seen.first = Some(*value),
                Some(first) => seen.changes |= first.to_bits() != value.to_bits(),
            }
        }
    }

    /// What it found, where so large a part of the features may be dead.
    pub(super) fn status(&self, max_dead: f64) -> SignalCheckStatus {
        let features = self.features.len();
        let missing = self.features.iter().filter(|seen| seen.first.is_none()).count();
        let constant = self.features.iter().filter(|seen| seen.first.is_some() && !seen.changes).count();
        let dead = (missing + constant) as f64;
        let complete = self.bins > 0 && self.incomplete as f64 <= INCOMPLETE * self.bins as f64;
        let is_good = complete && dead <= max_dead * features as f64;
        let Self { bins, incomplete, .. } = *self;
        let alive = features - missing - constant;
        let text = if is_good {
            format!(
                "signals are there: {alive} of {features} features change, {incomplete} of {bins} bins incomplete"
            )
        } else if complete {
            format!(
                "{missing} of {features} features have no valid value and {constant} never change: check the array and \
                 its cables"
            )
        } else {
            format!("{incomplete} of {bins} bins are incomplete: check the amplifier and the network")
        };
        SignalCheckStatus { is_good, text, bins, incomplete, features, missing, constant }
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::LslTime;

    use super::*;

    fn check(bins: u64, incomplete: u64, features: impl Fn(u64) -> Vec<f64>) -> SignalCheckStatus {
        let mut check = SignalCheck::default();
        for bin in 0..bins {
            let output =
                TickOutput { incomplete: bin < incomplete, ..TickOutput::neutral(bin, LslTime(bin as f64)) };
            check.observe(&output, &features(bin));
        }
        check.status(0.25)
    }

    #[test]
    fn dead_features_and_incomplete_bins_are_found() {
        let lively = |bin: u64| vec![bin as f64, -(bin as f64), 1.0 / (bin as f64 + 1.0), (bin % 2) as f64];
        let good = check(100, 5, lively);
        assert!(good.is_good, "{good:?}");
        assert!(good.text.contains("4 of 4 features change"), "{}", good.text);
        assert!(!check(100, 20, lively).is_good);
        assert!(!check(0, 0, lively).is_good, "nothing came");
        let dying = check(100, 0, |bin| vec![bin as f64, 7.0, f64::NAN, (bin % 2) as f64]);
        assert_eq!((dying.is_good, dying.missing, dying.constant), (false, 1, 1));
        assert!(dying.text.contains("check the array"), "{}", dying.text);
        let one = check(100, 0, |bin| vec![bin as f64, 7.0, (bin % 3) as f64, (bin % 2) as f64]);
        assert!(one.is_good, "a quarter may be dead: {one:?}");
    }
}
