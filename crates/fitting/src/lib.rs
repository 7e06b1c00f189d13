//! Fitting: training rows in, tensors and a report out. Slow side; uses both cores; the same seed gives the same model.

pub mod accuracy;
mod adam;
mod auto;
mod baseline_covariance;
mod blocked_cholesky;
pub mod bootstrap;
mod calibration;
mod chance;
pub mod chance_level;
mod direction;
mod discriminative;
mod dynamics;
mod gaussian_process;
mod guard;
mod held_out;
mod inducing_points;
mod kalman;
mod kernel_features;
mod kernel_matrix;
mod kernel_scales;
mod kernel_variances;
mod learner;
mod levenberg_marquardt;
mod linear;
mod marginal_likelihood;
mod matrix_product;
mod moments;
mod multiple_kernel;
mod nadaraya_watson;
mod network;
mod nonlinear;
mod ole;
mod plausibility;
mod quality;
mod quasi_newton;
mod recurrent;
mod recurrent_cell;
mod recurrent_network;
mod recurrent_training;
mod refit;
pub mod scores;
pub mod sensitivity;
mod single_precision_product;
mod sparse_mean;
mod state_mean;
mod state_model;
mod tanh_network;
mod training;
mod training_time;
pub mod uncertainty;
mod wiener;
mod windows;

use guard::guard_statistics;
pub use held_out::{HeldOut, judge};
pub use quality::held_out_quality;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::accuracy::Coverage;
use kalmind_filter::{DecoderName, DecoderSpec, FitQuality, GuardStatistics, Parameters, TrainingData};

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
    /// How good the decoder is; none where nobody has [judged](judge) it.
    pub quality: Option<FitQuality>,
    /// What the decoder said of held-out training rows, on its way to [`Fitted`].
    #[serde(skip)]
    held_out: Option<HeldOut>,
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

/// Why a fit failed, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Features and states pair row by row.
    #[error(
        "{features} rows of features but {states} rows of states: give one state row for every feature row"
    )]
    RowsDiffer {
        /// Rows of features.
        features: usize,
        /// Rows of states.
        states: usize,
    },
    /// The mask has one entry a row.
    #[error("the mask of measurement rows has {mask} entries for {rows} rows: give one a row")]
    MaskLength {
        /// Its length.
        mask: usize,
        /// Rows.
        rows: usize,
    },
    /// Intents have one to eight components.
    #[error("{found} state columns: an intent has 1 to 8 components, so choose that many columns")]
    Dimension {
        /// State columns.
        found: usize,
    },
    /// There is no feature.
    #[error("no feature columns: give at least one")]
    NoFeatures,
    /// The background has one value a feature.
    #[error("the background has {found} values for {features} features: give one a feature")]
    Background {
        /// Its length.
        found: usize,
        /// Features.
        features: usize,
    },
    /// A value is NaN or infinite.
    #[error(
        "{table}: {value} in row {row}, column {column} (counted from 0); leave the row out or repair it"
    )]
    NotFinite {
        /// `features`, `states` or `task`.
        table: &'static str,
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Too little to learn from.
    #[error(
        "{found} {what}, but this decoder needs at least {needed}: record longer, or use fewer features or lags"
    )]
    TooFewRows {
        /// What there is too little of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Every feature is constant.
    #[error(
        "no feature column moves over the training rows, so there is nothing to decode from: check the sender, the \
         columns and the rows"
    )]
    NothingMoves,
    /// A state never moves (or only together with others).
    #[error(
        "state column {column} is constant or a combination of the others, so nothing can be learnt of it: leave it \
         out, or train on rows in which it moves by itself"
    )]
    CollinearStates {
        /// Column, from 0.
        column: usize,
    },
    /// The states would run away.
    #[error(
        "the state model is unstable (spectral radius {radius:.6}): the states run away over the training rows; use \
         velocities instead of positions, or train on a longer recording"
    )]
    Unstable {
        /// Largest modulus of an eigenvalue of A.
        radius: f64,
    },
    /// The states follow from their past without any noise.
    #[error(
        "the state model leaves no noise in state column {column}: it follows from the past exactly, and a filter \
         would stop listening; leave the column out, or label the states so that they change at targets"
    )]
    NoProcessNoise {
        /// Column, from 0.
        column: usize,
    },
    /// A feature is exactly a function of others.
    #[error(
        "feature column {column} repeats others or follows from the states without noise: leave it out, or use \
         `wiener` or `dkf-linear` with a `ridge`"
    )]
    SingularObservationNoise {
        /// Column, from 0.
        column: usize,
    },
    /// A regression has no unique solution.
    #[error(
        "the regression has no unique solution: column {column} of its inputs is constant or follows from others; \
         leave it out, or set `ridge` above 0"
    )]
    SingularRegression {
        /// Column of the window, from 0.
        column: usize,
    },
    /// Levenberg-Marquardt would take too long.
    #[error(
        "`optimizer=levenberg-marquardt` with {weights} weights a network, but more than {most} take minutes a step: \
         use fewer `hidden` or `lags`, or `optimizer=adam`"
    )]
    TooManyWeights {
        /// Weights of one network.
        weights: usize,
        /// The most that are tried.
        most: usize,
    },
    /// A network moves a state of order 1.
    #[error(
        "`dynamics` other than `linear` move a state of order 1, but `state-order` is {order}: leave one of the two out"
    )]
    DynamicsOrder {
        /// The order asked for.
        order: usize,
    },
    /// The budget ended before a candidate was fitted.
    #[error("the budget ended before it was fitted: give --budget more seconds")]
    OutOfTime,
    /// No kernel width works.
    #[error(
        "no kernel width predicts held-out rows: the features never move; check the streams and the columns"
    )]
    NoBandwidth,
    /// Intentions are turned toward targets, and there are none.
    #[error(
        "`refit-kalman` turns intentions toward the targets and {problem}: give the task's rows with --task (trial, \
         target, cursor, hold), or use `kalman`"
    )]
    NoTargets {
        /// What is missing.
        problem: &'static str,
    },
    /// Turning takes a plane.
    #[error(
        "`refit-kalman` takes the first two state columns as velocities in x and y, and there is {found}: give both, or \
         use `kalman`"
    )]
    NoPlane {
        /// State columns.
        found: usize,
    },
    /// The cursor's position cannot be told from the rest.
    #[error(
        "the cursor does not move over the rows with a target, or its position follows from the intentions, so that \
         nothing can be learnt of its feedback: leave `feedback=position` out, or record with a moving cursor"
    )]
    CollinearCursor,
    /// The task has one row a bin.
    #[error("the task has {task} rows for {rows} rows of features: give one a row")]
    TaskRows {
        /// Rows of the task.
        task: usize,
        /// Rows.
        rows: usize,
    },
    /// Nothing is left over on held-out rows, so the noise is no covariance.
    #[error(
        "held-out residuals of state column {column} are zero or follow from others: the states repeat the features, \
         or the rows repeat each other"
    )]
    NoResiduals {
        /// Column, from 0.
        column: usize,
    },
}

/// Fits a decoder to training rows.
///
/// `progress` is called from this thread. Cost by decoder: see the modules of the decoders.
///
/// # Errors
/// Each [`FitError`] says what to do.
pub fn fit(
    spec: &DecoderSpec,
    data: &TrainingData,
    settings: &FitSettings,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Fitted, FitError> {
    training::check(data)?;
    let moves = |column: nalgebra::DVectorView<'_, f64>| {
        column.iter().any(|value| value.to_bits() != column[0].to_bits())
    };
    if data.rows() > 1 && !data.features.column_iter().any(moves) {
        return Err(FitError::NothingMoves);
    }
    let n = data.features.ncols();
    let background = match &settings.background {
        Some(background) if background.len() != n => {
            return Err(FitError::Background { found: background.len(), features: n });
        }
        Some(background) => background.clone(),
        None => windows::column_means(&data.features.select_rows(&data.measurement_rows())),
    };
    let mut report = FitReport {
        decoder: spec.to_string(),
        rows: data.rows(),
        measurement_rows: data.measurement_rows().len(),
        ..FitReport::default()
    };
    progress(FitProgress::new("start", 0.0));
    let mut parameters = parameters(spec, data, &background, settings, &mut report, progress)?;
    if !matches!(parameters, Parameters::Dkf(_)) {
        progress(FitProgress::new("covariance", 0.2));
        baseline_covariance::calibrate(&mut parameters, spec, data, &background, settings, &mut report);
    }
    // the same is found of every order and window that is tried
    let mut said = BTreeSet::new();
    report.warnings.retain(|warning| said.insert(warning.clone()));
    progress(FitProgress::new("done", 1.0));
    let held_out = report.held_out.take();
    Ok(Fitted { parameters, report, guard: guard_statistics(data), held_out })
}

/// The tensors of a decoder fitted to checked rows; those of a baseline without a factor on its covariance.
fn parameters(
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    settings: &FitSettings,
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Parameters, FitError> {
    let (centred, mean) = state_mean::centred(spec, data, settings.labels);
    let data = &*centred;
    let mut parameters = match spec.decoder {
        DecoderName::Kalman => Parameters::Kalman(kalman::fit_kalman(data, &spec.options, report)?),
        DecoderName::KalmanSteady => {
            let kalman = kalman::fit_kalman(data, &spec.options, report)?;
            kalman::note_steady_gain(&kalman, report);
            Parameters::KalmanSteady(kalman)
        }
        DecoderName::Ekf | DecoderName::Ukf => {
            Parameters::NonlinearKalman(nonlinear::fit_nonlinear(spec, data, settings.seed, report)?)
        }
        DecoderName::RefitKalman => Parameters::RefitKalman(refit::fit_refit(data, &spec.options, report)?),
        DecoderName::Wiener => Parameters::Wiener(wiener::fit_wiener(spec, data, background, report)?),
        DecoderName::WienerCascade => {
            Parameters::WienerCascade(wiener::fit_cascade(spec, data, background, report)?)
        }
        DecoderName::Ole => Parameters::Ole(ole::fit_ole(data, &spec.options, report)?),
        DecoderName::Auto => {
            Parameters::Dkf(auto::fit_auto(spec, data, background, settings, report, progress)?)
        }
        _ => Parameters::Dkf(discriminative::fit_discriminative(
            spec, data, background, settings, report, progress,
        )?),
    };
    if let Some(mean) = mean {
        report.uses("state-mean", mean.as_slice());
        if let Some(held_out) = &mut report.held_out {
            held_out.means.row_iter_mut().for_each(|mut row| row += mean.transpose());
        }
        state_mean::restore(&mut parameters, mean);
    }
    Ok(parameters)
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
