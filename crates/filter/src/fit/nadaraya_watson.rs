//! Kernel widths by leave-one-out, and kernel predictions of rows that were left out.

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::kernel_scales::LeaveOut;
use super::learner::{Examples, Learner};
use super::{FitError, FitProgress, FitReport, FitSettings};
use crate::kernel_mean::PanelValues;
use crate::kernel_path::KernelPath;
use crate::panel::PanelPoints;
use crate::{Choice, DecoderSpec, KernelShape, Regressor};

/// At most so many rows are left out in turn; of more, every k-th.
const LEFT_OUT_ROWS: usize = 5000;
/// Candidate widths span the typical distance between points and 1/128 of it, by factors of the square root of 2.
const CANDIDATES: usize = 15;
/// Golden-section steps around the best candidate: the width is found within 0.3 %.
const REFINEMENTS: usize = 10;
/// Default `steps` of the search for scales.
const STEPS: usize = 15;
/// Rows to either side that are left out with a row, for every lagged bin: their windows share features.
const NEIGHBOURS: usize = 2;

/// A kernel regression ready to leave points out.
pub(crate) struct LeaveOneOut<'a> {
    values: &'a DMatrix<f64>,
    inputs: &'a DMatrix<f64>,
    points: PanelPoints,
    panel_values: PanelValues,
}

impl<'a> LeaveOneOut<'a> {
    pub(crate) fn new(inputs: &'a DMatrix<f64>, values: &'a DMatrix<f64>, scales: Option<&[f64]>) -> Self {
        let path = KernelPath::detect();
        Self {
            values,
            inputs,
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
        let step = rows.div_ceil(LEFT_OUT_ROWS);
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
        let spread: f64 = self.inputs.column_iter().map(|column| column.variance()).sum();
        let typical = (2.0 * spread).sqrt();
        if !(typical.is_finite() && typical > 0.0) {
            return Err(FitError::NoBandwidth);
        }
        let candidates: Vec<f64> =
            (0..CANDIDATES).map(|step| typical * 0.5_f64.powf(step as f64 / 2.0)).collect();
        let errors = self.errors(&candidates);
        let (best, error) = errors
            .iter()
            .enumerate()
            .filter(|(_, error)| error.is_finite())
            .min_by(|left, right| left.1.total_cmp(right.1))
            .ok_or(FitError::NoBandwidth)?;
        let mut chosen = (candidates[best], *error);
        // Golden section on the logarithm of the width, between the neighbours of the best candidate.
        let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
        let (mut low, mut high) = ((chosen.0 / 2.0_f64.sqrt()).ln(), (chosen.0 * 2.0_f64.sqrt()).ln());
        for _refinement in 0..REFINEMENTS {
            let inner = [high - golden * (high - low), low + golden * (high - low)];
            let widths = inner.map(f64::exp);
            let errors = self.errors(&widths);
            for (&width, &error) in widths.iter().zip(&errors) {
                if error < chosen.1 {
                    chosen = (width, error);
                }
            }
            if errors[0] < errors[1] {
                high = inner[1];
            } else {
                low = inner[0];
            }
        }
        Ok(chosen)
    }
}

/// `dkf-nw`'s f.
#[derive(Debug)]
struct NadarayaWatson {
    bandwidth: f64,
    scales: Option<Vec<f64>>,
}

/// The learner of `dkf-nw`.
pub(crate) fn learner(
    spec: &DecoderSpec,
    examples: &Examples<'_>,
    rows: &[usize],
    settings: &FitSettings,
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Box<dyn Learner>, FitError> {
    progress(FitProgress { stage: "bandwidth", done: 0.1 });
    let options = &spec.options;
    let (inputs, states) = (examples.inputs(rows), examples.states(rows));
    let kernel = LeaveOneOut::new(&inputs, &states, None);
    let (bandwidth, error) = match options.bandwidth.unwrap_or(Choice::Auto) {
        Choice::Given(bandwidth) => (bandwidth, kernel.errors(&[bandwidth])[0]),
        Choice::Auto => kernel.best_bandwidth()?,
    };
    report.bandwidth = Some(bandwidth);
    report.leave_one_out_error = Some(error);
    if options.kernel.unwrap_or_default() == KernelShape::Isotropic {
        return Ok(Box::new(NadarayaWatson { bandwidth, scales: None }));
    }
    let steps = options.steps.unwrap_or(STEPS);
    let leave_out = LeaveOut::new(&inputs, &states, NEIGHBOURS * (examples.lags - 1));
    let mut out_of_time = false;
    let found = leave_out.minimise(&vec![1.0 / bandwidth; inputs.ncols()], steps, |taken| {
        let part = taken as f64 / steps.max(1) as f64;
        progress(FitProgress { stage: "scales", done: 0.2 + 0.3 * part });
        out_of_time = settings.budget.is_some_and(|budget| budget.left() <= 0.0);
        !out_of_time
    });
    report.budget_used_up |= out_of_time;
    let mut scales = found.ok_or(FitError::NoBandwidth)?;
    for scale in &mut scales {
        *scale *= bandwidth;
    }
    report.leave_one_out_error =
        Some(LeaveOneOut::new(&inputs, &states, Some(&scales)).errors(&[bandwidth])[0]);
    report.uses("scales", scales.clone());
    Ok(Box::new(NadarayaWatson { bandwidth, scales: Some(scales) }))
}

impl Learner for NadarayaWatson {
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        Ok(Regressor::NadarayaWatson {
            points: examples.inputs(rows),
            values: examples.states(rows),
            bandwidth: self.bandwidth,
            scales: self.scales.clone(),
        })
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
