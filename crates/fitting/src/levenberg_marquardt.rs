//! Training by Levenberg-Marquardt with Bayesian regularisation (MacKay 1992; Foresee and Hagan 1997): the recipe of
//! the thesis (2019) for the networks of the discriminative filter.
//!
//! Minimises `beta E_D + alpha E_W` with the sums of squared errors, `E_D`, and of squared weights, `E_W`. With N errors,
//! P weights, the Jacobian J of the outputs and `A = beta J'J + alpha I`, the effective number of weights is
//! `gamma = P - alpha tr A^-1`, and after each step (Foresee and Hagan, sec. 4)
//!
//! ```text
//! alpha = gamma / (2 E_W)        beta = (N - gamma) / (2 E_D)
//! ```
//!
//! No row is held out: what data cannot tell is drawn to zero. Cost: `N P^2 + P^3` multiplications an iteration, which
//! suits up to about a thousand weights.

use nalgebra::{DMatrix, DVector};
use rand::Rng;

use crate::tanh_network::{Pass, Shape};
use kalmind_filter::cholesky::Cholesky;

/// Weights beyond which an iteration would take minutes.
pub(crate) const MOST_WEIGHTS: usize = 2000;
/// Columns of the Jacobian that are held at a time.
const JACOBIAN_COLUMNS: usize = 512;
/// Damping at the start and at the end, relative to the mean of the diagonal of `beta J'J`.
const DAMPING: (f64, f64) = (1e-2, 1e8);
/// A smaller relative change of errors and effective weights, in a few iterations in a row, ends the training.
const CONVERGED: f64 = 1e-4;

/// A trained network.
#[derive(Clone, Debug)]
pub(crate) struct Trained {
    pub(crate) weights: Vec<f64>,
    /// gamma.
    pub(crate) effective: f64,
}

/// Trains on standardised examples in columns, for at most `iterations`.
pub(crate) fn train(
    iterations: usize,
    shape: Shape,
    inputs: &DMatrix<f64>,
    targets: &DMatrix<f64>,
    random: &mut impl Rng,
) -> Trained {
    let count = shape.weights();
    let errors = targets.len() as f64;
    let mut weights: Vec<f64> = shape.initial(&mut *random);
    let mut here = Linearized::at(shape, &weights, inputs, targets);
    let (mut alpha, mut beta) = rates(count as f64, errors, &here, &weights);
    let mut effective = count as f64;
    let mut damping = DAMPING.0;
    let mut quiet = 0;
    let mut pass = Pass::new(shape, inputs.ncols());
    for _iteration in 0..iterations {
        let objective = beta * here.squared_error + alpha * square(&weights);
        let unit = beta * here.gram.trace() / count as f64;
        let improved = loop {
            if damping > DAMPING.1 {
                break None;
            }
            let candidate = step(&here, &weights, alpha, beta, damping * unit);
            damping *= 10.0;
            let Some(candidate) = candidate else { continue };
            let squared_error = 2.0 * inputs.ncols() as f64 * pass.error(&candidate, inputs, targets);
            if beta * squared_error + alpha * square(&candidate) < objective {
                break Some(candidate);
            }
        };
        let Some(candidate) = improved else { break };
        damping = (damping / 100.0).max(1e-12);
        let before = (here.squared_error, effective);
        weights = candidate;
        here = Linearized::at(shape, &weights, inputs, targets);
        let curvature = regularized(&here.gram, beta, alpha);
        if let Ok(factor) = Cholesky::new(&curvature, 0.0) {
            effective = (count as f64 - alpha * factor.inverse_trace()).clamp(1.0, count as f64);
            (alpha, beta) = rates(effective, errors, &here, &weights);
        }
        let same = |now: f64, before: f64| (now - before).abs() <= CONVERGED * before.abs();
        quiet = if same(here.squared_error, before.0) && same(effective, before.1) { quiet + 1 } else { 0 };
        if quiet >= 3 {
            break;
        }
    }
    Trained { weights, effective }
}

/// alpha and beta.
fn rates(effective: f64, errors: f64, here: &Linearized, weights: &[f64]) -> (f64, f64) {
    // more weights than errors, or errors of zero, would make the rates negative or infinite
    let spare = (errors - effective).max(0.05 * errors);
    (
        effective / (2.0 * square(weights).max(f64::MIN_POSITIVE)),
        spare / (2.0 * here.squared_error.max(1e-12 * errors)),
    )
}

fn square(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}

/// `beta J'J + alpha I`
fn regularized(gram: &DMatrix<f64>, beta: f64, alpha: f64) -> DMatrix<f64> {
    let mut matrix = gram * beta;
    for entry in 0..matrix.nrows() {
        matrix[(entry, entry)] += alpha;
    }
    matrix
}

/// The weights after a damped step.
fn step(here: &Linearized, weights: &[f64], alpha: f64, beta: f64, damping: f64) -> Option<Vec<f64>> {
    let factor = Cholesky::new(&regularized(&here.gram, beta, alpha + damping), 0.0).ok()?;
    let mut change: Vec<f64> =
        here.slope.iter().zip(weights).map(|(slope, weight)| beta * slope + alpha * weight).collect();
    factor.solve(&mut change);
    Some(weights.iter().zip(&change).map(|(weight, change)| weight - change).collect())
}

/// Errors and their first derivatives at some weights.
#[derive(Debug)]
struct Linearized {
    /// `E_D`.
    squared_error: f64,
    /// J'J.
    gram: DMatrix<f64>,
    /// J'e.
    slope: DVector<f64>,
}

impl Linearized {
    fn at(shape: Shape, weights: &[f64], inputs: &DMatrix<f64>, targets: &DMatrix<f64>) -> Self {
        let count = shape.weights();
        let chunk = JACOBIAN_COLUMNS.div_ceil(shape.outputs);
        let mut linearized =
            Self { squared_error: 0.0, gram: DMatrix::zeros(count, count), slope: DVector::zeros(count) };
        for first in (0..inputs.ncols()).step_by(chunk) {
            let examples = first..inputs.ncols().min(first + chunk);
            let inputs = inputs.columns_range(examples.clone()).into_owned();
            let mut pass = Pass::new(shape, inputs.ncols());
            pass.forward(weights, &inputs);
            let errors = &pass.outputs - targets.columns_range(examples);
            let jacobian = jacobian(shape, weights, &inputs, &pass);
            let errors = DVector::from_column_slice(errors.as_slice());
            linearized.squared_error += errors.norm_squared();
            linearized.slope.gemv(1.0, &jacobian, &errors, 1.0);
            linearized.gram.gemm(1.0, &jacobian, &jacobian.transpose(), 1.0);
        }
        linearized
    }
}

/// Derivatives of every output of every example by the weights: weights x (examples outputs), output after output.
fn jacobian(shape: Shape, weights: &[f64], inputs: &DMatrix<f64>, pass: &Pass<f64>) -> DMatrix<f64> {
    let Shape { hidden, outputs, .. } = shape;
    let [bias, output, output_bias] = shape.offsets();
    let mut jacobian = DMatrix::zeros(shape.weights(), inputs.ncols() * outputs);
    for (at, mut column) in jacobian.column_iter_mut().enumerate() {
        let (example, own) = (at / outputs, at % outputs);
        let column = column.as_mut_slice();
        for unit in 0..hidden {
            let value = pass.activations[(unit, example)];
            let through = weights[output + own * hidden + unit] * (1.0 - value * value);
            column[bias + unit] = through;
            column[output + own * hidden + unit] = value;
        }
        column[output_bias + own] = 1.0;
        let (hidden_weights, rest) = column.split_at_mut(bias);
        for (part, input) in hidden_weights.chunks_exact_mut(hidden).zip(inputs.column(example).iter()) {
            for (entry, through) in part.iter_mut().zip(&*rest) {
                *entry = input * through;
            }
        }
    }
    jacobian
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;

    #[test]
    fn the_jacobian_is_that_of_central_differences() {
        let shape = Shape { inputs: 3, hidden: 4, outputs: 2 };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let weights: Vec<f64> = shape.initial(&mut random);
        let inputs = DMatrix::from_fn(3, 5, |_, _| StandardNormal.sample(&mut random));
        let mut pass = Pass::new(shape, 5);
        pass.forward(&weights, &inputs);
        let jacobian = jacobian(shape, &weights, &inputs, &pass);
        for at in 0..weights.len() {
            let mut outputs = |step: f64| {
                let mut moved = weights.clone();
                moved[at] += step;
                pass.forward(&moved, &inputs);
                DVector::from_column_slice(pass.outputs.as_slice())
            };
            let difference = (outputs(1e-5) - outputs(-1e-5)) / 2e-5;
            assert!((jacobian.row(at).transpose() - difference).amax() < 1e-9, "{at}");
        }
    }

    #[test]
    fn a_smooth_function_in_noise_is_found_with_fewer_weights_than_there_are() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let inputs = DMatrix::from_fn(2, 600, |_, _| normal());
        let law = |x: f64, y: f64| (1.5 * x).sin() + 0.3 * x * y;
        let targets =
            DMatrix::from_fn(1, 600, |_, at| law(inputs[(0, at)], inputs[(1, at)]) + 0.3 * normal());
        let shape = Shape { inputs: 2, hidden: 20, outputs: 1 };
        let trained = train(60, shape, &inputs, &targets, &mut ChaCha8Rng::seed_from_u64(3));
        assert!(trained.effective > 8.0 && trained.effective < 60.0, "{}", trained.effective);
        let fresh = DMatrix::from_fn(2, 2000, |_, _| normal());
        let truth = DMatrix::from_fn(1, 2000, |_, at| law(fresh[(0, at)], fresh[(1, at)]));
        let error = 2.0 * Pass::new(shape, 2000).error(&trained.weights, &fresh, &truth);
        // gamma / N of the noise's variance would be 0.006; tails of the inputs cost a little more
        assert!(error < 0.02, "{error}");
    }
}
