//! `auto`: which of the family, or which ensemble of it, suits these rows.
//!
//! Every candidate is cross-fitted in blocks, so each has a prediction of every training row that it did not see. A
//! candidate alone is judged by the filter around those predictions. An ensemble is stacked on them (Wolpert 1992, with
//! weights at least zero as Breiman 1996 advises): members join in the order in which they help most, each while it lowers
//! the error of blocks that the weights were not fitted to, and the ensemble is taken if it beats the best candidate alone
//! through the filter. Cost: that of the candidates together.

use nalgebra::{DMatrix, DVector};

use crate::decoders::kind::{DecoderFit, Job, Lesson, MeanFit};
use crate::direction::{Directed, can_have_direction, with_direction};
use crate::discriminative::{FilterChoice, choose_filter, finish, measurement_rows};
use crate::learner::{Examples, Learned, learn};
use crate::state_model::fit_state_model;
use crate::windows::folds;
use crate::{Budget, FitError, FitProgress, FitReport, FitSettings, Tried};
use kalmind_filter::{
    Cell, Choice, DecoderName, DecoderSpec, DkfParameters, EnsembleMember, EnsembleRegressor, KernelShape,
    Parameters, Regressor, ResidualSource, TrainingData,
};

/// See the module.
pub(super) const FIT: DecoderFit = DecoderFit::of(|job| Ok(Parameters::Dkf(fit_auto(job)?)));

/// Part of a budget that is kept for the choices after the last candidate, at least.
const RESERVED: f64 = 0.04;
/// How often what the choice of a filter took for a candidate is kept for them.
const RESERVED_FILTERS: f64 = 4.0;
/// A member has to lower the error of the ensemble by this part of it.
const WORTH_A_MEMBER: f64 = 2e-3;
/// An ensemble has to be better than the best candidate alone by this part of the error.
const WORTH_AN_ENSEMBLE: f64 = 5e-3;

/// Inputs of the kernel regression, at most as many lags as they have room for: in more, distances lose meaning.
const KERNEL_INPUTS: usize = 400;

/// What is tried for windows of so many features, cheap ones first, each with the part of the whole work that it is.
fn candidates(features: usize) -> Vec<(DecoderSpec, f64)> {
    let with_lags = |decoder: DecoderName, lags: usize| {
        let mut spec = DecoderSpec::new(decoder);
        spec.options.lags = Some(Choice::Given(lags));
        spec
    };
    let mut linear = with_lags(DecoderName::DkfLinear, 9);
    linear.options.ridge = Some(Choice::Auto);
    let mut nadaraya_watson = with_lags(DecoderName::DkfNw, (KERNEL_INPUTS / features.max(1)).clamp(1, 8));
    nadaraya_watson.options.kernel = Some(KernelShape::Relevance);
    let mut gaussian_process = with_lags(DecoderName::DkfGp, 15);
    gaussian_process.options.kernel = Some(KernelShape::Relevance);
    // fewer networks than alone: the other members are part of the mean
    let mut gru = DecoderSpec::new(DecoderName::DkfGru);
    gru.options.networks = Some(4);
    let mut lstm = gru;
    lstm.options.cell = Some(Cell::Lstm);
    vec![
        (linear, 0.02),
        (nadaraya_watson, 0.1),
        (with_lags(DecoderName::DkfNn, 5), 0.13),
        (gaussian_process, 0.2),
        (gru, 0.25),
        (lstm, 0.3),
    ]
}

/// A candidate that was fitted.
struct Candidate {
    spec: DecoderSpec,
    lags: usize,
    /// Of twice the states, where a direction is possible.
    learned: Learned,
    directed: Directed,
    choice: FilterChoice,
}

/// What every candidate is fitted to.
struct Trials<'a> {
    data: &'a TrainingData,
    /// With twice the states, where a direction is possible.
    doubled: Option<TrainingData>,
    background: &'a [f64],
    rows: Vec<usize>,
    direction: Choice<bool>,
    /// How f of a candidate is learnt.
    mean_of: fn(DecoderName) -> Option<MeanFit>,
}

impl Trials<'_> {
    /// What f is learnt from.
    fn learnt_from(&self) -> &TrainingData {
        self.doubled.as_ref().unwrap_or(self.data)
    }

    /// Fits a candidate, and says with it how long the choice of its filter took, where there is a clock. With
    /// `give_up` it ends where the budget ends.
    fn fit(
        &self,
        spec: &DecoderSpec,
        give_up: bool,
        settings: &FitSettings,
        report: &mut FitReport,
        progress: &mut dyn FnMut(f64),
    ) -> Result<(Candidate, f64), FitError> {
        let go_on = || !give_up || settings.budget.is_none_or(|budget| budget.left() > 0.0);
        let lags = spec.options.lags.and_then(Choice::given).unwrap_or(1);
        let examples = Examples { data: self.learnt_from(), background: self.background, lags };
        let Some(mean) = (self.mean_of)(spec.decoder) else { return Err(FitError::NoBandwidth) };
        let learner = (mean.learner)(Lesson {
            spec,
            examples: &examples,
            rows: &self.rows,
            settings,
            report,
            progress: &mut |inner| progress(0.4 * inner.done),
        })?;
        if !go_on() {
            return Err(FitError::OutOfTime);
        }
        let learned = learn(&*learner, &examples, &self.rows, ResidualSource::CrossFitted, &mut |part| {
            progress(0.4 + 0.6 * part);
            go_on()
        })?;
        let directed = Directed::new(learned.clone(), self.direction, self.data);
        let examples = Examples { data: self.data, ..examples };
        let now = || settings.budget.map_or(0.0, |budget| (budget.clock)());
        let before = now();
        let choice = choose_filter(&spec.options, &examples, &directed.learned, settings.seed, report)?;
        Ok((Candidate { spec: *spec, lags, learned, directed, choice }, now() - before))
    }
}

/// Fits every candidate within the budget, and takes the best or an ensemble.
fn fit_auto(job: &mut Job<'_>) -> Result<DkfParameters, FitError> {
    let Job { spec, data, background, settings, report, progress, mean_of } = job;
    let (data, background, mean_of) = (*data, *background, *mean_of);
    let rows = measurement_rows(data)?;
    // states that no filter can follow are an error before anything costly is learnt
    let _state = fit_state_model(data, 1, spec.options.stationary.unwrap_or_default(), report)?;
    let doubled = can_have_direction(data.states.ncols()).then(|| with_direction(data));
    let direction = if doubled.is_some() { Choice::Auto } else { Choice::Given(false) };
    let trials = Trials { data, doubled, background, rows, direction, mean_of };
    let mut reserved = settings.budget.map_or(0.0, |budget| RESERVED * budget.left());
    let mut fitted: Vec<Candidate> = Vec::new();
    let mut first_error = None;
    let mut done = 0.0;
    for (candidate, work) in candidates(data.features.ncols()) {
        let before_reserve = |budget: Budget| Budget { end: budget.end - reserved, ..budget };
        let own_settings = FitSettings { budget: settings.budget.map(before_reserve), ..(*settings).clone() };
        let in_time = own_settings.budget.is_none_or(|budget| budget.left() > 0.0);
        // there is always a model, however short the budget
        if !fitted.is_empty() && (!in_time || report.budget_used_up) {
            report.budget_used_up = true;
            report.warnings.push(format!("the budget left no time for `{candidate}`"));
            continue;
        }
        let mut own_report = FitReport::default();
        let give_up = !fitted.is_empty();
        let result = trials.fit(&candidate, give_up, &own_settings, &mut own_report, &mut |part| {
            progress(FitProgress::new(candidate.decoder.as_str(), (done + work * part).min(1.0)));
        });
        done += work;
        report.budget_used_up |= own_report.budget_used_up;
        match result {
            Ok((result, filter_seconds)) => {
                reserved = reserved.max(RESERVED_FILTERS * filter_seconds);
                let tried = Tried { candidate: candidate.to_string(), error: result.choice.error };
                let stage = candidate.decoder.as_str();
                progress(FitProgress {
                    tried: Some(tried.clone()),
                    ..FitProgress::new(stage, done.min(1.0))
                });
                report.tried.push(tried);
                fitted.push(result);
            }
            Err(error) => {
                report.budget_used_up |= error == FitError::OutOfTime;
                report.warnings.push(format!("`{candidate}` was left out: {error}"));
                first_error.get_or_insert(error);
            }
        }
    }
    progress(FitProgress::new("ensemble", 0.99));
    let best = (0..fitted.len())
        .min_by(|left, right| fitted[*left].choice.error.total_cmp(&fitted[*right].choice.error));
    let Some(best) = best else { return Err(first_error.unwrap_or(FitError::NoBandwidth)) };
    if spec.options.ensemble.unwrap_or(true)
        && let Some((lags, learned, names)) =
            stack(&fitted, &trials.rows, trials.learnt_from(), data.states.ncols())
    {
        let examples = Examples { data, background, lags };
        let learned = Directed::new(learned, direction, data);
        let mut own_report = FitReport::default();
        let choice =
            choose_filter(&spec.options, &examples, &learned.learned, settings.seed, &mut own_report)?;
        let tried = Tried { candidate: names.clone(), error: choice.error };
        progress(FitProgress { tried: Some(tried.clone()), ..FitProgress::new("ensemble", 0.99) });
        report.tried.push(tried);
        if choice.error < fitted[best].choice.error * (1.0 - WORTH_AN_ENSEMBLE) {
            report.uses("decoder", names);
            report.uses("lags", lags);
            return finish(&spec.options, &examples, learned, choice, report);
        }
    }
    let Candidate { spec: chosen, lags, directed: learned, choice, .. } = fitted.swap_remove(best);
    report.uses("decoder", chosen.to_string());
    report.uses("lags", lags);
    finish(&spec.options, &Examples { data, background, lags }, learned, choice, report)
}

/// The ensemble of those candidates that help each other: its window, f with its held-out predictions, and its name.
/// `None` where no second member helps. A direction has weights of its own.
fn stack(
    fitted: &[Candidate],
    rows: &[usize],
    data: &TrainingData,
    d: usize,
) -> Option<(usize, Learned, String)> {
    let truth = crate::windows::states_at(data, rows);
    let half = |matrix: &DMatrix<f64>, at: usize| matrix.columns(at * d, d).into_owned();
    let halves: Vec<DMatrix<f64>> =
        fitted.iter().map(|candidate| half(&candidate.learned.held_out, 0)).collect();
    let members = helpful_members(&halves.iter().collect::<Vec<_>>(), &half(&truth, 0));
    if members.len() < 2 {
        return None;
    }
    // the vector, and its direction where it has one of its own
    let weights: Vec<DVector<f64>> = (0..truth.ncols() / d)
        .map(|at| {
            let halves: Vec<DMatrix<f64>> =
                members.iter().map(|&member| half(&fitted[member].learned.held_out, at)).collect();
            stacking_weights(&halves.iter().collect::<Vec<_>>(), &half(&truth, at), &[])
        })
        .collect();
    let mut held_out = DMatrix::zeros(truth.nrows(), truth.ncols());
    let mut names = Vec::with_capacity(members.len());
    let mut ensemble = Vec::with_capacity(members.len());
    for (at, &member) in members.iter().enumerate() {
        let candidate = &fitted[member];
        let diagonal = DVector::from_fn(truth.ncols(), |output, _| weights[output / d][at]);
        let weight = DMatrix::from_diagonal(&diagonal);
        held_out += &candidate.learned.held_out * &weight;
        names.push(format!("{:.3} {}", weights[0][at], candidate.spec));
        ensemble.push(EnsembleMember {
            name: candidate.spec.to_string(),
            lags: candidate.lags,
            regressor: candidate.learned.regressor.clone(),
            weight,
        });
    }
    let lags = ensemble.iter().map(|member| member.lags).max()?;
    let regressor = Regressor::Ensemble(EnsembleRegressor { members: ensemble });
    Some((lags, Learned { regressor, held_rows: rows.to_vec(), held_out }, names.join(" + ")))
}

/// The members of the best ensemble that grows by one member at a time, in the order in which they joined.
fn helpful_members(predictions: &[&DMatrix<f64>], truth: &DMatrix<f64>) -> Vec<usize> {
    let mut members: Vec<usize> = Vec::new();
    let mut least = f64::INFINITY;
    loop {
        let next = (0..predictions.len())
            .filter(|candidate| !members.contains(candidate))
            .map(|candidate| {
                let chosen: Vec<&DMatrix<f64>> =
                    members.iter().chain([&candidate]).map(|&member| predictions[member]).collect();
                (candidate, cross_validated_error(&chosen, truth))
            })
            .min_by(|left, right| left.1.total_cmp(&right.1));
        match next {
            Some((candidate, error)) if error < least * (1.0 - WORTH_A_MEMBER) => {
                members.push(candidate);
                least = error;
            }
            _ => return members,
        }
    }
}

/// Root mean squared error of blocks by weights fitted to the other blocks.
fn cross_validated_error(predictions: &[&DMatrix<f64>], truth: &DMatrix<f64>) -> f64 {
    let mut sum = 0.0;
    for fold in folds(truth.nrows()) {
        let weights = stacking_weights(predictions, truth, core::slice::from_ref(&fold));
        let error = combination(predictions, &weights) - truth;
        sum += error.rows_range(fold).norm_squared();
    }
    (sum / truth.len() as f64).sqrt()
}

/// Weights at least zero with the least squared error over the rows outside `without`, by coordinate descent.
fn stacking_weights(
    predictions: &[&DMatrix<f64>],
    truth: &DMatrix<f64>,
    without: &[core::ops::Range<usize>],
) -> DVector<f64> {
    const SWEEPS: usize = 500;
    let count = predictions.len();
    let inner = |left: &DMatrix<f64>, right: &DMatrix<f64>| {
        let inside: f64 = without
            .iter()
            .map(|range| left.rows_range(range.clone()).dot(&right.rows_range(range.clone())))
            .sum();
        left.dot(right) - inside
    };
    let gram = DMatrix::from_fn(count, count, |row, column| inner(predictions[row], predictions[column]));
    let moment = DVector::from_fn(count, |row, _| inner(predictions[row], truth));
    let mut weights = DVector::from_element(count, 1.0 / count as f64);
    for _ in 0..SWEEPS {
        for at in 0..count {
            if gram[(at, at)] > 0.0 {
                let others = gram.row(at).dot(&weights.transpose()) - gram[(at, at)] * weights[at];
                weights[at] = ((moment[at] - others) / gram[(at, at)]).max(0.0);
            }
        }
    }
    weights
}

fn combination(predictions: &[&DMatrix<f64>], weights: &DVector<f64>) -> DMatrix<f64> {
    let mut sum = predictions[0] * weights[0];
    for (prediction, weight) in predictions.iter().zip(weights.iter()).skip(1) {
        sum += *prediction * *weight;
    }
    sum
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Three predictions of the same truth: two with noise of their own, one that repeats the first.
    fn predictions() -> (Vec<DMatrix<f64>>, DMatrix<f64>) {
        let truth = DMatrix::from_fn(400, 2, |row, column| (row as f64 * 0.07 + column as f64).sin());
        let noise = |seed: f64| {
            DMatrix::from_fn(400, 2, move |row, column| 0.4 * (row as f64 * seed + column as f64 * 1.7).cos())
        };
        let first = &truth + noise(1.13);
        (vec![first.clone(), &truth + noise(2.71), first], truth)
    }

    #[test]
    fn stacking_weights_are_those_of_least_squares_where_these_are_positive() {
        let (predictions, truth) = predictions();
        let chosen: Vec<&DMatrix<f64>> = predictions[..2].iter().collect();
        let weights = stacking_weights(&chosen, &truth, &[]);
        let design = DMatrix::from_fn(800, 2, |row, column| predictions[column].as_slice()[row]);
        let target = DVector::from_column_slice(truth.as_slice());
        let least = (design.transpose() * &design).try_inverse().unwrap() * design.transpose() * target;
        assert!((weights - least).amax() < 1e-10);
    }

    #[test]
    fn a_prediction_that_points_the_wrong_way_gets_no_weight() {
        let (predictions, truth) = predictions();
        let wrong = -&predictions[1];
        let weights = stacking_weights(&[&predictions[0], &wrong], &truth, &[]);
        assert!(weights[0] > 0.5);
        assert!(weights[1].abs() < 1e-12);
    }

    #[test]
    fn members_join_while_they_help_and_copies_stay_out() {
        let (predictions, truth) = predictions();
        let members = helpful_members(&predictions.iter().collect::<Vec<_>>(), &truth);
        assert_eq!(members.len(), 2);
        assert!(members.contains(&1));
    }
    /// A clock that goes on by a hundredth of a second whenever it is read.
    fn now() -> f64 {
        static READINGS: AtomicU64 = AtomicU64::new(0);
        READINGS.fetch_add(1, Ordering::Relaxed) as f64 * 0.01
    }

    #[test]
    fn a_budget_that_ends_anywhere_leaves_a_model_and_names_what_it_left_out() {
        let noise = |at: usize| ((at * at * 7 + 3 * at) as f64 * 0.37).sin();
        let mut states: DMatrix<f64> = DMatrix::zeros(150, 2);
        for row in 1..150 {
            for column in 0..2 {
                states[(row, column)] = 0.8 * states[(row - 1, column)] + noise(2 * row + column);
            }
        }
        let features = DMatrix::from_fn(150, 3, |row, column| {
            states[(row, column % 2)].tanh() + 0.5 * noise(3 * row + column + 1000)
        });
        let data = TrainingData::new(features, states);
        for seconds in [0.0, 0.05, 0.4] {
            let budget = Some(Budget { end: now() + seconds, clock: now });
            let mut shown = Vec::new();
            let fitted = crate::fit(
                &DecoderSpec::new(DecoderName::Auto),
                &data,
                &FitSettings { budget, ..FitSettings::default() },
                &mut |progress| shown.extend(progress.tried),
            )
            .unwrap();
            let report = &fitted.report;
            assert!(report.budget_used_up && report.held_out_error.is_some(), "{seconds}: {report:?}");
            assert_eq!(shown, report.tried, "{seconds}");
            for (candidate, _work) in candidates(3) {
                let quoted = format!("`{candidate}`");
                let tried = shown.iter().any(|tried| tried.candidate == candidate.to_string());
                let left_out = report.warnings.iter().any(|warning| warning.contains(&quoted));
                assert!(tried != left_out, "{seconds}: {candidate}");
            }
            assert_eq!(shown[0].candidate, candidates(3)[0].0.to_string(), "{seconds}");
        }
    }
}
