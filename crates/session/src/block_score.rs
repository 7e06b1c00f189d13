//! What the papers report of a block, with intervals, and with the help that the cursor had beside every figure.

use kalmind_types::TrialResult;
use serde::{Deserialize, Serialize};

use crate::{bit_rate, estimate::Estimate, fitts::FittsLaw, trial_path::PathFigures};

/// Bits by which trials are gathered for [`Difficulty`].
const STEP_BITS: f64 = 0.5;

/// A trial that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedTrial {
    /// How.
    pub result: TrialResult,
    /// Seconds from when its target was shown, in which the cursor could move; those of the hold among them.
    pub seconds: f64,
    /// What its path tells.
    pub path: PathFigures,
    /// The most assistance while it ran, 0 to 1 (see [`kalmind_types::Assistance::most`]).
    pub assistance: f64,
}

/// Trials of one block that ended, and how much each was helped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockScore {
    choices: Option<u64>,
    trials: Vec<EndedTrial>,
}

/// The figures of a block, of all trials that had no more assistance than stated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockFigures {
    /// Trials that ended.
    pub trials: u64,
    /// Those of them in which the target was acquired.
    pub acquired: u64,
    /// Those in which something else was selected.
    pub incorrect: u64,
    /// Those whose time was up.
    pub timeouts: u64,
    /// The most assistance in any of them, 0 to 1.
    pub assistance: f64,
    /// Trials that are left out of all figures because they had more assistance.
    pub assisted: u64,
    /// The most assistance in any trial of the block.
    pub most_assistance: f64,
    /// The part of trials that was acquired.
    pub success: Option<Estimate>,
    /// Seconds to an acquired target, the hold among them: the median.
    pub time_to_target_s: Option<Estimate>,
    /// Mean [`PathFigures::efficiency`] of acquired trials.
    pub path_efficiency: Option<Estimate>,
    /// Mean [`PathFigures::angular_error_deg`] of trials.
    pub angular_error_deg: Option<Estimate>,
    /// Mean [`PathFigures::orthogonal_direction_changes`] of acquired trials.
    pub orthogonal_direction_changes: Option<Estimate>,
    /// Mean [`PathFigures::dial_in_s`] of acquired trials.
    pub dial_in_s: Option<Estimate>,
    /// Bits a second (see [`bit_rate`]); none where nothing wrong could be selected.
    pub bit_rate: Option<Estimate>,
    /// Bits a second by Fitts's law: the mean of index of difficulty over time to target, of acquired trials. Width and
    /// distance are those shown: ISO 9241-9 puts the spread of end points in place of the width, which a hold cuts off at the
    /// target's rim (as in Gilja et al., Nat. Neurosci. 15, 2012).
    pub throughput: Option<Estimate>,
    /// Time to target over index of difficulty, of acquired trials.
    pub fitts_law: Option<FittsLaw>,
    /// How trials went that were equally hard, to half a bit, from easy to hard.
    pub difficulties: Vec<Difficulty>,
}

/// How trials went that were equally hard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difficulty {
    /// Their mean index of difficulty, in bits.
    pub bits: f64,
    /// How many there were.
    pub trials: u64,
    /// The part that was acquired.
    pub success: Option<Estimate>,
    /// Median time to an acquired target.
    pub time_to_target_s: Option<Estimate>,
}

impl BlockScore {
    /// Of a block in which one of so many is selected in each trial; none where nothing but the target could be.
    #[must_use]
    pub fn of(choices: Option<u64>) -> Self {
        Self { choices, trials: Vec::new() }
    }

    /// A trial ended.
    pub fn take(&mut self, trial: EndedTrial) {
        self.trials.push(trial);
    }

    /// The trials that ended, in order.
    #[must_use]
    pub fn trials(&self) -> &[EndedTrial] {
        &self.trials
    }

    /// The figures of the trials without any help: what a block is told by.
    #[must_use]
    pub fn unassisted(&self) -> BlockFigures {
        self.figures(0.0)
    }

    /// The figures of the trials with at most so much assistance.
    #[must_use]
    pub fn figures(&self, most: f64) -> BlockFigures {
        let trials: Vec<EndedTrial> =
            self.trials.iter().copied().filter(|trial| trial.assistance <= most).collect();
        let ended = |result: TrialResult| trials.iter().filter(|trial| trial.result == result).count() as u64;
        let acquired: Vec<EndedTrial> =
            trials.iter().copied().filter(|trial| trial.result == TrialResult::Acquired).collect();
        let mean = |of: &[EndedTrial], most: f64, figure: &dyn Fn(&EndedTrial) -> Option<f64>| {
            Some(Estimate::mean(&of.iter().filter_map(figure).collect::<Vec<f64>>())?.within([0.0, most]))
        };
        let most_of = |of: &[EndedTrial]| of.iter().fold(0.0, |most: f64, trial| most.max(trial.assistance));
        let movements: Vec<(f64, f64)> = acquired
            .iter()
            .filter_map(|trial| Some((trial.path.index_of_difficulty?, trial.seconds)))
            .collect();
        BlockFigures {
            trials: trials.len() as u64,
            acquired: acquired.len() as u64,
            incorrect: ended(TrialResult::Incorrect),
            timeouts: ended(TrialResult::Timeout),
            assistance: most_of(&trials),
            assisted: (self.trials.len() - trials.len()) as u64,
            most_assistance: most_of(&self.trials),
            success: success(&trials),
            time_to_target_s: time_to_target(&acquired),
            path_efficiency: mean(&acquired, 1.0, &|trial| trial.path.efficiency),
            angular_error_deg: mean(&trials, 180.0, &|trial| trial.path.angular_error_deg),
            orthogonal_direction_changes: mean(&acquired, f64::INFINITY, &|trial| {
                Some(f64::from(trial.path.orthogonal_direction_changes))
            }),
            dial_in_s: mean(&acquired, f64::INFINITY, &|trial| trial.path.dial_in_s),
            bit_rate: self.choices.and_then(|choices| rate(choices, &trials)),
            throughput: mean(&acquired, f64::INFINITY, &|trial| {
                trial
                    .path
                    .index_of_difficulty
                    .filter(|_| trial.seconds > 0.0)
                    .map(|bits| bits / trial.seconds)
            }),
            fitts_law: FittsLaw::of(&movements),
            difficulties: difficulties(&trials),
        }
    }
}

/// Bits a second: what one selection is worth times selections that count, a second.
fn rate(choices: u64, trials: &[EndedTrial]) -> Option<Estimate> {
    let counted = |trial: &EndedTrial| match trial.result {
        TrialResult::Acquired => 1.0,
        TrialResult::Incorrect => -1.0,
        TrialResult::Timeout => 0.0,
    };
    let parts: Vec<(f64, f64)> = trials.iter().map(|trial| (counted(trial), trial.seconds)).collect();
    let bits = bit_rate(choices, 1, 0, 1.0);
    Some(Estimate::ratio(&parts)?.map(|selections| bits * selections.max(0.0)))
}

fn success(trials: &[EndedTrial]) -> Option<Estimate> {
    let acquired = trials.iter().filter(|trial| trial.result == TrialResult::Acquired).count();
    Estimate::proportion(acquired as u64, trials.len() as u64)
}

fn time_to_target(trials: &[EndedTrial]) -> Option<Estimate> {
    let acquired = trials.iter().filter(|trial| trial.result == TrialResult::Acquired);
    Estimate::median(&acquired.map(|trial| trial.seconds).collect::<Vec<f64>>())
}

fn difficulties(trials: &[EndedTrial]) -> Vec<Difficulty> {
    let mut by_bits: Vec<(f64, EndedTrial)> =
        trials.iter().filter_map(|trial| Some((trial.path.index_of_difficulty?, *trial))).collect();
    by_bits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let step = |bits: f64| (bits / STEP_BITS).round();
    by_bits
        .chunk_by(|a, b| step(a.0).total_cmp(&step(b.0)).is_eq())
        .map(|equal| {
            let trials: Vec<EndedTrial> = equal.iter().map(|(_, trial)| *trial).collect();
            Difficulty {
                bits: equal.iter().map(|(bits, _)| bits).sum::<f64>() / equal.len() as f64,
                trials: equal.len() as u64,
                success: success(&trials),
                time_to_target_s: time_to_target(&trials),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(result: TrialResult, seconds: f64, bits: f64, assistance: f64) -> EndedTrial {
        let path = PathFigures {
            efficiency: Some(0.5),
            angular_error_deg: Some(10.0 * seconds),
            orthogonal_direction_changes: 2,
            dial_in_s: Some(0.3),
            index_of_difficulty: Some(bits),
        };
        EndedTrial { result, seconds, path, assistance }
    }

    fn block() -> BlockScore {
        use TrialResult::{Acquired, Incorrect, Timeout};
        let mut score = BlockScore::of(Some(36));
        for (result, seconds, bits, assistance) in [
            (Acquired, 0.8, 1.0, 0.9),
            (Acquired, 2.0, 1.0, 0.0),
            (Incorrect, 1.5, 1.1, 0.0),
            (Acquired, 2.5, 2.0, 0.0),
            (Acquired, 2.0, 1.9, 0.2),
            (Timeout, 5.0, 2.0, 0.0),
            (Acquired, 3.0, 3.0, 0.0),
        ] {
            score.take(trial(result, seconds, bits, assistance));
        }
        score
    }

    fn value(estimate: Option<Estimate>) -> f64 {
        estimate.unwrap().value
    }

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn figures_are_of_unassisted_trials_and_say_how_many_were_helped_and_how_much() {
        let figures = block().unassisted();
        assert_eq!((figures.trials, figures.acquired, figures.incorrect, figures.timeouts), (5, 3, 1, 1));
        assert_eq!((figures.assisted, figures.most_assistance, figures.assistance), (2, 0.9, 0.0));
        assert_close(value(figures.success), 0.6);
        assert_close(value(figures.time_to_target_s), 2.5);
        // (2 + 1.5 + 2.5 + 5 + 3) / 5 tens of degrees: those that failed as well
        assert_close(value(figures.angular_error_deg), 28.0);
        assert_close(value(figures.orthogonal_direction_changes), 2.0);
        // three right and one wrong in 14 s
        assert_close(value(figures.bit_rate), 35_f64.log2() * 2.0 / 14.0);
        // the mean of 1/2, 2/2.5 and 3/3 bits a second
        assert_close(value(figures.throughput), (0.5 + 0.8 + 1.0) / 3.0);
        // (1, 2), (2, 2.5), (3, 3): half a second a bit, and a second and a half
        let law = figures.fitts_law.unwrap();
        assert_close(law.slope.value, 0.5);
        assert_close(law.intercept.value, 1.5);
        let hard: Vec<(f64, u64)> = figures.difficulties.iter().map(|row| (row.bits, row.trials)).collect();
        assert_eq!(hard, [(1.05, 2), (2.0, 2), (3.0, 1)]);
        assert_close(value(figures.difficulties[1].success), 0.5);
        let json = serde_json::to_string(&figures).unwrap();
        assert_eq!(serde_json::from_str::<BlockFigures>(&json).unwrap(), figures);
    }

    #[test]
    fn figures_of_trials_with_some_help_carry_it() {
        let figures = block().figures(0.2);
        assert_eq!((figures.trials, figures.assisted), (6, 1));
        assert_eq!((figures.assistance, figures.most_assistance), (0.2, 0.9));
        assert_close(value(figures.time_to_target_s), 2.25);
    }

    #[test]
    fn a_block_of_helped_trials_has_no_figure_and_says_why() {
        let mut score = BlockScore::of(None);
        score.take(trial(TrialResult::Acquired, 1.0, 2.0, 0.5));
        let helped = BlockFigures { assisted: 1, most_assistance: 0.5, ..BlockFigures::default() };
        assert_eq!(score.unassisted(), helped);
        assert_eq!(score.figures(1.0).bit_rate, None, "nothing wrong could be selected");
        assert_eq!(BlockScore::default().unassisted(), BlockFigures::default());
    }

    #[test]
    fn more_wrong_than_right_is_no_information() {
        let mut score = BlockScore::of(Some(36));
        for result in [TrialResult::Incorrect, TrialResult::Incorrect, TrialResult::Acquired] {
            score.take(trial(result, 1.0, 2.0, 0.0));
        }
        let rate = score.unassisted().bit_rate.unwrap();
        assert!(rate.value.abs() < f64::MIN_POSITIVE && rate.interval.unwrap()[0].abs() < f64::MIN_POSITIVE);
    }
}
