//! The marginal likelihood of a Gaussian process whose kernel is a sum of kernels, by their variances.
//!
//! With features Phi of all kernels side by side, D their variances and B = s^2 I + D^1/2 Phi' Phi D^1/2 for noise s^2, the
//! posterior mean of weights of unit variance is B^-1 D^1/2 Phi' y, and everything that the marginal likelihood and its
//! gradient need is of the size of B: rows are gone through once (Tipping, Journal of Machine Learning Research 1, 2001).
//! Variances take the steps of MacKay (Neural Computation 4, 1992), or the square roots of them, which never lower the
//! marginal likelihood (Zhou, Hu, Zhou and Lange, Journal of Computational and Graphical Statistics 28, 2019), where the full
//! steps would.

use core::ops::Range;

use nalgebra::DMatrix;

use crate::blocked_cholesky::BlockedCholesky;
use crate::kernel_features::{Basis, JointBasis};
use crate::matrix_product::{plain, product, transposed};
use crate::windows::{self, column_means};

/// Steps end where the marginal likelihood rises by less than this, per row and component.
const SETTLED: f64 = 1e-6;
/// A kernel below this part of the strongest is dropped.
const NEGLIGIBLE: f64 = 1e-6;

/// Which variances are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tied {
    /// Those of all one-dimensional kernels.
    Entries,
    /// None.
    Nothing,
}

/// The variances of the kernels (entry by entry, then that over all where there is one) and of the noise, of outputs whose variance is 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Variances {
    pub(crate) kernels: Vec<f64>,
    pub(crate) noise: f64,
}

/// The marginal likelihood of some rows; see the module.
pub(crate) struct Evidence {
    rows: usize,
    pub(crate) variances: Variances,
    /// How many kernels are one-dimensional.
    entries: usize,
    /// First feature of each kernel, and their number in all.
    firsts: Vec<usize>,
    /// Phi' Phi.
    gram: DMatrix<f64>,
    /// Phi' y of the standardised outputs.
    moments: DMatrix<f64>,
    /// y' y, summed over the outputs.
    power: f64,
    pub(crate) output_means: Vec<f64>,
    pub(crate) output_deviations: Vec<f64>,
}

/// What the present variances give.
struct Posterior {
    mean: DMatrix<f64>,
    log_likelihood: f64,
    factor: BlockedCholesky,
}

impl Evidence {
    /// Of all rows of `inputs` and `states`.
    pub(crate) fn new(
        bases: &[Basis],
        joint: Option<&JointBasis>,
        inputs: &DMatrix<f64>,
        states: &DMatrix<f64>,
    ) -> Self {
        let sizes = bases.iter().map(Basis::size).chain(joint.map(JointBasis::size));
        let mut firsts = vec![0];
        let mut size = 0;
        for kernel in sizes {
            size += kernel;
            firsts.push(size);
        }
        let features = features(bases, joint, inputs);
        let (output_means, output_deviations) = (column_means(states), deviations(states));
        let outputs = DMatrix::from_fn(states.nrows(), states.ncols(), |row, column| {
            (states[(row, column)] - output_means[column]) / output_deviations[column]
        });
        // half of the variance is signal, to begin with
        let signal = if joint.is_some() { 0.25 } else { 0.5 };
        let mut kernels: Vec<f64> = bases
            .iter()
            .map(|basis| if basis.size() > 0 { signal / bases.len() as f64 } else { 0.0 })
            .collect();
        kernels.extend(joint.map(|_| signal));
        Self {
            rows: inputs.nrows(),
            variances: Variances { kernels, noise: 0.5 },
            entries: bases.len(),
            firsts,
            gram: product(transposed(&features), plain(&features)),
            moments: product(transposed(&features), plain(&outputs)),
            power: outputs.norm_squared(),
            output_means,
            output_deviations,
        }
    }

    /// Starts from the variances found without a joint kernel, which takes over half of what they are.
    pub(crate) fn start_from(&mut self, alone: &Self) {
        let shared: f64 = alone.variances.kernels.iter().map(|variance| 0.5 * variance).sum();
        self.variances.noise = alone.variances.noise;
        for (variance, alone) in self.variances.kernels.iter_mut().zip(&alone.variances.kernels) {
            *variance = 0.5 * alone;
        }
        for variance in self.variances.kernels.iter_mut().skip(self.entries) {
            // what is no sum may not have shown at all so far
            *variance = shared.max(0.25);
        }
    }

    /// The features of each kernel.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.firsts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// D^1/2, one a feature.
    fn roots(&self, variances: &Variances) -> Vec<f64> {
        let mut roots = Vec::with_capacity(self.gram.nrows());
        for (range, variance) in self.firsts.windows(2).zip(&variances.kernels) {
            roots.resize(roots.len() + range[1] - range[0], variance.sqrt());
        }
        roots
    }

    /// The posterior mean of the weights of unit variance, of outputs of unit variance.
    pub(crate) fn solve(&self) -> DMatrix<f64> {
        self.posterior(&self.variances).map_or_else(|| self.moments.clone() * 0.0, |posterior| posterior.mean)
    }

    /// `None` where rounding leaves nothing positive definite.
    fn posterior(&self, variances: &Variances) -> Option<Posterior> {
        let roots = self.roots(variances);
        let size = roots.len();
        let outputs = self.moments.ncols() as f64;
        let matrix = DMatrix::from_fn(size, size, |row, column| {
            let noise = if row == column { variances.noise } else { 0.0 };
            roots[row] * self.gram[(row, column)] * roots[column] + noise
        });
        let factor = BlockedCholesky::new(matrix).ok()?;
        let mut scaled = self.moments.clone();
        for (mut row, root) in scaled.row_iter_mut().zip(&roots) {
            row *= *root;
        }
        let mut mean = scaled.clone();
        factor.solve(&mut mean);
        let explained = scaled.dot(&mean);
        let log_determinant =
            factor.log_determinant() + (self.rows as f64 - size as f64) * libm::log(variances.noise);
        let log_likelihood = -0.5
            * ((self.power - explained) / variances.noise
                + outputs * (log_determinant + self.rows as f64 * libm::log(core::f64::consts::TAU)));
        Some(Posterior { mean, log_likelihood, factor })
    }

    /// Raises the marginal likelihood step by step while `go_on`; gives what is reached, per row and output.
    pub(crate) fn maximise(&mut self, steps: usize, tied: Tied, go_on: &mut dyn FnMut() -> bool) -> f64 {
        let per = (self.rows * self.moments.ncols()) as f64;
        let Some(mut posterior) = self.posterior(&self.variances) else { return f64::NEG_INFINITY };
        for _step in 0..steps {
            if !go_on() {
                break;
            }
            let ratios = self.ratios(&posterior, tied);
            // the full step first, then the one that cannot fall
            let next = [1.0, 0.5].into_iter().find_map(|power| {
                let variances = self.stepped(&ratios, power);
                let next = self.posterior(&variances)?;
                (next.log_likelihood > posterior.log_likelihood).then_some((variances, next))
            });
            let Some((variances, next)) = next else { break };
            let risen = (next.log_likelihood - posterior.log_likelihood) / per;
            (self.variances, posterior) = (variances, next);
            if risen < SETTLED {
                break;
            }
        }
        posterior.log_likelihood / per
    }

    /// The two terms of the gradient by the logarithm of each variance, the noise last, which is half of their difference:
    /// `|beta_j|^2` and the degrees of freedom of kernel j, and for the noise the squared residuals and the degrees of freedom
    /// that are left.
    fn gradient_terms(&self, posterior: &Posterior) -> Vec<[f64; 2]> {
        let outputs = self.moments.ncols() as f64;
        let noise = self.variances.noise;
        let inverse = posterior.factor.inverse();
        let mut terms: Vec<[f64; 2]> = self
            .ranges()
            .map(|range| {
                let squares = posterior.mean.rows(range.start, range.len()).norm_squared();
                let trace: f64 = range.clone().map(|at| inverse[(at, at)]).sum();
                [squares, (outputs * (range.len() as f64 - noise * trace)).max(0.0)]
            })
            .collect();
        // |y - Phi D^1/2 beta|^2 = y'y - beta' (b + s^2 beta) with b = D^1/2 Phi' y
        let roots = self.roots(&self.variances);
        let explained: f64 = posterior
            .mean
            .row_iter()
            .zip(self.moments.row_iter())
            .zip(&roots)
            .map(|((mean, moment), root)| mean.dot(&moment) * root)
            .sum();
        let residuals = self.power - explained - noise * posterior.mean.norm_squared();
        let used: f64 = terms.iter().map(|[_, degrees]| degrees).sum();
        terms.push([residuals / noise, outputs * self.rows as f64 - used]);
        terms
    }

    /// What each variance (the noise last) is to be multiplied by: the ratio of its two terms.
    fn ratios(&self, posterior: &Posterior, tied: Tied) -> Vec<f64> {
        let ratio = |[pull, resistance]: [f64; 2]| if resistance > 0.0 { pull / resistance } else { 0.0 };
        let mut terms = self.gradient_terms(posterior);
        let noise = terms.pop().unwrap_or([1.0; 2]);
        if tied == Tied::Entries {
            let entries = &mut terms[..self.entries];
            let sum = entries.iter().fold([0.0; 2], |sum, term| [sum[0] + term[0], sum[1] + term[1]]);
            entries.fill(sum);
        }
        // rounding may leave no residuals at all
        terms.into_iter().map(ratio).chain([ratio([noise[0], noise[1].max(1.0)]).max(1e-3)]).collect()
    }

    fn stepped(&self, ratios: &[f64], power: f64) -> Variances {
        let stepped = |variance: f64, ratio: f64| variance * libm::pow(ratio, power);
        let mut kernels: Vec<f64> = self
            .variances
            .kernels
            .iter()
            .zip(ratios)
            .map(|(variance, ratio)| stepped(*variance, *ratio))
            .collect();
        let strongest = kernels.iter().copied().fold(0.0, f64::max);
        for kernel in &mut kernels {
            if *kernel < NEGLIGIBLE * strongest {
                *kernel = 0.0;
            }
        }
        let noise = stepped(self.variances.noise, ratios.last().copied().unwrap_or(1.0));
        Variances { kernels, noise: noise.max(1e-9) }
    }
}

/// All features side by side.
fn features(bases: &[Basis], joint: Option<&JointBasis>, inputs: &DMatrix<f64>) -> DMatrix<f64> {
    let size = bases.iter().map(Basis::size).chain(joint.map(JointBasis::size)).sum();
    let mut features = DMatrix::zeros(inputs.nrows(), size);
    let mut first = 0;
    for (basis, column) in bases.iter().zip(inputs.column_iter()) {
        features.columns_mut(first, basis.size()).copy_from(&basis.features(column.as_slice()));
        first += basis.size();
    }
    if let Some(joint) = joint {
        features.columns_mut(first, joint.size()).copy_from(&joint.features(inputs));
    }
    features
}

/// The standard deviation of each column; 1 where it never moves.
pub(crate) fn deviations(states: &DMatrix<f64>) -> Vec<f64> {
    windows::deviations(states)
        .into_iter()
        .map(|deviation| if deviation > 0.0 { deviation } else { 1.0 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_features::bases;

    fn number(at: usize) -> f64 {
        libm::sin((at * at * 7 + 3 * at) as f64 * 0.37)
    }

    fn example() -> (Vec<Basis>, DMatrix<f64>, DMatrix<f64>) {
        let inputs = DMatrix::from_fn(60, 3, |row, column| 2.0 * number(row * 3 + column));
        let states = DMatrix::from_fn(60, 2, |row, column| {
            libm::sin(2.0 * inputs[(row, column)]) + 0.3 * number(row * 2 + column + 900)
        });
        (bases(&inputs, &[1.2, 1.2, 1.2], 0.7, 20), inputs, states)
    }

    fn evidence(variances: &[f64], noise: f64) -> Evidence {
        let (bases, inputs, states) = example();
        let joint = JointBasis::new(&inputs, vec![0.4; 3], 15).unwrap();
        let mut evidence = Evidence::new(&bases, Some(&joint), &inputs, &states);
        evidence.variances = Variances { kernels: variances.to_vec(), noise };
        evidence
    }

    #[test]
    fn the_marginal_likelihood_is_the_density_of_the_rows() {
        let variances = [0.3, 0.05, 0.7, 0.2];
        let evidence = evidence(&variances, 0.4);
        let (bases, inputs, states) = example();
        let joint = JointBasis::new(&inputs, vec![0.4; 3], 15).unwrap();
        let phi = features(&bases, Some(&joint), &inputs);
        let roots = DMatrix::from_diagonal(&nalgebra::DVector::from_vec(evidence.roots(&evidence.variances)));
        let weighted = &phi * roots;
        let covariance = &weighted * weighted.transpose() + DMatrix::identity(60, 60) * 0.4;
        let factor = covariance.cholesky().unwrap();
        let mut expected = 0.0;
        for column in 0..2 {
            let y = states
                .column(column)
                .map(|value| (value - evidence.output_means[column]) / evidence.output_deviations[column]);
            expected -= 0.5
                * (y.dot(&factor.solve(&y))
                    + factor.ln_determinant()
                    + 60.0 * libm::log(core::f64::consts::TAU));
        }
        let found = evidence.posterior(&evidence.variances).unwrap().log_likelihood;
        assert!((found - expected).abs() < 1e-7 * expected.abs(), "{found} {expected}");
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut variances = vec![0.3, 0.05, 0.7, 0.2];
        variances.push(0.4);
        let at = |variances: &[f64]| {
            let evidence = evidence(&variances[..4], variances[4]);
            evidence.posterior(&evidence.variances).unwrap().log_likelihood
        };
        let start = evidence(&variances[..4], variances[4]);
        let terms = start.gradient_terms(&start.posterior(&start.variances).unwrap());
        for (index, [pull, resistance]) in terms.into_iter().enumerate() {
            let step = 1e-5;
            let moved = |sign: f64| {
                let mut moved = variances.clone();
                moved[index] *= libm::exp(sign * step);
                at(&moved)
            };
            let expected = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            let found = 0.5 * (pull - resistance);
            assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{index}: {found} {expected}");
        }
    }

    #[test]
    fn steps_never_lower_it_and_an_entry_that_says_nothing_gets_little() {
        let (bases, inputs, states) = example();
        let mut evidence = Evidence::new(&bases, None, &inputs, &states);
        let mut last = f64::NEG_INFINITY;
        for _step in 0..30 {
            let reached = evidence.maximise(1, Tied::Nothing, &mut || true);
            assert!(reached >= last);
            last = reached;
        }
        let [first, second, idle] = evidence.variances.kernels[..] else { panic!() };
        assert!(idle < 0.2 * first.min(second), "{:?}", evidence.variances);
        let free = last;
        let mut tied = Evidence::new(&bases, None, &inputs, &states);
        assert!(tied.maximise(40, Tied::Entries, &mut || true) < free);
        let kernels = &tied.variances.kernels;
        assert!(kernels.iter().all(|variance| (variance - kernels[0]).abs() < 1e-12));
    }
}
