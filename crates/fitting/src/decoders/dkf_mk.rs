//! `dkf-mk`'s f: a Gaussian process whose kernel is a weighted mean of one-dimensional Gaussians, one an entry of the window
//! (Brandman, Burkhart et al., Neural Computation 30, 2018, eq. 5). No channel can move f by more than its own bounded
//! function, so that one that goes wrong does limited damage. Where combinations of channels say more than their sum, one
//! more kernel joins, a Gaussian over the whole window: bounded as well, and zero where a channel is far from all that
//! training showed, which leaves the sum. When to use it: channels that may fail, and features whose effects add up, as
//! firing rates' do.
//!
//! Such a process is a sum of independent processes. Each is represented by a few [inducing points](crate::kernel_features):
//! with p in all, a fit costs rows * p^2 once and p^3 for each set of hyperparameters, with any number of rows.
//!
//! *Hyperparameters* maximise the [marginal likelihood](crate::kernel_variances). The length scales, in standard deviations
//! of each entry, are one for the one-dimensional kernels and one for the joint one, and searched on a grid; the variances of
//! kernels and noise take the steps that the gradient gives, or their square roots, which never lower it, where the full steps
//! would. `weights=learned`: each kernel has its own variance, and channels that say nothing get none. `weights=equal`: the
//! published kernel, the same weight for each entry, and no joint kernel, which otherwise is there where the marginal likelihood
//! asks for it.
//!
//! `sparsify=octants` replaces the rows by their means over sectors of the intent's direction (sec. 3.2 of the paper):
//! eight of 45 degrees, the first around 0, for two components, else the orthants, by signs. Rows without a direction are
//! left out, and there is no joint kernel. It takes most of what single channels can do, and some accuracy.

use nalgebra::{DMatrix, DVector};

use crate::blocked_cholesky::BlockedCholesky;
use crate::decoders::kind::{DecoderFit, Lesson};
use crate::discriminative::discriminative;
use crate::kernel_features::{Basis, JointBasis, bases, gaussian};
use crate::kernel_variances::{Evidence, Tied, Variances, deviations};
use crate::learner::{Examples, Learner};
use crate::windows::{self, column_means};
use crate::{FitError, FitProgress, FitReport, FitSettings};
use kalmind_filter::{
    Choice, DecoderSpec, JointKernel, KernelWeights, MultipleKernelRegressor, Regressor, Sparsification,
};

/// See the module.
pub(super) const FIT: DecoderFit = discriminative(learner, Choice::Auto);

/// Length scales that are tried, in standard deviations of an entry.
const LENGTHS: [f64; 8] = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6];
/// Length scales of the joint kernel that are tried, in standard deviations times the root of the number of entries.
const JOINT_LENGTHS: [f64; 5] = [0.35, 0.5, 0.7, 1.0, 1.4];
/// Default of `inducing`: inducing points of all kernels together.
const INDUCING: usize = 1500;
/// Fewest of one kernel.
const FEWEST: usize = 3;
/// Most of the joint kernel.
const JOINT: usize = 800;
/// How much the joint kernel has to add to the marginal likelihood, per row and component: it is what costs time.
const WORTH_ITS_COST: f64 = 2e-3;
/// How much at least in all, which two more hyperparameters might do by chance.
const BY_CHANCE: f64 = 10.0;
/// Default of `steps`: steps of the variances.
const STEPS: usize = 40;
/// Steps of the variances at each length scale that is tried.
const TRIAL_STEPS: usize = 8;
/// Most rows that hyperparameters are learnt from; of more, every k-th.
const ROWS: usize = 5000;

/// `dkf-mk`'s f, its hyperparameters fixed.
#[derive(Debug)]
struct MultipleKernel {
    bases: Vec<Basis>,
    joint: Option<JointBasis>,
    variances: Variances,
    sparsify: Sparsification,
}

/// The learner of `dkf-mk`.
fn learner(lesson: Lesson<'_>) -> Result<Box<dyn Learner>, FitError> {
    let Lesson { spec, examples, rows, settings, report, progress } = lesson;
    let thinned: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(ROWS).max(1)).collect();
    let (inputs, states) = (examples.inputs(&thinned), examples.states(&thinned));
    let sparsify = spec.options.sparsify.unwrap_or_default();
    let mut search = Search { spec, inputs: &inputs, states: &states, settings, report, progress };
    let (reached, bases, evidence) = search.entries()?;
    let alone = spec.options.weights == Some(KernelWeights::Equal) || sparsify == Sparsification::Octants;
    let joined = if alone { None } else { search.joint(&bases, &evidence, reached) };
    let (joint, mut evidence) = match joined {
        Some((joint, evidence)) => (Some(joint), evidence),
        None => (None, evidence),
    };
    search.variances(&mut evidence);
    Ok(Box::new(MultipleKernel { bases, joint, variances: evidence.variances, sparsify }))
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

/// The search for hyperparameters.
struct Search<'a> {
    spec: &'a DecoderSpec,
    inputs: &'a DMatrix<f64>,
    states: &'a DMatrix<f64>,
    settings: &'a FitSettings,
    report: &'a mut FitReport,
    progress: &'a mut dyn FnMut(FitProgress),
}

impl Search<'_> {
    /// Whether there is time left.
    fn goes_on(&mut self) -> bool {
        let left = self.settings.budget.is_none_or(|budget| budget.left() > 0.0);
        self.report.budget_used_up |= !left;
        left
    }

    fn says(&mut self, stage: &'static str, done: f64) {
        (self.progress)(FitProgress::new(stage, done));
    }

    /// The length scale of the one-dimensional kernels, all of one variance: the marginal likelihood, and what it is of.
    fn entries(&mut self) -> Result<(f64, Vec<Basis>, Evidence), FitError> {
        let most = (self.spec.options.inducing.unwrap_or(INDUCING) / self.inputs.ncols()).max(FEWEST);
        let deviations = windows::deviations(self.inputs);
        if deviations.iter().all(|deviation| *deviation == 0.0) {
            return Err(FitError::NoBandwidth);
        }
        let mut best: Option<(f64, f64, Vec<Basis>, Evidence)> = None;
        for (at, length) in LENGTHS.into_iter().enumerate() {
            if best.is_some() && !self.goes_on() {
                break;
            }
            self.says("length scale", 0.2 * at as f64 / LENGTHS.len() as f64);
            let bases = bases(self.inputs, &deviations, length, most);
            let mut evidence = Evidence::new(&bases, None, self.inputs, self.states);
            let reached = evidence.maximise(TRIAL_STEPS, Tied::Entries, &mut || true);
            if best.as_ref().is_none_or(|(most, ..)| reached > *most) {
                best = Some((reached, length, bases, evidence));
            } else {
                // it has one maximum over length scales, but for noise
                break;
            }
        }
        let Some((_reached, length, bases, mut evidence)) = best else { return Err(FitError::NoBandwidth) };
        self.report.uses("length-scale", length);
        // as many steps as it will have had with a joint kernel
        let reached = evidence.maximise(TRIAL_STEPS, Tied::Entries, &mut || true);
        Ok((reached, bases, evidence))
    }

    /// The joint kernel, where it is worth its cost.
    fn joint(&mut self, bases: &[Basis], evidence: &Evidence, alone: f64) -> Option<(JointBasis, Evidence)> {
        let entries: usize = bases.iter().map(Basis::size).sum();
        let most = self.spec.options.inducing.unwrap_or(INDUCING).saturating_sub(entries).min(JOINT);
        if most == 0 {
            return None;
        }
        let moving = windows::deviations(self.inputs);
        let count = moving.iter().filter(|deviation| **deviation > 0.0).count() as f64;
        let worth = WORTH_ITS_COST.max(BY_CHANCE / self.states.len() as f64);
        let mut best: Option<(f64, f64, JointBasis, Evidence)> = None;
        for (at, length) in JOINT_LENGTHS.into_iter().enumerate() {
            if !self.goes_on() {
                break;
            }
            self.says("joint length scale", 0.2 + 0.2 * at as f64 / JOINT_LENGTHS.len() as f64);
            let length = length * count.sqrt();
            let scales = moving
                .iter()
                .map(|deviation| if *deviation > 0.0 { 1.0 / (length * deviation) } else { 0.0 })
                .collect();
            let Some(joint) = JointBasis::new(self.inputs, scales, most) else { continue };
            let mut joined = Evidence::new(bases, Some(&joint), self.inputs, self.states);
            joined.start_from(evidence);
            let reached = joined.maximise(TRIAL_STEPS, Tied::Entries, &mut || true);
            let most = best.as_ref().map_or(alone + worth, |(most, ..)| *most);
            if reached > most {
                best = Some((reached, length, joint, joined));
            } else if best.is_some() {
                break;
            }
        }
        best.map(|(_, length, joint, evidence)| {
            self.report.uses("joint-length-scale", length);
            (joint, evidence)
        })
    }

    /// The variances.
    fn variances(&mut self, evidence: &mut Evidence) {
        let tied = match self.spec.options.weights.unwrap_or_default() {
            KernelWeights::Equal => Tied::Entries,
            KernelWeights::Learned => Tied::Nothing,
        };
        let steps = self.spec.options.steps.unwrap_or(STEPS);
        let mut step = 0;
        let settings = self.settings;
        let (progress, report) = (&mut *self.progress, &mut *self.report);
        let reached = evidence.maximise(steps, tied, &mut || {
            step += 1;
            progress(FitProgress::new("variances", 0.5 + 0.1 * f64::from(step) / (steps + 1) as f64));
            let left = settings.budget.is_none_or(|budget| budget.left() > 0.0);
            report.budget_used_up |= !left;
            left
        });
        report.uses("inducing", evidence.ranges().map(|range| range.len()).sum::<usize>());
        report.uses("noise-variance", evidence.variances.noise);
        report.uses("log-marginal-likelihood", reached);
    }
}

impl MultipleKernel {
    /// The posterior mean given all rows.
    fn over_inducing_points(&self, inputs: &DMatrix<f64>, states: &DMatrix<f64>) -> Regressor {
        let mut evidence = Evidence::new(&self.bases, self.joint.as_ref(), inputs, states);
        evidence.variances = self.variances.clone();
        let solved = evidence.solve();
        let most = self.bases.iter().map(Basis::size).max().unwrap_or_default();
        let d = states.ncols();
        let mut points = DMatrix::zeros(most, self.bases.len());
        let mut coefficients = DMatrix::zeros(most * self.bases.len(), d);
        let of_outputs = |coefficients: &mut DMatrix<f64>| {
            for (mut column, deviation) in coefficients.column_iter_mut().zip(&evidence.output_deviations) {
                column *= *deviation;
            }
        };
        for (entry, ((basis, variance), range)) in
            self.bases.iter().zip(&self.variances.kernels).zip(evidence.ranges()).enumerate()
        {
            let size = basis.size();
            // an entry with fewer points than others repeats its first, without weight
            points.column_mut(entry).fill(basis.points.first().copied().unwrap_or_default());
            for (row, point) in basis.points.iter().enumerate() {
                points[(row, entry)] = *point;
            }
            if *variance > 0.0 && size > 0 {
                let own = solved.rows(range.start, size) / variance.sqrt();
                if let Some(mut own) = basis.lower.tr_solve_lower_triangular(&own) {
                    of_outputs(&mut own);
                    coefficients.view_mut((entry * most, 0), (size, d)).copy_from(&own);
                }
            }
        }
        let joint = self.joint.as_ref().zip(self.variances.kernels.last()).zip(evidence.ranges().last());
        let joint = joint.filter(|((_, variance), _)| **variance > 0.0).map(|((joint, variance), range)| {
            let weights = solved.rows(range.start, range.len()) * variance.sqrt();
            let mut coefficients = joint.coefficients(&weights);
            of_outputs(&mut coefficients);
            Box::new(JointKernel { points: joint.points.clone(), coefficients, scales: joint.scales.clone() })
        });
        Regressor::MultipleKernel(MultipleKernelRegressor {
            points,
            coefficients,
            scales: self.bases.iter().map(|basis| basis.scale).collect(),
            weights: self.variances.kernels[..self.bases.len()].to_vec(),
            offset: DVector::from_vec(evidence.output_means),
            joint,
        })
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
        Ok(Regressor::MultipleKernel(MultipleKernelRegressor {
            points,
            coefficients,
            scales,
            weights: self.variances.kernels.clone(),
            offset: DVector::from_vec(offset),
            joint: None,
        }))
    }
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

#[cfg(test)]
mod tests;
