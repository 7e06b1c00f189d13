//! Hyperparameters of a Gaussian process by the likelihood of the training rows (Rasmussen and Williams, Gaussian
//! Processes for Machine Learning, 2006, eq. 5.8 and 5.9).
//!
//! Outputs `y_k`, each of mean zero and variance one, are independent given the inputs and share the kernel:
//!
//! ```text
//! K_ij = signal exp(-|(x_i - x_j) * scales|^2 / 2) + noise (i = j)
//! -ln p(Y) = sum_k y_k' K^-1 y_k / 2 + d ln|K| / 2 + d m ln(2 pi) / 2
//! ```
//!
//! Gradients by the logarithms of all hyperparameters are analytic; those by the scales of all inputs together cost one
//! matrix product, so that a scale for every entry of a window is about as cheap as one for all.

use nalgebra::DMatrix;

use crate::blocked_cholesky::BlockedCholesky;
use crate::kernel_matrix::{exponentiate_all, lower_log_kernel_matrix, scaled, squared_difference_sums};
use crate::matrix_product::{add_product, plain, transposed};
use crate::quasi_newton::minimise;

/// Hyperparameters stay within a factor of e^12 of where they start: what has no influence does not drift away.
const FURTHEST: f64 = 12.0;
/// Prior of the logarithm of a factor of its own: normal, about that of the one scale for all, with this deviation.
/// Without it hundreds of scales learn the noise of a thousand rows: the likelihood rises and held-out errors with it.
const PRIOR_DEVIATION: f64 = 1.0;
/// Noise variance that a search starts from, of outputs of variance one.
const FIRST_NOISE: f64 = 0.3;
/// Noise variance that a search does not go below. Errors of intents are alike over many bins, so few rows far apart look
/// as if they could be followed exactly, with scales that do not hold for the rows between them.
const LEAST_NOISE: f64 = 0.12;

/// Hyperparameters of a squared exponential kernel with noise, for outputs of variance one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hyperparameters {
    /// Variance of the process.
    pub(crate) signal: f64,
    /// Variance of the noise.
    pub(crate) noise: f64,
    /// One over the length scale of every input.
    pub(crate) scales: Vec<f64>,
}

/// Which scales move together in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scales {
    /// All by one factor.
    Together,
    /// Of input j, by a factor of its feature `j % features` and one of its lag `j / features`: in windows of l bins n + l
    /// numbers instead of n l, which far fewer rows settle.
    ByFeatureAndLag {
        /// Features n of a bin.
        features: usize,
    },
}

impl Scales {
    /// Numbers that are sought for `inputs` scales.
    fn count(self, inputs: usize) -> usize {
        match self {
            Self::Together => 1,
            // the lag of the newest bin is the unit
            Self::ByFeatureAndLag { features } => features + (inputs / features).saturating_sub(1),
        }
    }

    /// The numbers whose sum is the logarithm of an input's factor.
    fn of(self, input: usize) -> impl Iterator<Item = usize> {
        let (first, second) = match self {
            Self::Together => (0, None),
            Self::ByFeatureAndLag { features } => {
                let lag = input / features;
                (input % features, lag.checked_sub(1).map(|lag| features + lag))
            }
        };
        core::iter::once(first).chain(second)
    }
}

/// Rows whose likelihood is sought.
#[derive(Debug)]
pub(crate) struct Likelihood<'a> {
    /// Rows x p.
    pub(crate) inputs: &'a DMatrix<f64>,
    /// Rows x d.
    pub(crate) outputs: &'a DMatrix<f64>,
}

impl Likelihood<'_> {
    /// The hyperparameters of greatest likelihood that at most `steps` steps from `start` find, noise no less than
    /// [`LEAST_NOISE`]. Gives them with their negative log likelihood a value, less that of the prior on factors.
    pub(crate) fn maximise(
        &self,
        start: &Hyperparameters,
        groups: Scales,
        steps: usize,
        proceed: impl FnMut(usize) -> bool,
    ) -> Option<(Hyperparameters, f64)> {
        let of = |logarithms: &[f64]| {
            let limited = |at: usize| logarithms[at].clamp(-FURTHEST, FURTHEST).exp();
            let scales = start.scales.iter().enumerate();
            let factor = |input: usize| groups.of(input).map(|number| limited(2 + number)).product::<f64>();
            Hyperparameters {
                signal: start.signal * limited(0),
                noise: (start.noise * limited(1)).max(LEAST_NOISE),
                scales: scales.map(|(input, scale)| scale * factor(input)).collect(),
            }
        };
        let inputs = start.scales.len();
        let found = minimise(
            vec![0.0; 2 + groups.count(inputs)],
            steps,
            |logarithms| {
                let at = of(logarithms);
                let (mut value, gradient) = self.negative_log(&at)?;
                let mut by_group = vec![0.0; logarithms.len()];
                by_group[..2].copy_from_slice(&gradient[..2]);
                if at.noise <= LEAST_NOISE {
                    by_group[1] = by_group[1].min(0.0);
                }
                for (input, entry) in gradient[2..].iter().enumerate() {
                    groups.of(input).for_each(|number| by_group[2 + number] += entry);
                }
                if groups != Scales::Together {
                    // a value, like the likelihood
                    let precision = 1.0 / (PRIOR_DEVIATION * PRIOR_DEVIATION * self.outputs.len() as f64);
                    for (slope, logarithm) in by_group[2..].iter_mut().zip(&logarithms[2..]) {
                        value += 0.5 * precision * logarithm * logarithm;
                        *slope += precision * logarithm;
                    }
                }
                Some((value, by_group))
            },
            proceed,
        )?;
        Some((of(&found.parameters), found.value))
    }

    /// `-ln p` a value, and its gradient by the logarithms of signal, noise and every scale; `None` where the kernel
    /// matrix is not positive definite. Cost: m^3 for m rows.
    pub(crate) fn negative_log(&self, at: &Hyperparameters) -> Option<(f64, Vec<f64>)> {
        let (rows, dimension) = self.outputs.shape();
        let points = scaled(self.inputs, &vec![0.0; at.scales.len()], &at.scales);
        let mut kernel = lower_log_kernel_matrix(&points);
        exponentiate_all(&mut kernel, 1.0);
        kernel *= at.signal;
        kernel.fill_upper_triangle_with_lower_triangle();
        let mut noisy = kernel.clone();
        for row in 0..rows {
            noisy[(row, row)] = at.signal + at.noise;
        }
        let factor = BlockedCholesky::new(noisy).ok()?;
        let mut weights = self.outputs.clone();
        factor.solve(&mut weights);
        let fit: f64 = weights.component_mul(self.outputs).sum();
        let constant = (2.0 * core::f64::consts::PI).ln();
        let values = (rows * dimension) as f64;
        let value = 0.5 * (fit / values + factor.log_determinant() / rows as f64 + constant);
        // eq. 5.9: the derivative by K is that of -tr(G dK) / 2 with G = sum_k a_k a_k' - d K^-1, a_k = K^-1 y_k
        let mut slope = factor.inverse();
        slope *= -(dimension as f64);
        add_product(&mut slope, 1.0, plain(&weights), transposed(&weights));
        let trace = slope.trace();
        slope.component_mul_assign(&kernel);
        let mut gradient = vec![-0.5 * slope.sum(), -0.5 * at.noise * trace];
        // d K_ij / d ln scale_p = -K_ij (x_ip - x_jp)^2 scale_p^2
        gradient.extend(squared_difference_sums(&slope, &points, &points).iter().map(|sum| 0.5 * sum));
        for entry in &mut gradient {
            *entry /= values;
        }
        (value.is_finite() && gradient.iter().all(|entry| entry.is_finite())).then_some((value, gradient))
    }
}

impl Hyperparameters {
    /// Where a search starts: with one length for all inputs of variance one, of the size of their typical distance.
    pub(crate) fn first(deviations: &[f64]) -> Self {
        let moving = deviations.iter().filter(|deviation| **deviation > 0.0).count().max(1);
        let scale = 1.0 / (2.0 * moving as f64).sqrt();
        let scales = deviations
            .iter()
            .map(|&deviation| if deviation > 0.0 { scale / deviation } else { 0.0 })
            .collect();
        Self { signal: 1.0, noise: FIRST_NOISE, scales }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (DMatrix<f64>, DMatrix<f64>, Hyperparameters) {
        let inputs = DMatrix::from_fn(12, 3, |row, column| {
            let i = row as f64;
            [(3.0 * i).sin(), (i * i).cos(), (i * i + 1.0).sin() * 2.0][column]
        });
        let outputs = DMatrix::from_fn(12, 2, |row, column| {
            let x = inputs.row(row);
            [x[0].sin() + x[1] * x[1] - 0.5, x[2] * x[0]][column]
        });
        (inputs, outputs, Hyperparameters { signal: 1.7, noise: 0.2, scales: vec![0.8, 0.5, 0.3] })
    }

    /// scikit-learn 1.9.1: `GaussianProcessRegressor(ConstantKernel(1.7) * RBF([1/0.8, 1/0.5, 1/0.3]) +
    /// WhiteKernel(0.2), optimizer=None, alpha=0).fit(X, Y)`, then minus its `log_marginal_likelihood(theta,
    /// eval_gradient=True)` over 24; the gradient by length scales has the other sign of that by scales.
    #[test]
    fn the_likelihood_and_its_gradient_are_those_of_scikit_learn() {
        let (inputs, outputs, at) = example();
        let (value, gradient) = Likelihood { inputs: &inputs, outputs: &outputs }.negative_log(&at).unwrap();
        assert!((value - 1.050_685_640_401_883_2).abs() < 1e-12);
        let expected = [
            0.040_703_554_619_381_75,
            0.111_053_137_396_856_78,
            -0.055_286_964_684_875_64,
            0.023_866_361_789_294_27,
            -0.102_207_016_930_250_57,
        ];
        for (entry, expected) in gradient.iter().zip(expected) {
            assert!((entry - expected).abs() < 1e-6, "{entry} {expected}");
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (inputs, outputs, at) = example();
        let likelihood = Likelihood { inputs: &inputs, outputs: &outputs };
        let (_, gradient) = likelihood.negative_log(&at).unwrap();
        for (parameter, entry) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = at.clone();
                match parameter {
                    0 => moved.signal *= by.exp(),
                    1 => moved.noise *= by.exp(),
                    scale => moved.scales[scale - 2] *= by.exp(),
                }
                likelihood.negative_log(&moved).unwrap().0
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((difference - entry).abs() < 1e-8, "{parameter}: {difference} {entry}");
        }
    }

    #[test]
    fn a_prior_keeps_scales_together_where_the_rows_say_little() {
        let inputs =
            DMatrix::from_fn(30, 40, |row, column| ((row * row * 3 + column * 7 * row) as f64).sin());
        let outputs = DMatrix::from_fn(30, 1, |row, _| 1.4 * ((row * row * row) as f64).cos());
        let likelihood = Likelihood { inputs: &inputs, outputs: &outputs };
        let first = Hyperparameters::first(&[0.7; 40]);
        let every = Scales::ByFeatureAndLag { features: 40 };
        let (found, _) = likelihood.maximise(&first, every, 60, |_| true).unwrap();
        for scale in found.scales {
            assert!((scale / first.scales[0]).ln().abs() < 3.0 * PRIOR_DEVIATION, "{scale}");
        }
    }

    #[test]
    fn lags_share_the_scales_of_their_features() {
        let groups = Scales::ByFeatureAndLag { features: 2 };
        assert_eq!(groups.count(6), 4);
        let numbers: Vec<Vec<usize>> = (0..6).map(|input| groups.of(input).collect()).collect();
        assert_eq!(numbers, [vec![0], vec![1], vec![0, 2], vec![1, 2], vec![0, 3], vec![1, 3]]);
    }

    #[test]
    fn inputs_without_influence_get_long_lengths() {
        let inputs =
            DMatrix::from_fn(150, 3, |row, column| ((row * row * 3 + column * 7 * row) as f64).sin());
        let outputs = DMatrix::from_fn(150, 1, |row, _| (4.0 * inputs[(row, 1)]).sin());
        let likelihood = Likelihood { inputs: &inputs, outputs: &outputs };
        let every = Scales::ByFeatureAndLag { features: 3 };
        let (found, value) =
            likelihood.maximise(&Hyperparameters::first(&[1.0, 1.0, 1.0]), every, 60, |_| true).unwrap();
        assert!(found.scales[1] > 10.0 * found.scales[0].max(found.scales[2]), "{found:?}");
        assert!(found.noise <= LEAST_NOISE);
        let (_, isotropic) = likelihood
            .maximise(&Hyperparameters::first(&[1.0, 1.0, 1.0]), Scales::Together, 60, |_| true)
            .unwrap();
        assert!(value < isotropic);
    }
}
