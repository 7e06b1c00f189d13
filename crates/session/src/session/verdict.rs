//! What a session says of its decoder, in plain words: whether it is good enough for control.

use std::collections::VecDeque;

use kalmind_types::TrialResult;
use serde::Serialize;

use super::input::FittedModel;
use crate::quantile;

/// What a session says of its decoder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What, in a word.
    pub verdict: VerdictKind,
    /// In words, and what to do.
    pub text: String,
    /// Unassisted trials that it rests on.
    pub trials: usize,
    /// Those of them that were acquired.
    pub acquired: usize,
    /// Unassisted trials that it takes.
    pub needed: usize,
    /// How much longer that takes at the pace so far, in seconds; none where that is not known.
    pub seconds_left: Option<f64>,
    /// How often what knows nothing decodes as well, by the newest look of the test against chance.
    pub p_value: Option<f64>,
}

/// What a session says of its decoder, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// There is no decoder.
    None,
    /// Not yet: more trials are needed.
    NotYet,
    /// The features say nothing of the direction.
    NoBetterThanChance,
    /// Better than chance, by rows that were gathered without the decoder; nobody has seen it move the cursor.
    BetterThanChance,
    /// The participant acquires targets without help.
    GoodEnough,
}

impl VerdictKind {
    /// The name by which events and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NotYet => "not_yet",
            Self::NoBetterThanChance => "no_better_than_chance",
            Self::BetterThanChance => "better_than_chance",
            Self::GoodEnough => "good_enough",
        }
    }
}

/// Unassisted trials that a verdict of "good enough" takes at least.
const NEEDED: usize = 8;
/// The newest of them that it rests on at most.
const WINDOW: usize = 16;
/// The part of those that has to be acquired.
const GOOD_PART: f64 = 0.75;
/// How long a trial takes where none has been seen, in seconds.
const TRIAL_S: f64 = 3.0;
/// What more calibration is advised where trials fail: two minutes.
const MORE_S: f64 = 120.0;

/// Follows fits and trials, and comes to a verdict.
#[derive(Debug)]
pub(super) struct Judge {
    /// The newest trials without help: whether the target was acquired, and how long it took where that is known.
    trials: VecDeque<(bool, Option<f64>)>,
    /// Whether there is a decoder.
    has_model: bool,
    better_than_chance: Option<bool>,
    p_value: Option<f64>,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self { trials: VecDeque::new(), has_model: false, better_than_chance: None, p_value: None }
    }

    /// A model was put in.
    pub(super) fn model(&mut self, model: &FittedModel) {
        self.has_model = true;
        // rows that the decoder moved are not tested, so what was found without them stands
        if model.better_than_chance.is_some() {
            (self.better_than_chance, self.p_value) = (model.better_than_chance, model.p_value);
        }
    }

    /// There is a model that was not fitted here.
    pub(super) fn model_is_there(&mut self) {
        self.has_model = true;
    }

    /// Another model decodes than those that were judged.
    pub(super) fn other_model(&mut self) {
        *self = Self::new();
    }

    /// A trial in which the decoder moved the cursor has ended, with so much help.
    pub(super) fn trial(&mut self, result: TrialResult, help: f64, seconds: Option<f64>) {
        if help > 0.0 || !self.has_model {
            return;
        }
        if self.trials.len() == WINDOW {
            self.trials.pop_front();
        }
        self.trials.push_back((result == TrialResult::Acquired, seconds));
    }

    /// What there is to say, where help ends in so many seconds.
    pub(super) fn verdict(&self, help_ends_in: f64) -> Verdict {
        let trials = self.trials.len();
        let acquired = self.trials.iter().filter(|(acquired, _)| *acquired).count();
        let part = acquired as f64 / trials.max(1) as f64;
        let known: Vec<f64> = self.trials.iter().filter_map(|(_, seconds)| *seconds).collect();
        let trial_s = quantile(&known, 0.5).unwrap_or(TRIAL_S);
        let missing = NEEDED.saturating_sub(trials);
        let (verdict, seconds_left) = if !self.has_model {
            (VerdictKind::None, None)
        } else if missing == 0 && part >= GOOD_PART {
            (VerdictKind::GoodEnough, None)
        } else if self.better_than_chance == Some(false) && part < GOOD_PART {
            (VerdictKind::NoBetterThanChance, None)
        } else if trials == 0 && self.better_than_chance == Some(true) {
            (VerdictKind::BetterThanChance, Some(help_ends_in + missing as f64 * trial_s))
        } else if missing > 0 {
            (VerdictKind::NotYet, Some(help_ends_in + missing as f64 * trial_s))
        } else {
            (VerdictKind::NotYet, Some(MORE_S))
        };
        let about = seconds_left.map_or_else(String::new, about);
        let text = match verdict {
            VerdictKind::None => "no decoder yet: calibrate first".to_owned(),
            VerdictKind::GoodEnough => {
                format!(
                    "good enough for control: {acquired} of the last {trials} targets acquired without help"
                )
            }
            VerdictKind::NoBetterThanChance => {
                "no better than chance: check the signals, then calibrate again".to_owned()
            }
            VerdictKind::BetterThanChance => {
                format!("better than chance: not yet tried without help, {about} more")
            }
            VerdictKind::NotYet if missing > 0 => format!(
                "not yet: {about} more ({trials} of {NEEDED} trials without help so far, {acquired} acquired)"
            ),
            VerdictKind::NotYet => format!(
                "not yet: {about} more of calibration ({acquired} of the last {trials} targets acquired without help)"
            ),
        };
        Verdict { verdict, text, trials, acquired, needed: NEEDED, seconds_left, p_value: self.p_value }
    }
}

/// How long that is, as people say it.
fn about(seconds: f64) -> String {
    if seconds < 90.0 {
        let tens = (seconds / 10.0).ceil().max(1.0) * 10.0;
        format!("about {tens:.0} seconds")
    } else {
        format!("about {:.0} minutes", (seconds / 60.0).ceil())
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::ModelId;

    use super::*;

    fn fitted(better_than_chance: Option<bool>) -> FittedModel {
        FittedModel {
            id: ModelId([1; 32]),
            decoder: "kalman-steady".to_owned(),
            decodes_clicks: false,
            rows: 100,
            better_than_chance,
            p_value: better_than_chance.map(|better| if better { 0.001 } else { 0.4 }),
            doubt: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn good_enough_takes_eight_trials_without_help_of_which_three_quarters_succeed() {
        let mut judge = Judge::new();
        assert_eq!(judge.verdict(0.0).verdict, VerdictKind::None);
        judge.trial(TrialResult::Acquired, 0.0, Some(2.0));
        assert_eq!(judge.verdict(0.0).trials, 0, "nothing decoded");
        judge.model(&fitted(Some(true)));
        assert_eq!(judge.verdict(20.0).verdict, VerdictKind::BetterThanChance);
        assert_eq!(judge.verdict(20.0).seconds_left, Some(44.0));
        judge.trial(TrialResult::Acquired, 0.2, Some(2.0));
        assert_eq!(judge.verdict(0.0).trials, 0, "it was helped");
        for number in 1..8 {
            judge.trial(TrialResult::Acquired, 0.0, Some(2.0));
            let verdict = judge.verdict(0.0);
            assert_eq!((verdict.verdict, verdict.trials), (VerdictKind::NotYet, number));
            assert_eq!(verdict.seconds_left, Some(2.0 * (8 - number) as f64));
        }
        judge.trial(TrialResult::Timeout, 0.0, Some(5.0));
        let verdict = judge.verdict(0.0);
        assert_eq!((verdict.verdict, verdict.acquired), (VerdictKind::GoodEnough, 7));
        assert_eq!(verdict.text, "good enough for control: 7 of the last 8 targets acquired without help");
    }

    #[test]
    fn targets_that_are_missed_take_the_verdict_back() {
        let mut judge = Judge::new();
        judge.model(&fitted(Some(true)));
        for _ in 0..16 {
            judge.trial(TrialResult::Acquired, 0.0, None);
        }
        for _ in 0..4 {
            judge.trial(TrialResult::Timeout, 0.0, None);
        }
        assert_eq!(judge.verdict(0.0).verdict, VerdictKind::GoodEnough, "12 of 16");
        judge.trial(TrialResult::Incorrect, 0.0, None);
        let verdict = judge.verdict(0.0);
        assert_eq!((verdict.verdict, verdict.acquired, verdict.trials), (VerdictKind::NotYet, 11, 16));
        assert!(verdict.text.contains("about 2 minutes more of calibration"), "{}", verdict.text);
    }

    #[test]
    fn features_that_say_nothing_are_said_to() {
        let mut judge = Judge::new();
        judge.model(&fitted(Some(false)));
        let verdict = judge.verdict(0.0);
        assert_eq!(verdict.verdict, VerdictKind::NoBetterThanChance);
        assert!(verdict.text.contains("check the signals"));
        // a fit that could not test it changes nothing of that
        judge.model(&fitted(None));
        assert_eq!(judge.verdict(0.0).verdict, VerdictKind::NoBetterThanChance);
        judge.model(&fitted(Some(true)));
        assert_eq!(judge.verdict(0.0).verdict, VerdictKind::BetterThanChance);
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        let told = [3.0, 41.0, 90.0, 121.0].map(about);
        assert_eq!(told, ["about 10 seconds", "about 50 seconds", "about 2 minutes", "about 3 minutes"]);
    }
}
