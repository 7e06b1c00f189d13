//! How well a block went.

use serde::Serialize;

use kalmind_types::TrialResult;

/// Trials of one block that ended, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TaskScore {
    presented: u64,
    acquired: u64,
    times_to_target: Vec<f64>,
    /// Among how many there was to select, where wrong ones could be.
    choices: Option<u64>,
    incorrect: u64,
    /// Seconds of all trials that ended.
    seconds: f64,
    /// Those of the newest one.
    newest: Option<f64>,
}

impl TaskScore {
    /// Of a block in which one of so many is selected in each trial; none where nothing but the target could be.
    pub fn of(choices: Option<u64>) -> Self {
        Self { choices, ..Self::default() }
    }

    /// Counts a trial that ended after `seconds` (of time in which the cursor could move).
    pub fn record(&mut self, result: TrialResult, seconds: f64) {
        self.presented += 1;
        self.seconds += seconds;
        self.newest = Some(seconds);
        match result {
            TrialResult::Acquired => {
                self.acquired += 1;
                self.times_to_target.push(seconds);
            }
            TrialResult::Incorrect => self.incorrect += 1,
            TrialResult::Timeout => {}
        }
    }

    /// Achieved bit rate over the trials that ended, in bit/s (see [`bit_rate`]); none where no wrong one could be selected, or
    /// no trial has ended.
    pub fn bit_rate(&self) -> Option<f64> {
        let choices = self.choices.filter(|_| self.presented > 0)?;
        Some(bit_rate(choices, self.acquired, self.incorrect, self.seconds))
    }

    /// Among how many there was to select; none where nothing but the target could be.
    pub fn choices(&self) -> Option<u64> {
        self.choices
    }

    /// Seconds of the newest trial that ended.
    pub fn newest_seconds(&self) -> Option<f64> {
        self.newest
    }

    /// Trials in which something else than the target was selected.
    pub fn incorrect(&self) -> u64 {
        self.incorrect
    }

    /// Targets that were acquired or timed out. The one still shown when the block ended is not among them.
    pub fn presented(&self) -> u64 {
        self.presented
    }

    /// Targets acquired.
    pub fn acquired(&self) -> u64 {
        self.acquired
    }

    /// Seconds from each acquired target's presentation to the end of the hold in it, in order.
    pub fn times_to_target(&self) -> &[f64] {
        &self.times_to_target
    }

    /// Their median (the mean of the middle two of an even number); none without an acquired target.
    pub fn median_time_to_target(&self) -> Option<f64> {
        self.quantile_of_time_to_target(0.5)
    }

    /// The time that a `part` of them stay below, by linear interpolation between neighbours (Hyndman and Fan 1996,
    /// definition 7); none without an acquired target.
    pub fn quantile_of_time_to_target(&self, part: f64) -> Option<f64> {
        quantile(&self.times_to_target, part)
    }
}

/// The value that a `part` of `values` lie below, by linear interpolation between neighbours (Hyndman and Fan 1996,
/// definition 7); none without values.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let low = *sorted.get(below)?;
    Some(sorted.get(below + 1).map_or(low, |high| low + rest * (high - low)))
}

/// Achieved bit rate of selecting among `choices` equally likely ones (one of which corrects), in bit/s:
/// `log2(N - 1) max(correct - incorrect, 0) / t` (Nuyujukian et al., IEEE Trans. Biomed. Eng. 62, 2015). Zero where it
/// has no meaning: fewer than two choices, or no time.
pub fn bit_rate(choices: u64, correct: u64, incorrect: u64, seconds: f64) -> f64 {
    if choices < 2 || seconds.is_nan() || seconds <= 0.0 {
        return 0.0;
    }
    ((choices - 1) as f64).log2() * correct.saturating_sub(incorrect) as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_bit_rates_come_out() {
        // net correct selections a minute on a 30 x 30 grid, and the rates stated with them
        assert!((bit_rate(900, 49, 0, 60.0) - 8.01).abs() < 0.005);
        assert!((bit_rate(900, 80, 8, 60.0) - 11.77).abs() < 0.005);
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 3, 10], [0, .25, .5, .75, 1])
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| quantile(&[10.0, 1.0, 3.0, 2.0], part));
        assert_eq!(found, [1.0, 1.75, 2.5, 4.75, 10.0].map(Some));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn more_wrong_than_right_is_no_information() {
        for nothing in [bit_rate(36, 3, 5, 60.0), bit_rate(1, 3, 0, 60.0), bit_rate(36, 3, 0, 0.0)] {
            assert!(nothing.abs() < f64::MIN_POSITIVE, "{nothing}");
        }
    }

    #[test]
    fn a_block_of_selections_has_a_bit_rate_over_its_trials() {
        let mut score = TaskScore::of(Some(36));
        assert_eq!(score.bit_rate(), None);
        for (result, seconds) in [
            (TrialResult::Acquired, 2.0),
            (TrialResult::Incorrect, 1.5),
            (TrialResult::Acquired, 2.5),
            (TrialResult::Acquired, 2.0),
            (TrialResult::Timeout, 2.0),
        ] {
            score.record(result, seconds);
        }
        // three right, one wrong in 10 s
        let expected = 35_f64.log2() * 2.0 / 10.0;
        assert!(score.bit_rate().is_some_and(|rate| (rate - expected).abs() < 1e-12));
        assert_eq!((score.presented(), score.acquired(), score.incorrect()), (5, 3, 1));
        let mut radial = TaskScore::default();
        radial.record(TrialResult::Acquired, 1.0);
        assert_eq!(radial.bit_rate(), None, "nothing wrong can be selected");
    }

    #[test]
    fn the_median_is_of_acquired_targets_only() {
        let mut score = TaskScore::default();
        assert_eq!(score.median_time_to_target(), None);
        for seconds in [3.0, 1.0, 2.0] {
            score.record(TrialResult::Acquired, seconds);
        }
        score.record(TrialResult::Timeout, 5.0);
        assert_eq!(score.median_time_to_target(), Some(2.0));
        score.record(TrialResult::Acquired, 2.5);
        assert_eq!(score.median_time_to_target(), Some(2.25));
        assert_eq!((score.presented(), score.acquired()), (5, 4));
    }
}
