//! `dkf-mk`'s f: a Gaussian process whose kernel is a weighted mean of one-dimensional Gaussians, one an entry of the window
//! (Brandman, Burkhart et al., Neural Computation 30, 2018, eq. 5). No channel can move f by more than its own bounded
//! function, so that one that goes wrong does limited damage. When to use it: channels that may fail, and features whose
//! effects add up, as firing rates' do. When not: effects of combinations of channels (`dkf-gp`).
//!
//! Such a process is a sum of independent processes of one variable each. Every one is represented by a few inducing points
//! on its axis, chosen by pivoted Cholesky factorisation (Fine and Scheinberg, Journal of Machine Learning Research 2, 2001)
//! until what they miss of the kernel is below 1e-5: with p points in all, a fit costs rows * p^2 once and p^3 for each set of
//! hyperparameters, with any number of rows.
//!
//! *Hyperparameters* maximise the marginal likelihood. The length scale, in standard deviations of each entry, is one for
//! all and searched on a grid; the variance of each kernel (`weights=learned`; one for all with `equal`) and of the noise
//! take the steps that its gradient gives (MacKay, Neural Computation 4, 1992), or the square roots of them, which never
//! lower it (Zhou, Hu, Zhou and Lange, Journal of Computational and Graphical Statistics 28, 2019), where the full steps
//! would. Channels that say nothing get no weight.
//!
//! `sparsify=octants` then replaces the rows by their means over sectors of the intent's direction (sec. 3.2 of the paper):
//! eight of 45 degrees, the first around 0, for two components, else the orthants, by signs. Rows without a direction are
//! left out. It takes most of what single channels can do, and some accuracy.

use nalgebra::{DMatrix, DVector};

use super::learner::{Examples, Learner};
use super::windows::column_means;
use super::{FitError, FitProgress, FitReport, FitSettings};
use crate::blocked_cholesky::BlockedCholesky;
use crate::matrix_product::{plain, product, transposed};
use crate::{DecoderSpec, KernelWeights, Regressor, Sparsification};

/// Length scales that are tried, in standard deviations of an entry.
const LENGTHS: [f64; 8] = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6];
/// What inducing points may miss of a kernel whose variance is 1.
const MISSED: f64 = 1e-5;
/// Values of an entry that may become inducing points: its quantiles.
const CANDIDATES: usize = 128;
/// Default of `inducing`: inducing points of all kernels together.
const INDUCING: usize = 1500;
/// Fewest of one kernel.
const FEWEST: usize = 3;
/// Default of `steps`: steps of the variances.
const STEPS: usize = 40;
/// Steps of the variances at each length scale that is tried.
const TRIAL_STEPS: usize = 8;
/// Most rows that hyperparameters are learnt from; of more, every k-th.
const ROWS: usize = 6000;
/// Steps end where the marginal likelihood rises by less than this, per row and component.
const SETTLED: f64 = 1e-6;
/// A kernel below this part of the strongest is dropped.
const NEGLIGIBLE: f64 = 1e-6;

/// `dkf-mk`'s f, its hyperparameters fixed.
#[derive(Debug)]
struct MultipleKernel {
    bases: Vec<Basis>,
    variances: Variances,
    sparsify: Sparsification,
}

/// The learner of `dkf-mk`.
pub(crate) fn learner(
    spec: &DecoderSpec,
    examples: &Examples<'_>,
    rows: &[usize],
    settings: &FitSettings,
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Box<dyn Learner>, FitError> {
    let thinned: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(ROWS).max(1)).collect();
    let inputs = examples.inputs(&thinned);
    let states = examples.states(&thinned);
    let most = spec.options.inducing.unwrap_or(INDUCING) / inputs.ncols();
    let deviations: Vec<f64> = inputs.column_iter().map(|column| column.variance().sqrt()).collect();
    if deviations.iter().all(|deviation| *deviation == 0.0) {
        return Err(FitError::NoBandwidth);
    }
    let mut best: Option<(f64, f64, Vec<Basis>, Evidence)> = None;
    for (at, length) in LENGTHS.into_iter().enumerate() {
        if best.is_some() && settings.budget.is_some_and(|budget| budget.left() <= 0.0) {
            report.budget_used_up = true;
            break;
        }
        progress(FitProgress { stage: "length scale", done: 0.3 * at as f64 / LENGTHS.len() as f64 });
        let bases = bases(&inputs, &deviations, length, most.max(FEWEST));
        let mut evidence = Evidence::new(&bases, &inputs, &states);
        let reached = evidence.maximise(TRIAL_STEPS, true, &mut || true);
        report.tried(format!("length-scale={length}"), -reached);
        if best.as_ref().is_none_or(|(least, ..)| reached > *least) {
            best = Some((reached, length, bases, evidence));
        } else {
            // the marginal likelihood has one maximum over length scales, but for noise
            break;
        }
    }
    let Some((mut reached, length, bases, mut evidence)) = best else { return Err(FitError::NoBandwidth) };
    let steps = spec.options.steps.unwrap_or(STEPS);
    let equal = spec.options.weights.unwrap_or_default() == KernelWeights::Equal;
    let mut step = 0;
    reached = reached.max(evidence.maximise(steps, equal, &mut || {
        step += 1;
        progress(FitProgress { stage: "kernel weights", done: 0.3 + 0.3 * step as f64 / (steps + 1) as f64 });
        let left = settings.budget.is_none_or(|budget| budget.left() > 0.0);
        report.budget_used_up |= !left;
        left
    }));
    report.uses("length-scale", length);
    report.uses("inducing", bases.iter().map(Basis::size).sum::<usize>());
    report.uses("kernels", evidence.variances.kernels.iter().filter(|variance| **variance > 0.0).count());
    report.uses("noise-variance", evidence.variances.noise);
    report.uses("log-marginal-likelihood", reached);
    Ok(Box::new(MultipleKernel {
        bases,
        variances: evidence.variances,
        sparsify: spec.options.sparsify.unwrap_or_default(),
    }))
}

impl Learner for MultipleKernel {
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        let (inputs, states) = (examples.inputs(rows), examples.states(rows));
        match self.sparsify {
            Sparsification::None => Ok(self.over_inducing_points(&inputs, &states)),
            Sparsification::Octants => self.over_sectors(&inputs, &states),
        }
    }
}

impl MultipleKernel {
    /// The posterior mean given all rows.
    fn over_inducing_points(&self, inputs: &DMatrix<f64>, states: &DMatrix<f64>) -> Regressor {
        let mut evidence = Evidence::new(&self.bases, inputs, states);
        evidence.variances = self.variances.clone();
        let solved = evidence.solve();
        let most = self.bases.iter().map(Basis::size).max().unwrap_or_default();
        let d = states.ncols();
        let mut points = DMatrix::zeros(most, self.bases.len());
        let mut coefficients = DMatrix::zeros(most * self.bases.len(), d);
        let mut first = 0;
        for (entry, (basis, variance)) in self.bases.iter().zip(&self.variances.kernels).enumerate() {
            let size = basis.size();
            // an entry with fewer points than others repeats its first, without weight
            points.column_mut(entry).fill(basis.points.first().copied().unwrap_or_default());
            for (row, point) in basis.points.iter().enumerate() {
                points[(row, entry)] = *point;
            }
            if *variance > 0.0 && size > 0 {
                let own = solved.rows(first, size) / variance.sqrt();
                if let Some(mut own) = basis.lower.tr_solve_lower_triangular(&own) {
                    for (mut column, deviation) in own.column_iter_mut().zip(&evidence.output_deviations) {
                        column *= *deviation;
                    }
                    coefficients.view_mut((entry * most, 0), (size, d)).copy_from(&own);
                }
            }
            first += size;
        }
        Regressor::MultipleKernel {
            points,
            coefficients,
            scales: self.bases.iter().map(|basis| basis.scale).collect(),
            weights: self.variances.kernels.clone(),
            offset: DVector::from_vec(evidence.output_means),
        }
    }

    /// The posterior mean given the means over sectors, as if they were single observations.
    fn over_sectors(&self, inputs: &DMatrix<f64>, states: &DMatrix<f64>) -> Result<Regressor, FitError> {
        let (points, values, counts) = sectors(inputs, states);
        if points.nrows() < 2 {
            return Err(FitError::TooFewRows {
                what: "directions of the intent",
                found: points.nrows(),
                needed: 2,
            });
        }
        let offset = column_means(states);
        let deviation = deviations(states);
        let scales: Vec<f64> = self.bases.iter().map(|basis| basis.scale).collect();
        let mut kernel = DMatrix::from_fn(points.nrows(), points.nrows(), |left, right| {
            (0..scales.len())
                .map(|entry| {
                    let distance = (points[(left, entry)] - points[(right, entry)]) * scales[entry];
                    self.variances.kernels[entry] * gaussian(distance)
                })
                .sum()
        });
        for (at, count) in counts.iter().enumerate() {
            kernel[(at, at)] += self.variances.noise / *count as f64;
        }
        let mut coefficients = DMatrix::from_fn(values.nrows(), values.ncols(), |row, column| {
            (values[(row, column)] - offset[column]) / deviation[column]
        });
        let factor = BlockedCholesky::new(kernel).map_err(|_column| FitError::NoBandwidth)?;
        factor.solve(&mut coefficients);
        for (mut column, deviation) in coefficients.column_iter_mut().zip(&deviation) {
            column *= *deviation;
        }
        Ok(Regressor::MultipleKernel {
            points,
            coefficients,
            scales,
            weights: self.variances.kernels.clone(),
            offset: DVector::from_vec(offset),
        })
    }
}

/// The variances of the kernels and of the noise, of outputs whose variance is 1.
#[derive(Clone, Debug, PartialEq)]
struct Variances {
    kernels: Vec<f64>,
    noise: f64,
}

/// The inducing points of one entry's kernel, in the entry's units.
#[derive(Clone, Debug)]
struct Basis {
    points: Vec<f64>,
    /// One over the length scale.
    scale: f64,
    /// L with L L' the kernel between the points.
    lower: DMatrix<f64>,
}

impl Basis {
    fn size(&self) -> usize {
        self.points.len()
    }

    /// L^-1 k(points, x) of every value, values x points: products of two rows are the kernel's approximation.
    fn features(&self, values: &[f64]) -> DMatrix<f64> {
        let kernel = DMatrix::from_fn(self.size(), values.len(), |point, row| {
            gaussian((values[row] - self.points[point]) * self.scale)
        });
        // the pivots are above `MISSED`, so that there is a solution
        self.lower.solve_lower_triangular(&kernel).unwrap_or(kernel).transpose()
    }
}

fn gaussian(distance: f64) -> f64 {
    libm::exp(-0.5 * distance * distance)
}

fn bases(inputs: &DMatrix<f64>, deviations: &[f64], length: f64, most: usize) -> Vec<Basis> {
    inputs
        .column_iter()
        .zip(deviations)
        .map(|(column, deviation)| {
            if *deviation == 0.0 {
                return Basis { points: Vec::new(), scale: 1.0, lower: DMatrix::zeros(0, 0) };
            }
            let mut sorted: Vec<f64> = column.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            sorted.dedup();
            let last = sorted.len() - 1;
            let count = CANDIDATES.min(sorted.len());
            let candidates: Vec<f64> = (0..count).map(|at| sorted[at * last / (count - 1).max(1)]).collect();
            inducing_points(candidates, 1.0 / (length * deviation), most)
        })
        .collect()
}

/// Takes candidates one by one, each the one whose kernel the others miss most.
fn inducing_points(candidates: Vec<f64>, scale: f64, most: usize) -> Basis {
    let count = candidates.len();
    let mut missed = vec![1.0; count];
    let mut chosen = Vec::new();
    let mut columns: Vec<Vec<f64>> = Vec::new();
    while chosen.len() < most.min(count) {
        let (mut pivot, mut largest) = (0, 0.0);
        for (at, value) in missed.iter().enumerate() {
            if *value > largest {
                (pivot, largest) = (at, *value);
            }
        }
        if largest < MISSED {
            break;
        }
        let root = largest.sqrt();
        let column: Vec<f64> = (0..count)
            .map(|at| {
                let known: f64 = columns.iter().map(|column| column[at] * column[pivot]).sum();
                (gaussian((candidates[at] - candidates[pivot]) * scale) - known) / root
            })
            .collect();
        for (missed, value) in missed.iter_mut().zip(&column) {
            *missed -= value * value;
        }
        missed[pivot] = 0.0;
        chosen.push(pivot);
        columns.push(column);
    }
    let lower = DMatrix::from_fn(chosen.len(), chosen.len(), |row, column| {
        if column <= row { columns[column][chosen[row]] } else { 0.0 }
    });
    Basis { points: chosen.into_iter().map(|at| candidates[at]).collect(), scale, lower }
}

/// The marginal likelihood of the rows as a function of the variances. With features Phi of all kernels side by side,
/// D the variances and B = s^2 I + D^1/2 Phi' Phi D^1/2 for noise s^2, the posterior mean of the unit-variance weights is
/// B^-1 D^1/2 Phi' y.
struct Evidence {
    rows: usize,
    variances: Variances,
    /// First feature of each kernel, and their number in all.
    firsts: Vec<usize>,
    /// Phi' Phi.
    gram: DMatrix<f64>,
    /// Phi' y of the standardised outputs.
    moments: DMatrix<f64>,
    /// y' y, summed over the outputs.
    power: f64,
    output_means: Vec<f64>,
    output_deviations: Vec<f64>,
}

/// What the present variances give.
struct Posterior {
    mean: DMatrix<f64>,
    log_likelihood: f64,
    factor: BlockedCholesky,
}

impl Evidence {
    fn new(bases: &[Basis], inputs: &DMatrix<f64>, states: &DMatrix<f64>) -> Self {
        let mut firsts = vec![0];
        for basis in bases {
            firsts.push(firsts.last().copied().unwrap_or_default() + basis.size());
        }
        let size = firsts.last().copied().unwrap_or_default();
        let mut features = DMatrix::zeros(inputs.nrows(), size);
        for ((basis, column), first) in bases.iter().zip(inputs.column_iter()).zip(&firsts) {
            features.columns_mut(*first, basis.size()).copy_from(&basis.features(column.as_slice()));
        }
        let (output_means, output_deviations) = (column_means(states), deviations(states));
        let outputs = DMatrix::from_fn(states.nrows(), states.ncols(), |row, column| {
            (states[(row, column)] - output_means[column]) / output_deviations[column]
        });
        // half of the variance is signal, to begin with
        let kernels: Vec<f64> =
            bases.iter().map(|basis| if basis.size() > 0 { 0.5 / bases.len() as f64 } else { 0.0 }).collect();
        Self {
            rows: inputs.nrows(),
            variances: Variances { kernels, noise: 0.5 },
            firsts,
            gram: product(transposed(&features), plain(&features)),
            moments: product(transposed(&features), plain(&outputs)),
            power: outputs.norm_squared(),
            output_means,
            output_deviations,
        }
    }

    /// D^1/2, one a feature.
    fn roots(&self, variances: &Variances) -> Vec<f64> {
        let mut roots = Vec::with_capacity(self.gram.nrows());
        for (range, variance) in self.firsts.windows(2).zip(&variances.kernels) {
            roots.resize(roots.len() + range[1] - range[0], variance.sqrt());
        }
        roots
    }

    /// The posterior mean of the weights.
    fn solve(&self) -> DMatrix<f64> {
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
    fn maximise(&mut self, steps: usize, equal: bool, go_on: &mut dyn FnMut() -> bool) -> f64 {
        let per = (self.rows * self.moments.ncols()) as f64;
        let Some(mut posterior) = self.posterior(&self.variances) else { return f64::NEG_INFINITY };
        for _step in 0..steps {
            if !go_on() {
                break;
            }
            let ratios = self.ratios(&posterior, equal);
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

    /// What the gradient of the marginal likelihood asks each variance (the noise last) to be multiplied by: the ratio of
    /// its two terms, `|beta_j|^2` over the degrees of freedom of kernel j, and for the noise the squared residuals over
    /// those that are left.
    fn ratios(&self, posterior: &Posterior, equal: bool) -> Vec<f64> {
        let outputs = self.moments.ncols() as f64;
        let noise = self.variances.noise;
        let inverse = posterior.factor.inverse();
        let mut ratios = Vec::with_capacity(self.firsts.len());
        let (mut all_squares, mut all_degrees) = (0.0, 0.0);
        for range in self.firsts.windows(2) {
            let size = range[1] - range[0];
            let squares = posterior.mean.rows(range[0], size).norm_squared();
            let trace: f64 = (range[0]..range[1]).map(|at| inverse[(at, at)]).sum();
            let degrees = (outputs * (size as f64 - noise * trace)).max(0.0);
            all_squares += squares;
            all_degrees += degrees;
            ratios.push(if degrees > 0.0 { squares / degrees } else { 0.0 });
        }
        if equal {
            ratios.fill(if all_degrees > 0.0 { all_squares / all_degrees } else { 0.0 });
        }
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
        let left = (outputs * self.rows as f64 - all_degrees).max(1.0);
        ratios.push((residuals / left / noise).max(1e-3));
        ratios
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

/// The standard deviation of each column; 1 where it never moves.
fn deviations(states: &DMatrix<f64>) -> Vec<f64> {
    states
        .column_iter()
        .map(|column| {
            let deviation = column.variance().sqrt();
            if deviation > 0.0 { deviation } else { 1.0 }
        })
        .collect()
}

/// Means of windows and intents over sectors of the intent's direction, and how many rows are in each.
fn sectors(inputs: &DMatrix<f64>, states: &DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>, Vec<usize>) {
    let d = states.ncols();
    let sector_of = |row: usize| -> Option<usize> {
        let state = states.row(row);
        if state.iter().all(|value| *value == 0.0) {
            return None;
        }
        Some(if d == 2 {
            let eighth = libm::atan2(state[1], state[0]) / core::f64::consts::FRAC_PI_4;
            (libm::round(eighth) as i64).rem_euclid(8) as usize
        } else {
            state.iter().enumerate().map(|(bit, value)| usize::from(*value > 0.0) << bit).sum()
        })
    };
    let members: Vec<Option<usize>> = (0..states.nrows()).map(sector_of).collect();
    let mut groups: Vec<usize> = members.iter().copied().flatten().collect();
    groups.sort_unstable();
    groups.dedup();
    let counts: Vec<usize> =
        groups.iter().map(|group| members.iter().filter(|member| **member == Some(*group)).count()).collect();
    let mean = |matrix: &DMatrix<f64>| {
        DMatrix::from_fn(groups.len(), matrix.ncols(), |at, column| {
            let sum: f64 = members
                .iter()
                .enumerate()
                .filter(|(_, member)| **member == Some(groups[at]))
                .map(|(row, _)| matrix[(row, column)])
                .sum();
            sum / counts[at] as f64
        })
    };
    (mean(inputs), mean(states), counts)
}
