//! `dkf-gp`: f as the mean of a Gaussian process (Rasmussen and Williams 2006, eq. 2.25; Burkhart et al., Neural
//! Computation 2020, for its use in the discriminative Kalman filter).
//!
//! Model: every component of the intent, less its mean, is a Gaussian process of the window, with a squared exponential
//! kernel that all components share, seen through noise:
//!
//! ```text
//! f(x) = offset + sum_i c_i exp(-|(x - x_i) * scales|^2 / 2)        c = signal (K + noise)^-1 (z - offset)
//! ```
//!
//! One kernel for all components makes a tick cost one comparison with m points, whatever d is. `kernel=se` has one length
//! scale in units of each entry's deviation, `kernel=se-ard` (the default) one for every feature, times one for every lag. They, signal
//! and noise are those of greatest [marginal likelihood](crate::marginal_likelihood) of every k-th row: rows far apart,
//! since errors of neighbours in time are alike and would pass for signal. Lengths and noise then change by the factors
//! that predict two held-out blocks best. Up to `exact` rows the mean is exact; of more rows it is that
//! of `inducing` [inducing points](crate::sparse_mean).
//!
//! Use it where accuracy counts and a tick may cost m n l multiplications; with `lags` and `kernel=se-ard` it is the most
//! accurate of the kernel decoders. Not where rows by the ten thousand arrive (memory and time of a fit go by m^2 and
//! m^3), and mind that far from all data it answers with the mean intent. Fitting 5000 rows takes about ten seconds on two
//! cores, with 50 inputs and `se-ard` about half a minute.

use core::ops::Range;

use nalgebra::{DMatrix, DVector};

use crate::blocked_cholesky::BlockedCholesky;
use crate::decoders::kind::{DecoderFit, Lesson};
use crate::discriminative::discriminative;
use crate::kernel_matrix::{exponentiate_all, log_kernel_matrix, lower_log_kernel_matrix, scaled};
use crate::learner::{Examples, Learner};
use crate::marginal_likelihood::{Hyperparameters, Likelihood, Scales};
use crate::matrix_product::{plain, product};
use crate::sparse_mean::{positive_definite, sparse_mean};
use crate::windows::{column_means, deviations, folds, unit_scales};
use crate::{FitError, FitProgress, FitReport, FitSettings};
use kalmind_filter::{Choice, GaussianProcessRegressor, KernelShape, Regressor};

/// See the module.
pub(super) const FIT: DecoderFit = discriminative(learner, Choice::Auto);

/// Default `exact`.
const EXACT: usize = 5000;
/// Default `inducing`.
const INDUCING: usize = 1000;
/// Rows that hyperparameters are learnt from, evenly spaced.
const LIKELIHOOD_ROWS: usize = 1250;
/// Default `steps` with one length scale.
const STEPS: usize = 30;
/// Default `steps` with one for every entry, after those with one.
const RELEVANCE_STEPS: usize = 60;
/// Factors of lengths and noise that held-out blocks choose from; the first is the likelihood's own choice.
const HELD_OUT_FACTORS: [(f64, f64); 6] =
    [(1.0, 1.0), (1.0, 2.0), (1.0, 4.0), (0.75, 1.0), (0.75, 2.0), (0.75, 4.0)];
/// The blocks, of five.
const HELD_OUT_BLOCKS: [usize; 2] = [1, 3];
/// Rows at most that these fits take.
const HELD_OUT_ROWS: usize = 4000;

/// `dkf-gp`'s f with its hyperparameters.
#[derive(Debug)]
struct GaussianProcess {
    hyperparameters: Hyperparameters,
    exact: usize,
    inducing: usize,
}

/// The learner of `dkf-gp`.
fn learner(mut lesson: Lesson<'_>) -> Result<Box<dyn Learner>, FitError> {
    let options = &lesson.spec.options;
    let (exact, inducing) = (options.exact.unwrap_or(EXACT), options.inducing.unwrap_or(INDUCING));
    let hyperparameters = match &lesson.settings.keep {
        Some(earlier) => Hyperparameters::reported(&earlier.report, lesson.examples)?,
        None => sought(&mut lesson, exact, inducing)?,
    };
    let report = lesson.report;
    report.uses("signal", hyperparameters.signal);
    report.uses("noise", hyperparameters.noise);
    report.uses("scales", hyperparameters.scales.clone());
    if lesson.rows.len() > exact {
        report.uses("inducing", inducing);
    }
    Ok(Box::new(GaussianProcess { hyperparameters, exact, inducing }))
}

/// The hyperparameters that the rows speak for.
fn sought(lesson: &mut Lesson<'_>, exact: usize, inducing: usize) -> Result<Hyperparameters, FitError> {
    let Lesson { spec, examples, rows, settings, report, progress } = lesson;
    let options = &spec.options;
    let relevance = options.kernel.unwrap_or(KernelShape::Relevance) == KernelShape::Relevance;
    let spread: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(LIKELIHOOD_ROWS)).collect();
    let inputs = centred(&examples.inputs(&spread));
    let outputs = standardised(&examples.states(&spread));
    let likelihood = Likelihood { inputs: &inputs, outputs: &outputs };
    let first = Hyperparameters::first(&deviations(&inputs));
    let mut search = |start: &Hyperparameters, groups: Scales, steps: usize, done: f64| {
        let mut out_of_time = false;
        let found = likelihood.maximise(start, groups, steps, |taken| {
            let part = taken as f64 / steps.max(1) as f64;
            progress(FitProgress::new("length scales", done + 0.25 * part));
            out_of_time = settings.budget.is_some_and(|budget| budget.left() <= 0.0);
            !out_of_time
        });
        report.budget_used_up |= out_of_time;
        found.ok_or(FitError::NoBandwidth)
    };
    let (mut hyperparameters, mut negative_log) =
        search(&first, Scales::Together, options.steps.unwrap_or(STEPS).min(STEPS), 0.05)?;
    if relevance {
        let steps = options.steps.unwrap_or(RELEVANCE_STEPS);
        let groups = Scales::ByFeatureAndLag { features: examples.background.len() };
        (hyperparameters, negative_log) = search(&hyperparameters, groups, steps, 0.3)?;
    }
    report.uses("log-likelihood", -negative_log);
    let likely = GaussianProcess { hyperparameters, exact, inducing };
    likely.on_held_out(examples, rows, settings, report, *progress)
}

impl Hyperparameters {
    /// Those of an earlier fit, for these windows.
    fn reported(earlier: &FitReport, examples: &Examples<'_>) -> Result<Self, FitError> {
        let above_zero = |name| Ok(earlier.numbers(name, 1)?[0].max(f64::MIN_POSITIVE));
        let scales = earlier.numbers("scales", examples.data.features.ncols() * examples.lags)?;
        Ok(Self { signal: above_zero("signal")?, noise: above_zero("noise")?, scales })
    }
}

impl GaussianProcess {
    /// The hyperparameters with lengths and noise by those factors that predict held-out blocks best: the likelihood takes
    /// rows for independent of each other, which neighbours in time are not.
    fn on_held_out(
        &self,
        examples: &Examples<'_>,
        rows: &[usize],
        settings: &FitSettings,
        report: &mut FitReport,
        progress: &mut dyn FnMut(FitProgress),
    ) -> Result<Hyperparameters, FitError> {
        let most = HELD_OUT_ROWS.min(self.exact.max(self.inducing));
        let blocks: Vec<HeldBlock> = folds(rows.len())
            .into_iter()
            .enumerate()
            .filter(|(at, _)| HELD_OUT_BLOCKS.contains(at))
            .map(|(_, block)| {
                let outside: Vec<usize> =
                    rows[..block.start].iter().chain(&rows[block.end..]).copied().collect();
                let thinned: Vec<usize> =
                    outside.iter().copied().step_by(outside.len().div_ceil(most)).collect();
                HeldBlock::new(examples, &thinned, &rows[block], &self.hyperparameters.scales)
            })
            .collect();
        let mut best = (f64::INFINITY, self.hyperparameters.clone());
        for (at, &(length, noise)) in HELD_OUT_FACTORS.iter().enumerate() {
            progress(FitProgress::new("noise", 0.55 + 0.02 * at as f64));
            if at > 0 && settings.budget.is_some_and(|budget| budget.left() <= 0.0) {
                report.budget_used_up = true;
                break;
            }
            let mut changed = self.hyperparameters.clone();
            changed.noise *= noise;
            changed.scales.iter_mut().for_each(|scale| *scale /= length);
            let (mut squared, mut power) = (0.0, 0.0);
            for block in &blocks {
                let predicted = block.predicted(length, changed.noise / changed.signal);
                squared += (predicted.ok_or(FitError::NoBandwidth)? - &block.truth).norm_squared();
                power += block.truth.norm_squared();
            }
            let error = (squared / power).sqrt();
            report.tried(format!("length x {length}, noise x {noise}"), error);
            if error < best.0 {
                best = (error, changed);
            }
        }
        Ok(best.1)
    }
}

/// A block of rows that is predicted from others, with the distances that every length and noise needs.
struct HeldBlock {
    /// The logarithm of the kernel between the points (its lower triangle), and of the held rows with them.
    among_points: DMatrix<f64>,
    to_points: DMatrix<f64>,
    /// Outputs at the points, less their means.
    outputs: DMatrix<f64>,
    means: Vec<f64>,
    truth: DMatrix<f64>,
}

impl HeldBlock {
    fn new(examples: &Examples<'_>, points: &[usize], held: &[usize], scales: &[f64]) -> Self {
        let inputs = examples.inputs(points);
        let centre = column_means(&inputs);
        let (inputs, queries) =
            (scaled(&inputs, &centre, scales), scaled(&examples.inputs(held), &centre, scales));
        let states = examples.states(points);
        Self {
            among_points: lower_log_kernel_matrix(&inputs),
            to_points: log_kernel_matrix(&queries, &inputs),
            outputs: centred(&states),
            means: column_means(&states),
            truth: examples.states(held),
        }
    }

    /// The mean at the held rows with lengths `length` times as long, and noise relative to the signal.
    fn predicted(&self, length: f64, noise: f64) -> Option<DMatrix<f64>> {
        let kernel = |logarithms: &DMatrix<f64>| {
            let mut kernel = logarithms.clone();
            exponentiate_all(&mut kernel, 1.0 / (length * length));
            kernel
        };
        let among_points = kernel(&self.among_points);
        let coefficients =
            positive_definite(noise, |noise| coefficients(among_points.clone(), &self.outputs, noise))?;
        let mut predicted = product(plain(&kernel(&self.to_points)), plain(&coefficients));
        for (mut column, mean) in predicted.column_iter_mut().zip(&self.means) {
            column.add_scalar_mut(*mean);
        }
        Some(predicted)
    }
}

impl Learner for GaussianProcess {
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        let points = examples.inputs(rows);
        if rows.len() > self.exact {
            return Ok(self.sparse(&points, &examples.states(rows), &[])?.0);
        }
        let states = examples.states(rows);
        let outputs = centred(&states);
        let scales = self.hyperparameters.scales.clone();
        let scaled_points = scaled(&points, &column_means(&points), &scales);
        let coefficients = positive_definite(self.noise(), |noise| {
            let mut kernel = lower_log_kernel_matrix(&scaled_points);
            exponentiate_all(&mut kernel, 1.0);
            coefficients(kernel, &outputs, noise)
        })
        .ok_or(FitError::NoBandwidth)?;
        let offset = DVector::from_vec(column_means(&states));
        Ok(Regressor::GaussianProcess(GaussianProcessRegressor { points, coefficients, scales, offset }))
    }

    fn cross_fit(
        &self,
        examples: &Examples<'_>,
        rows: &[usize],
        blocks: &[Range<usize>],
    ) -> Option<Result<(Regressor, DMatrix<f64>), FitError>> {
        (rows.len() > self.exact).then(|| self.sparse(&examples.inputs(rows), &examples.states(rows), blocks))
    }
}

impl GaussianProcess {
    /// Noise relative to the signal.
    fn noise(&self) -> f64 {
        self.hyperparameters.noise / self.hyperparameters.signal
    }

    fn sparse(
        &self,
        points: &DMatrix<f64>,
        states: &DMatrix<f64>,
        blocks: &[Range<usize>],
    ) -> Result<(Regressor, DMatrix<f64>), FitError> {
        let scales = self.hyperparameters.scales.clone();
        sparse_mean(points, states, scales, self.noise(), self.inducing, blocks).ok_or(FitError::NoBandwidth)
    }
}

/// `(K + noise)^-1 outputs` for the K of variance one whose lower triangle is given; `None` where the matrix is not
/// positive definite. Cost: m^3 / 3.
fn coefficients(mut kernel: DMatrix<f64>, outputs: &DMatrix<f64>, noise: f64) -> Option<DMatrix<f64>> {
    kernel.fill_diagonal(1.0 + noise);
    let mut coefficients = outputs.clone();
    BlockedCholesky::new(kernel).ok()?.solve(&mut coefficients);
    coefficients.iter().all(|value| value.is_finite()).then_some(coefficients)
}

/// Every column less its mean.
fn centred(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    scaled(matrix, &column_means(matrix), &vec![1.0; matrix.ncols()])
}

/// Every column with mean zero and variance one; a constant column is zero.
fn standardised(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    scaled(matrix, &column_means(matrix), &unit_scales(matrix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalmind_filter::KernelPath;
    use kalmind_filter::TrainingData;

    /// scikit-learn 1.9.1: `GaussianProcessRegressor(ConstantKernel(1.7) * RBF([1/0.8, 1/0.5, 1/0.3]) +
    /// WhiteKernel(0.2), optimizer=None, alpha=0).fit(X, Y - Y.mean(0)).predict(T) + Y.mean(0)`.
    #[test]
    fn the_mean_is_that_of_scikit_learn() {
        let inputs = DMatrix::from_fn(12, 3, |row, column| {
            let i = row as f64;
            [(3.0 * i).sin(), (i * i).cos(), (i * i + 1.0).sin() * 2.0][column]
        });
        let outputs = DMatrix::from_fn(12, 2, |row, column| {
            let x = inputs.row(row);
            [x[0].sin() + x[1] * x[1] - 0.5, x[2] * x[0]][column]
        });
        let data = TrainingData::new(inputs, outputs);
        let examples = Examples { data: &data, background: &[0.0; 3], lags: 1 };
        let scales = vec![0.8, 0.5, 0.3];
        let learner = GaussianProcess {
            hyperparameters: Hyperparameters { signal: 1.7, noise: 0.2, scales },
            exact: 100,
            inducing: 10,
        };
        let rows: Vec<usize> = (0..12).collect();
        let mut exact = learner.learn(&examples, &rows).unwrap().regression(KernelPath::detect());
        let mut sparse = GaussianProcess { exact: 5, inducing: 12, ..learner }
            .learn(&examples, &rows)
            .unwrap()
            .regression(KernelPath::detect());
        for (window, expected) in [
            ([0.1, -0.2, 0.3], [-0.060_790_102_105_018_83, 0.015_385_204_823_412_157]),
            ([1.0, 0.5, -1.5], [0.492_049_057_053_299_43, -0.362_085_109_243_999_3]),
            ([9.0, 9.0, 9.0], [0.042_908_111_234_931_476, 0.175_071_802_436_799_93]),
        ] {
            for regression in [&mut exact, &mut sparse] {
                let mut mean = [0.0; 8];
                regression.mean(&window, &mut mean);
                // points are in 32-bit fixed point
                assert!((mean[0] - expected[0]).abs() < 1e-8 && (mean[1] - expected[1]).abs() < 1e-8);
            }
        }
    }
}
