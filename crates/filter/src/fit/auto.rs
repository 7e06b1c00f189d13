//! `auto`: which of the family, or which ensemble of it, suits these rows.
//!
//! Every candidate is cross-fitted in blocks, so each has a prediction of every training row that it did not see. A
//! candidate alone is judged by the filter around those predictions. An ensemble is stacked on them (Wolpert 1992, with
//! weights at least zero as Breiman 1996 advises): members join in the order in which they help most, each while it lowers
//! the error of blocks that the weights were not fitted to, and the ensemble is taken if it beats the best candidate alone
//! through the filter. Cost: that of the candidates together.

use nalgebra::{DMatrix, DVector};

use super::direction::{can_have_direction, with_direction};
use super::discriminative::{Directed, FilterChoice, choose_filter, finish, measurement_rows};
use super::learner::{Examples, Learned, learn, learner};
use super::state_model::fit_state_model;
use super::windows::folds;
use super::{Budget, FitError, FitProgress, FitReport, FitSettings};
use crate::{
    Cell, Choice, DecoderName, DecoderSpec, DkfParameters, EnsembleMember, KernelShape, Regressor,
    ResidualSource, TrainingData,
};

/// Part of a budget that is kept for the choices after the last candidate.
const RESERVED: f64 = 0.2;
/// A member has to lower the error of the ensemble by this part of it.
const WORTH_A_MEMBER: f64 = 2e-3;
/// An ensemble has to be better than the best candidate alone by this part of the error.
const WORTH_AN_ENSEMBLE: f64 = 5e-3;

/// What is tried, cheap ones first, each with the part of the whole work that it is.
fn candidates() -> Vec<(DecoderSpec, f64)> {
    let with_lags = |decoder: DecoderName, lags: usize| {
        let mut spec = DecoderSpec::new(decoder);
        spec.options.lags = Some(Choice::Given(lags));
        spec
    };
    let mut linear = with_lags(DecoderName::DkfLinear, 9);
    linear.options.ridge = Some(Choice::Auto);
    let mut nadaraya_watson = with_lags(DecoderName::DkfNw, 8);
    nadaraya_watson.options.kernel = Some(KernelShape::Relevance);
    let mut gaussian_process = with_lags(DecoderName::DkfGp, 15);
    gaussian_process.options.kernel = Some(KernelShape::Relevance);
    // fewer networks than alone: the other members are part of the mean
    let mut gru = DecoderSpec::new(DecoderName::DkfGru);
    gru.options.networks = Some(5);
    let mut lstm = gru;
    lstm.options.cell = Some(Cell::Lstm);
    vec![
        (linear, 0.01),
        (nadaraya_watson, 0.03),
        (with_lags(DecoderName::DkfNn, 5), 0.07),
        (gaussian_process, 0.3),
        (gru, 0.3),
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

/// Fits every candidate within the budget, and takes the best or an ensemble.
pub(crate) fn fit_auto(
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    settings: &FitSettings,
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<DkfParameters, FitError> {
    let rows = measurement_rows(data)?;
    // states that no filter can follow are an error before anything costly is learnt
    let _state = fit_state_model(data, 1, spec.options.stationary.unwrap_or_default(), report)?;
    let reserve = |budget: Budget| Budget { end: budget.end - RESERVED * budget.left(), ..budget };
    let settings = &FitSettings { budget: settings.budget.map(reserve), ..settings.clone() };
    let doubled = can_have_direction(data.states.ncols()).then(|| with_direction(data));
    let direction = if doubled.is_some() { Choice::Auto } else { Choice::Given(false) };
    let mut fitted: Vec<Candidate> = Vec::new();
    let mut first_error = None;
    let mut done = 0.0;
    // seconds that a candidate took, over its part of the work
    let mut slowest = 0.0_f64;
    for (candidate, work) in candidates() {
        // networks fit themselves into what is left
        let adapts = matches!(candidate.decoder, DecoderName::DkfNn | DecoderName::DkfGru);
        let expected = if adapts { 0.0 } else { work * slowest };
        if !fitted.is_empty() && settings.budget.is_some_and(|budget| budget.left() <= expected) {
            report.budget_used_up = true;
            report.warnings.push(format!("the budget left no time for `{candidate}`"));
            continue;
        }
        let before = settings.budget.map(|budget| (budget.clock)());
        let lags = candidate.options.lags.and_then(Choice::given).unwrap_or(1);
        let examples = Examples { data: doubled.as_ref().unwrap_or(data), background, lags };
        let mut own_report = FitReport::default();
        let mut own_progress = |inner: FitProgress| {
            let done = done + work * 0.4 * inner.done;
            progress(FitProgress { stage: candidate.decoder.as_str(), done });
        };
        let result = learner(&candidate, &examples, &rows, settings, &mut own_report, &mut own_progress)
            .and_then(|learner| {
                learn(&*learner, &examples, &rows, ResidualSource::CrossFitted, &mut |part| {
                    own_progress(FitProgress { stage: "cross-fitting", done: 1.0 + 1.5 * part });
                })
            })
            .and_then(|learned| {
                let directed = Directed::new(learned.clone(), direction, data);
                let examples = Examples { data, ..examples };
                let learnt = &directed.learned;
                let choice =
                    choose_filter(&candidate.options, &examples, learnt, settings.seed, &mut own_report)?;
                Ok(Candidate { spec: candidate, lags, learned, directed, choice })
            });
        done += work;
        if let (Some(budget), Some(before)) = (settings.budget, before) {
            slowest = slowest.max(((budget.clock)() - before) / work);
        }
        report.budget_used_up |= own_report.budget_used_up;
        match result {
            Ok(result) => {
                report.tried(candidate.to_string(), result.choice.error);
                fitted.push(result);
            }
            Err(error) => {
                report.warnings.push(format!("`{candidate}` was left out: {error}"));
                first_error.get_or_insert(error);
            }
        }
    }
    progress(FitProgress { stage: "ensemble", done: 0.99 });
    let best = (0..fitted.len())
        .min_by(|left, right| fitted[*left].choice.error.total_cmp(&fitted[*right].choice.error));
    let Some(best) = best else { return Err(first_error.unwrap_or(FitError::NoBandwidth)) };
    if spec.options.ensemble.unwrap_or(true)
        && let Some((lags, learned, names)) =
            stack(&fitted, &rows, doubled.as_ref().unwrap_or(data), data.states.ncols())
    {
        let examples = Examples { data, background, lags };
        let learned = Directed::new(learned, direction, data);
        let mut own_report = FitReport::default();
        let choice =
            choose_filter(&spec.options, &examples, &learned.learned, settings.seed, &mut own_report)?;
        report.tried(names.clone(), choice.error);
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
    let truth = super::windows::states_at(data, rows);
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
    let regressor = Regressor::Ensemble { members: ensemble };
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
}
