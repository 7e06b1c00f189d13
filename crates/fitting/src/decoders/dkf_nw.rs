//! Kernel widths by leave-one-out, and kernel predictions of rows that were left out.
//!
//! A scale for every entry of a window lets entries that say little count for little; on few rows it follows their noise.
//! Where `kernel` is left open, held-out blocks decide, whose rows neither kernel saw.

use nalgebra::DMatrix;
use rayon::prelude::*;

use crate::decoders::kind::{DecoderFit, Lesson};
use crate::discriminative::discriminative;
use crate::kernel_scales::LeaveOut;
use crate::learner::{Examples, Learner, predict};
use crate::windows::{deviations, folds_of, unit_scales};
use crate::{FitError, FitProgress, FitReport};
use kalmind_filter::kernel_mean::PanelValues;
use kalmind_filter::kernel_path::KernelPath;
use kalmind_filter::panel::PanelPoints;
use kalmind_filter::{Choice, DecoderSpec, KernelShape, NadarayaWatsonRegressor, Regressor};

/// See the module.
pub(super) const FIT: DecoderFit = discriminative(learner, Choice::Auto);

/// At most so many rows are left out in turn; of more, every k-th.
const LEFT_OUT_ROWS: usize = 5000;
/// Fewer are left out, every k-th, where all of them together meet more numbers than this in the other rows.
const LEFT_OUT_NUMBERS: usize = 2_000_000_000;
/// But no fewer than these.
const FEWEST_LEFT_OUT: usize = 1000;
/// Candidate widths span the typical distance between points and 1/128 of it, by factors of the square root of 2.
const CANDIDATES: usize = 15;
/// Widths between the neighbours of the best candidate that are tried next, in even steps of their logarithm. A parabola
/// through the best of them and its neighbours then finds the width within 0.3 %.
const REFINEMENTS: usize = 11;
/// Default `steps` of the search for scales.
const STEPS: usize = 15;
/// Rows to either side that are left out with a row, for every lagged bin: their windows share features.
const NEIGHBOURS: usize = 2;

/// The blocks, of five, whose rows choose between one scale for all entries and one for each.
const HELD_OUT_BLOCKS: [usize; 2] = [1, 3];

/// A kernel regression ready to leave points out.
pub(crate) struct LeaveOneOut<'a> {
    values: &'a DMatrix<f64>,
    inputs: &'a DMatrix<f64>,
    scales: Option<&'a [f64]>,
    points: PanelPoints,
    panel_values: PanelValues,
}

impl<'a> LeaveOneOut<'a> {
    pub(crate) fn new(inputs: &'a DMatrix<f64>, values: &'a DMatrix<f64>, scales: Option<&'a [f64]>) -> Self {
        let path = KernelPath::detect();
        Self {
            values,
            inputs,
            scales,
            points: PanelPoints::new(inputs, scales, path),
            panel_values: PanelValues::new(values, path),
        }
    }

    /// Predictions at `row` from all other points, one row of numbers and the effective samples a bandwidth.
    fn predict(
        points: &mut PanelPoints,
        values: &mut PanelValues,
        window: &[f64],
        row: usize,
        bandwidths: &[f64],
        columns: usize,
    ) -> Vec<(Vec<f64>, f64)> {
        points.compare(window);
        points.leave_out(row);
        bandwidths
            .iter()
            .map(|&bandwidth| {
                let mut mean = vec![0.0; columns];
                let effective = values.smooth(points, bandwidth, &mut mean);
                (mean, effective)
            })
            .collect()
    }

    /// Mean squared leave-one-out error, summed over the columns, at each bandwidth: the closed form, one pass.
    pub(crate) fn errors(&self, bandwidths: &[f64]) -> Vec<f64> {
        let (rows, columns) = self.values.shape();
        let affordable = LEFT_OUT_NUMBERS / self.inputs.len().max(1);
        let step = rows.div_ceil(affordable.clamp(FEWEST_LEFT_OUT, LEFT_OUT_ROWS));
        let squares: Vec<Vec<f64>> = (0..rows)
            .into_par_iter()
            .step_by(step)
            .map_init(
                || (self.points.clone(), self.panel_values.clone()),
                |(points, values), row| {
                    let window: Vec<f64> = self.inputs.row(row).iter().copied().collect();
                    Self::predict(points, values, &window, row, bandwidths, columns)
                        .into_iter()
                        .map(|(mean, _effective)| {
                            mean.iter()
                                .enumerate()
                                .map(|(column, mean)| (mean - self.values[(row, column)]).powi(2))
                                .sum()
                        })
                        .collect()
                },
            )
            .collect();
        let mut errors = vec![0.0; bandwidths.len()];
        for row in &squares {
            for (error, square) in errors.iter_mut().zip(row) {
                *error += square / squares.len() as f64;
            }
        }
        errors
    }

    /// Predictions and effective samples at every row from all other rows.
    pub(crate) fn predictions(&self, bandwidth: f64) -> Vec<(Vec<f64>, f64)> {
        let (rows, columns) = self.values.shape();
        (0..rows)
            .into_par_iter()
            .map_init(
                || (self.points.clone(), self.panel_values.clone()),
                |(points, values), row| {
                    let window: Vec<f64> = self.inputs.row(row).iter().copied().collect();
                    Self::predict(points, values, &window, row, &[bandwidth], columns).swap_remove(0)
                },
            )
            .collect()
    }

    /// The bandwidth of least leave-one-out error, and that error.
    pub(crate) fn best_bandwidth(&self) -> Result<(f64, f64), FitError> {
        let scaled = |(at, deviation): (usize, f64)| deviation * self.scales.map_or(1.0, |scales| scales[at]);
        let spread: f64 =
            deviations(self.inputs).into_iter().enumerate().map(scaled).map(|size| size * size).sum();
        let typical = (2.0 * spread).sqrt();
        if !(typical.is_finite() && typical > 0.0) {
            return Err(FitError::NoBandwidth);
        }
        let candidates: Vec<f64> =
            (0..CANDIDATES).map(|step| typical * 0.5_f64.powf(step as f64 / 2.0)).collect();
        let (coarse, error) = self.least(&candidates)?;
        let step = 0.5 * core::f64::consts::LN_2;
        let finer: Vec<f64> = (1..=REFINEMENTS)
            .map(|at| coarse * (step * (2.0 * at as f64 / (REFINEMENTS + 1) as f64 - 1.0)).exp())
            .collect();
        let errors = self.errors(&finer);
        let mut chosen = (coarse, error);
        for (&width, &error) in finer.iter().zip(&errors) {
            if error < chosen.1 {
                chosen = (width, error);
            }
        }
        if let Some(at) = finer.iter().position(|width| width.to_bits() == chosen.0.to_bits())
            && let (Some(below), Some(above)) = (at.checked_sub(1), errors.get(at + 1))
        {
            let (left, right) = (errors[below] - chosen.1, (above - chosen.1).max(f64::MIN_POSITIVE));
            let vertex =
                chosen.0 * (0.5 * (left - right) / (left + right) * (finer[1] / finer[0]).ln()).exp();
            let error = self.errors(&[vertex])[0];
            if error < chosen.1 {
                chosen = (vertex, error);
            }
        }
        Ok(chosen)
    }

    /// The width of least error, and that error.
    fn least(&self, widths: &[f64]) -> Result<(f64, f64), FitError> {
        let errors = self.errors(widths);
        let finite = widths.iter().copied().zip(errors).filter(|(_, error)| error.is_finite());
        finite.min_by(|left, right| left.1.total_cmp(&right.1)).ok_or(FitError::NoBandwidth)
    }
}

/// `dkf-nw`'s f.
#[derive(Clone, Debug)]
struct NadarayaWatson {
    bandwidth: f64,
    scales: Option<Vec<f64>>,
}

/// The learner of `dkf-nw`.
fn learner(lesson: Lesson<'_>) -> Result<Box<dyn Learner>, FitError> {
    let Lesson { spec, examples, rows, settings, report, progress } = lesson;
    let options = &spec.options;
    if let Some(earlier) = &settings.keep {
        return Ok(Box::new(NadarayaWatson::reported(&earlier.report, spec, examples, rows, report)?));
    }
    progress(FitProgress::new("bandwidth", 0.1));
    let (inputs, states) = (examples.inputs(rows), examples.states(rows));
    // a width that is given is one of the features as they stand
    let (units, bandwidth, error) = match options.bandwidth.unwrap_or(Choice::Auto) {
        Choice::Given(bandwidth) => {
            (None, bandwidth, LeaveOneOut::new(&inputs, &states, None).errors(&[bandwidth])[0])
        }
        Choice::Auto => {
            let units = unit_scales(&inputs);
            let (bandwidth, error) = LeaveOneOut::new(&inputs, &states, Some(&units)).best_bandwidth()?;
            (Some(units), bandwidth, error)
        }
    };
    report.bandwidth = Some(bandwidth);
    report.leave_one_out_error = Some(error);
    let isotropic = NadarayaWatson { bandwidth, scales: units.clone() };
    let units = units.unwrap_or_else(|| vec![1.0; inputs.ncols()]);
    let start: Vec<f64> = units.iter().map(|unit| unit / bandwidth).collect();
    let steps = options.steps.unwrap_or(STEPS);
    let mut out_of_time = false;
    let mut search = |rows: &[usize], done: f64, part: f64| {
        let (inputs, states) = (examples.inputs(rows), examples.states(rows));
        let leave_out = LeaveOut::new(&inputs, &states, NEIGHBOURS * (examples.lags - 1));
        let found = leave_out.minimise(&start, steps, |taken| {
            progress(FitProgress::new("scales", done + part * taken as f64 / steps.max(1) as f64));
            out_of_time = settings.budget.is_some_and(|budget| budget.left() <= 0.0);
            !out_of_time
        })?;
        Some(NadarayaWatson {
            bandwidth,
            scales: Some(found.into_iter().map(|scale| scale * bandwidth).collect()),
        })
    };
    let relevance = match (options.kernel, options.bandwidth) {
        (Some(kernel), _) => kernel == KernelShape::Relevance,
        // a width that somebody chose is that of all entries
        (None, Some(Choice::Given(_))) => false,
        (None, _) => {
            let errors = held_out_errors(&isotropic, &mut search, examples, rows)?;
            if let Some(errors) = errors {
                for (kernel, error) in ["se", "se-ard"].into_iter().zip(errors) {
                    report.tried(format!("kernel={kernel}"), error);
                }
            }
            let relevance = errors.is_some_and(|[isotropic, scaled]| scaled < isotropic);
            report.uses("kernel", if relevance { "se-ard" } else { "se" });
            relevance
        }
    };
    if !relevance {
        report.budget_used_up |= out_of_time;
        return Ok(Box::new(isotropic));
    }
    let scaled = search(rows, 0.3, 0.1).ok_or(FitError::NoBandwidth)?;
    report.budget_used_up |= out_of_time;
    if let Some(scales) = &scaled.scales {
        report.leave_one_out_error =
            Some(LeaveOneOut::new(&inputs, &states, Some(scales)).errors(&[bandwidth])[0]);
        report.uses("scales", scales.clone());
    }
    Ok(Box::new(scaled))
}

impl NadarayaWatson {
    /// The kernel of an earlier fit, for these windows.
    fn reported(
        earlier: &FitReport,
        spec: &DecoderSpec,
        examples: &Examples<'_>,
        rows: &[usize],
        report: &mut FitReport,
    ) -> Result<Self, FitError> {
        let bandwidth = earlier.bandwidth.filter(|width| width.is_finite() && *width > 0.0);
        let bandwidth = bandwidth.ok_or(FitError::NoBandwidth)?;
        report.bandwidth = Some(bandwidth);
        let scales = if earlier.hyperparameters.contains_key("scales") {
            let scales = earlier.numbers("scales", examples.data.features.ncols() * examples.lags)?;
            report.uses("scales", scales.clone());
            Some(scales)
        } else {
            // as the search leaves them where no entry has one of its own
            let is_found = spec.options.bandwidth.and_then(Choice::given).is_none();
            is_found.then(|| unit_scales(&examples.inputs(rows)))
        };
        Ok(Self { bandwidth, scales })
    }
}

/// Roots of the squared error over the squared truth of held-out blocks by one scale for all entries, and by one for each
/// that `search` finds without the block. `None` where there is nothing to compare.
fn held_out_errors<S: FnMut(&[usize], f64, f64) -> Option<NadarayaWatson>>(
    isotropic: &NadarayaWatson,
    search: &mut S,
    examples: &Examples<'_>,
    rows: &[usize],
) -> Result<Option<[f64; 2]>, FitError> {
    let (_, blocks) = folds_of(examples.data, rows);
    let (mut squared, mut power) = ([0.0; 2], 0.0);
    for (at, block) in HELD_OUT_BLOCKS.iter().filter_map(|&block| blocks.get(block)).enumerate() {
        let outside: Vec<usize> = rows[..block.start].iter().chain(&rows[block.end..]).copied().collect();
        let held = &rows[block.clone()];
        let truth = examples.states(held);
        let Some(scaled) = search(&outside, 0.15 + 0.07 * at as f64, 0.07) else { return Ok(None) };
        for (squared, learner) in squared.iter_mut().zip([isotropic, &scaled]) {
            let regressor = learner.learn(examples, &outside)?;
            *squared += (predict(&regressor, examples, held) - &truth).norm_squared();
        }
        power += truth.norm_squared();
    }
    let errors = squared.map(|squared| (squared / power).sqrt());
    Ok(errors.iter().all(|error| error.is_finite()).then_some(errors))
}

impl Learner for NadarayaWatson {
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        Ok(Regressor::NadarayaWatson(NadarayaWatsonRegressor {
            points: examples.inputs(rows),
            values: examples.states(rows),
            bandwidth: self.bandwidth,
            scales: self.scales.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_one_out_errors_are_those_of_refits() {
        let inputs = DMatrix::from_fn(60, 2, |row, column| ((row * row * 3 + column * 7 * row) as f64).sin());
        let values = DMatrix::from_fn(60, 1, |row, _| inputs[(row, 0)] * inputs[(row, 1)]);
        let errors = LeaveOneOut::new(&inputs, &values, None).errors(&[0.2, 0.7]);
        for (error, h) in errors.iter().zip([0.2_f64, 0.7]) {
            let mut expected = 0.0;
            for row in 0..60 {
                let (mut sum, mut weights) = (0.0, 0.0);
                for other in (0..60).filter(|&other| other != row) {
                    let distance = (inputs.row(row) - inputs.row(other)).norm_squared();
                    let weight = (-distance / (2.0 * h * h)).exp();
                    sum += weight * values[(other, 0)];
                    weights += weight;
                }
                expected += (sum / weights - values[(row, 0)]).powi(2) / 60.0;
            }
            assert!((error / expected - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn features_that_never_move_have_no_bandwidth() {
        let inputs = DMatrix::from_element(30, 2, 1.0);
        let values = DMatrix::from_fn(30, 1, |row, _| row as f64);
        assert_eq!(LeaveOneOut::new(&inputs, &values, None).best_bandwidth(), Err(FitError::NoBandwidth));
    }
}
