//! What a fit is told and what it tells: its settings, how far it is, and what it found and chose.

use std::collections::BTreeMap;

use kalmind_filter::{CovarianceScale, FitQuality, GuardStatistics, Parameters, Reduction};
use serde::{Deserialize, Serialize};

use crate::accuracy::Coverage;
use crate::click::ClickReport;
use crate::held_out::HeldOut;

/// How long a fit may take. Without a budget the same data, options and seed give the same model; with one they do where
/// the budget was not used up, which [`FitReport::budget_used_up`] tells.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The reading of `clock`, in seconds, at which the fit should be done.
    pub end: f64,
    /// A monotonic clock in seconds. The caller's, since this crate knows none.
    pub clock: fn() -> f64,
}

impl Budget {
    /// This part of what is left.
    pub(crate) fn part(self, part: f64) -> Self {
        Self { end: (self.clock)() + part * self.left(), ..self }
    }

    /// Seconds that are left; 0 where it is used up.
    pub(crate) fn left(&self) -> f64 {
        (self.end - (self.clock)()).max(0.0)
    }
}

/// What fitting needs beside the decoder and the data.
#[derive(Clone, Debug, Default)]
pub struct FitSettings {
    /// Seed of whatever is random: first weights of networks, minibatches, noise.
    pub seed: u64,
    /// How long the fit may take; as long as it needs where `None`.
    pub budget: Option<Budget>,
    /// What lagged bins hold before the first one, n values: the training mean as the decoder sees it. `None` takes
    /// the mean of the feature rows that may train the measurement model.
    pub background: Option<Vec<f64>>,
    /// Whether the states are labels made from targets, so that zero means to stand still and is what the intent rests at,
    /// whatever their mean over the training rows; `state-mean` overrules it.
    pub labels: bool,
    /// An earlier fit of the same decoder, whose hyperparameters are kept: `dkf-gp` and `dkf-nw` then seek none, whatever the
    /// options leave open (`lags`, `direction`, `state-order`, `form`, `q-scale`) stays as it was chosen, and a decoder that is
    /// held out only for the factor on its covariance keeps that factor. `None` where all of it is sought.
    pub keep: Option<Box<EarlierFit>>,
}

/// What a fit keeps of an earlier one.
#[derive(Clone, Debug)]
pub struct EarlierFit {
    /// What it found and chose.
    pub report: FitReport,
    /// The factor on its covariance, for as many features as its decoder takes; `None` where it is sought anew.
    pub covariance_scale: Option<CovarianceScale>,
    /// What its decoder took of the features, which is kept too: hyperparameters may be of single ones.
    pub reduction: Option<Reduction>,
}

/// How far a fit is.
#[derive(Clone, Debug, PartialEq)]
pub struct FitProgress {
    /// What is being done.
    pub stage: &'static str,
    /// Part of the whole fit that is done, 0..=1.
    pub done: f64,
    /// The candidate that was just judged, where one was: whole decoders of `auto`, windows of `lags=auto`.
    pub tried: Option<Tried>,
}

impl FitProgress {
    /// A stage that is that far, 0..=1, with no candidate judged.
    #[must_use]
    pub fn new(stage: &'static str, done: f64) -> Self {
        Self { stage, done, tried: None }
    }
}

/// A finished fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The tensors.
    pub parameters: Parameters,
    /// What the decoder takes of the features; all of them where `None`.
    pub reduction: Option<Reduction>,
    /// What was found and chosen.
    pub report: FitReport,
    /// What training shows of every channel, for a guard in front of the decoder.
    pub guard: GuardStatistics,
    /// What the decoder said of held-out training rows; none where they are too few to hold some out.
    pub held_out: Option<HeldOut>,
}

/// What a fit found and chose; stored in the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FitReport {
    /// The decoder with its options, as asked for.
    pub decoder: String,
    /// Rows given.
    pub rows: usize,
    /// Rows that trained the measurement model.
    pub measurement_rows: usize,
    /// Consecutive pairs (or longer runs, for a higher order) that trained the state model.
    pub state_pairs: usize,
    /// Spectral radius of the transition, below 1.
    pub spectral_radius: Option<f64>,
    /// The bandwidth in use.
    pub bandwidth: Option<f64>,
    /// Leave-one-out mean squared error at that bandwidth, summed over the components.
    pub leave_one_out_error: Option<f64>,
    /// The bandwidth of a kernel Q.
    pub noise_bandwidth: Option<f64>,
    /// The factor on Q in use.
    pub noise_scale: Option<f64>,
    /// The factor on the published covariance in use; where it varies, the middle of its range.
    pub covariance_scale: Option<f64>,
    /// Steps of the held-out run over the training rows in which the form did not apply.
    pub fallback_steps: Option<usize>,
    /// Root of the squared error over the squared truth, of held-out training rows through the filter.
    pub held_out_error: Option<f64>,
    /// How much of the truth of those rows lies within the published ellipsoids.
    pub held_out_coverage: Option<Coverage>,
    /// Steps until the steady-state gain stood: doublings of the Riccati solve or, where it failed, of the recursion.
    pub steady_iterations: Option<usize>,
    /// Every hyperparameter in use that a fit chose or took as default, by its option's name or a name of its own.
    pub hyperparameters: BTreeMap<String, serde_json::Value>,
    /// What was tried, in order.
    pub tried: Vec<Tried>,
    /// Whether the budget ended the search.
    pub budget_used_up: bool,
    /// Things to know, each a sentence.
    pub warnings: Vec<String>,
    /// What the fit of a click decoder found; none where none was fitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click: Option<ClickReport>,
    /// How good the decoder is; none where nobody has [judged](crate::judge) it.
    pub quality: Option<FitQuality>,
    /// What the decoder said of held-out training rows, on its way to [`Fitted`].
    #[serde(skip)]
    pub(crate) held_out: Option<HeldOut>,
}

/// A candidate and how it did on rows that it was not fitted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// What it was: options, as written in a decoder's text.
    pub candidate: String,
    /// Root of its squared error over the squared truth on held-out rows.
    pub error: f64,
}

impl FitReport {
    /// Which of [`tried`](field@Self::tried) were chosen: the candidates with the error of the model, less those with an option
    /// that is not in use, and beside them those whose options are all in use.
    #[must_use]
    pub fn chosen(&self) -> Vec<bool> {
        let of_model =
            |tried: &Tried| self.held_out_error.is_some_and(|error| error.to_bits() == tried.error.to_bits());
        // `None` where it is not known
        let in_use = |assignment: &str| {
            let (name, value) = assignment.split_once('=')?;
            Some(match self.hyperparameters.get(name)? {
                serde_json::Value::String(text) => text == value,
                other => value.parse::<f64>().is_ok_and(|value| other.as_f64() == Some(value)),
            })
        };
        let all_in_use =
            |tried: &Tried| tried.candidate.split(',').all(|assignment| in_use(assignment) == Some(true));
        let none_out_of_use =
            |tried: &Tried| tried.candidate.split(',').all(|assignment| in_use(assignment) != Some(false));
        let told_apart =
            |text: &str| self.tried.iter().any(|tried| tried.candidate == text && of_model(tried));
        let chosen = |tried: &Tried| {
            // a whole decoder with options of its own is called by its name
            let named = self.hyperparameters.get("decoder").and_then(serde_json::Value::as_str);
            named.map_or_else(
                || {
                    (of_model(tried) && none_out_of_use(tried))
                        || (all_in_use(tried) && !told_apart(&tried.candidate))
                },
                |name| tried.candidate == name,
            )
        };
        self.tried.iter().map(chosen).collect()
    }

    /// Notes a candidate.
    pub(crate) fn tried(&mut self, candidate: String, error: f64) {
        self.tried.push(Tried { candidate, error });
    }

    /// Notes a hyperparameter in use.
    pub(crate) fn uses(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        self.hyperparameters.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_in_use_are_marked_even_where_others_are_called_the_same() {
        let mut report = FitReport { held_out_error: Some(0.5), ..FitReport::default() };
        report.uses("lags", 2);
        report.uses("form", "robust");
        report.uses("ridge", 0.01);
        for (candidate, error) in [
            ("ridge=0.01", 0.7),
            ("ridge=0.1", 0.8),
            ("form=robust", 0.6),
            ("lags=1", 0.6),
            ("form=robust", 0.5),
            ("form=standard", 0.5),
            ("lags=2", 0.5),
            ("something else", 0.4),
        ] {
            report.tried(candidate.to_owned(), error);
        }
        assert_eq!(report.chosen(), [true, false, false, false, true, false, true, false]);
    }
}
