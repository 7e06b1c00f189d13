//! A state that moves by sines under features that are whole numbers, with its truth known:
//!
//! ```text
//! z_t = A (sin z_{t-1} + z_{t-1}) + N(0, G)      x_t = floor(z_t + N(0, r^2 I))      component by component
//! ```
//!
//! after the thesis (2019, sec. 2.10 and table 2.2), which filters it five ways: an extended or unscented prediction with
//! the discriminative update, the extended and the unscented Kalman filter, and a particle filter. The
//! sizes are ours, chosen so that the errors of the particle filter and the extended Kalman filter come near the published
//! ones: two components, `A = [0.45 0.1; -0.1 0.45]`, `G = 0.25 I`, `r = 0.17`. f and Q are what any consistent
//! regression comes to on features that are whole numbers: means and covariances of the training states with these
//! features. The Kalman filters know A, G, the mean `g(z) = E[x | z]` in closed form, and the variance about it.

use kalmind_filter::{
    DiscriminativeFilter, Form, Linearization, Start, StateDynamics, StateModel, StationarySource,
};
use kalmind_types::Intent;
use nalgebra::{DMatrix, Matrix2, Vector2};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use std::collections::HashMap;

use crate::particle_filter::ParticleFilter;

/// r.
const FEATURE_NOISE: f64 = 0.17;
/// The standard deviation of the process noise.
const STATE_NOISE: f64 = 0.5;
const TRAINING_ROWS: usize = 20_000;
const TEST_ROWS: usize = 3000;
const PARTICLES: usize = 1000;
/// How many training states the mean of Q is worth where few have the same features.
const PRIOR_STATES: f64 = 3.0;

/// Errors of every filter over that of saying zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errors {
    pub(crate) extended_discriminative: f64,
    pub(crate) unscented_discriminative: f64,
    pub(crate) extended: f64,
    pub(crate) unscented: f64,
    pub(crate) particles: f64,
}

/// `A (sin z + z)`.
#[derive(Clone, Copy, Debug)]
struct Sine;

fn transition() -> Matrix2<f64> {
    Matrix2::new(0.45, 0.1, -0.1, 0.45)
}

fn moved(z: &Vector2<f64>) -> Vector2<f64> {
    transition() * z.map(|z| libm::sin(z) + z)
}

fn slope(z: &Vector2<f64>) -> Matrix2<f64> {
    transition() * Matrix2::from_diagonal(&z.map(|z| libm::cos(z) + 1.0))
}

impl StateDynamics for Sine {
    fn dimension(&self) -> usize {
        2
    }

    fn advance(&mut self, state: &[f64], to: &mut [f64]) {
        to.copy_from_slice(moved(&Vector2::new(state[0], state[1])).as_slice());
    }

    fn jacobian(&mut self, state: &[f64], jacobian: &mut [f64]) {
        jacobian.copy_from_slice(slope(&Vector2::new(state[0], state[1])).transpose().as_slice());
    }
}

/// P(z + noise < limit).
fn below(limit: f64, z: f64) -> f64 {
    0.5 * libm::erfc((z - limit) / (FEATURE_NOISE * core::f64::consts::SQRT_2))
}

/// Mean and variance of `floor(z + noise)`, and the mean's derivative.
fn floor_moments(z: f64) -> (f64, f64, f64) {
    let middle = z.floor();
    let (mut mean, mut square, mut derivative) = (0.0, 0.0, 0.0);
    for offset in -4_i32..=4 {
        let whole = middle + f64::from(offset);
        let probability = below(whole + 1.0, z) - below(whole, z);
        mean += probability * whole;
        square += probability * whole * whole;
        // E floor(y) = sum over k >= 1 of P(y >= k) and so on: each step adds the noise's density at it
        let distance = (whole - z) / FEATURE_NOISE;
        derivative += (-0.5 * distance * distance).exp() / (FEATURE_NOISE * core::f64::consts::TAU.sqrt());
    }
    (mean, square - mean * mean, derivative)
}

fn observed(z: &Vector2<f64>) -> Vector2<f64> {
    z.map(|z| floor_moments(z).0)
}

/// States and features of so many rows.
fn rows(count: usize, seed: u64) -> (Vec<Vector2<f64>>, Vec<Vector2<f64>>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |_: f64| -> f64 { StandardNormal.sample(&mut random) };
    let mut z = Vector2::zeros();
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        z = moved(&z) + STATE_NOISE * z.map(&mut normal);
        let x = (z + FEATURE_NOISE * z.map(&mut normal)).map(f64::floor);
        pairs.push((z, x));
    }
    pairs.into_iter().unzip()
}

/// f and Q as means and covariances of training states by their features.
struct Conditional {
    cells: HashMap<[i64; 2], (Vector2<f64>, Matrix2<f64>)>,
    marginal: (Vector2<f64>, Matrix2<f64>),
}

impl Conditional {
    fn fitted(states: &[Vector2<f64>], features: &[Vector2<f64>]) -> Self {
        let mut members: HashMap<[i64; 2], Vec<Vector2<f64>>> = HashMap::new();
        for (state, features) in states.iter().zip(features) {
            members.entry(cell(features)).or_default().push(*state);
        }
        let mut within = Matrix2::zeros();
        let mut sums = HashMap::new();
        for (&cell, members) in &members {
            let mean = members.iter().sum::<Vector2<f64>>() / members.len() as f64;
            let spread: Matrix2<f64> =
                members.iter().map(|state| (state - mean) * (state - mean).transpose()).sum();
            within += spread / states.len() as f64;
            sums.insert(cell, (mean, spread, members.len() as f64));
        }
        let cells = sums.into_iter().map(|(cell, (mean, spread, count))| {
            (cell, (mean, (spread + within * PRIOR_STATES) / (count + PRIOR_STATES)))
        });
        let marginal =
            states.iter().map(|state| state * state.transpose()).sum::<Matrix2<f64>>() / states.len() as f64;
        Self { cells: cells.collect(), marginal: (Vector2::zeros(), marginal) }
    }

    /// f and Q; what is known without features where none like them were seen.
    fn at(&self, features: &Vector2<f64>) -> (Vector2<f64>, Matrix2<f64>) {
        self.cells.get(&cell(features)).copied().unwrap_or(self.marginal)
    }
}

fn cell(features: &Vector2<f64>) -> [i64; 2] {
    [features.x as i64, features.y as i64]
}

/// All filters on the same test rows, which are not those of the training.
pub(crate) fn run(seed: u64) -> Errors {
    let (training_states, training_features) = rows(TRAINING_ROWS, seed);
    let (states, features) = rows(TEST_ROWS, seed + 1000);
    let conditional = Conditional::fitted(&training_states, &training_features);
    let variance = training_states.iter().map(|z| floor_moments(z.x).1 + floor_moments(z.y).1).sum::<f64>()
        / (2 * TRAINING_ROWS) as f64;
    let kalman = Kalman { start: conditional.marginal.1, feature_noise: Matrix2::identity() * variance };
    let discriminative =
        |linearization| error(&states, &discriminative(&conditional, linearization, &features));
    Errors {
        extended_discriminative: discriminative(Linearization::Extended),
        unscented_discriminative: discriminative(Linearization::Unscented),
        extended: error(&states, &kalman.run(Linearization::Extended, &features)),
        unscented: error(&states, &kalman.run(Linearization::Unscented, &features)),
        particles: error(&states, &particles(&training_states, &features)),
    }
}

/// Root of the squared error over the squared truth.
fn error(states: &[Vector2<f64>], estimates: &[Vector2<f64>]) -> f64 {
    let squared: f64 =
        states.iter().zip(estimates).map(|(state, estimate)| (state - estimate).norm_squared()).sum();
    (squared / states.iter().map(Vector2::norm_squared).sum::<f64>()).sqrt()
}

/// The library's filter.
fn discriminative(
    conditional: &Conditional,
    linearization: Linearization,
    features: &[Vector2<f64>],
) -> Vec<Vector2<f64>> {
    let square = |matrix: &Matrix2<f64>| DMatrix::from_column_slice(2, 2, matrix.as_slice());
    let state = StateModel {
        order: 1,
        transition: DMatrix::zeros(2, 2),
        process_noise: square(&(Matrix2::identity() * STATE_NOISE * STATE_NOISE)),
        stationary_covariance: square(&conditional.marginal.1),
        stationary_source: StationarySource::Training,
        mean: None,
    };
    let mut filter = DiscriminativeFilter::with_dynamics(
        &state,
        Box::new(Sine),
        linearization,
        Form::Standard,
        Start::First,
    )
    .unwrap();
    let mut intent = Intent::zero(2);
    let step = |features: &Vector2<f64>| {
        let (f, q) = conditional.at(features);
        filter.step(Some((f.as_slice(), &[q[(0, 0)], q[(1, 0)], q[(1, 1)]])), &mut intent);
        Vector2::from_column_slice(intent.mean())
    };
    features.iter().map(step).collect()
}

/// The textbook's extended and unscented Kalman filters, with the full innovation.
struct Kalman {
    start: Matrix2<f64>,
    feature_noise: Matrix2<f64>,
}

/// Mean of `function` at sigma points, their covariance, and the covariance with the points.
fn through(
    function: impl Fn(&Vector2<f64>) -> Vector2<f64>,
    mean: &Vector2<f64>,
    covariance: &Matrix2<f64>,
) -> (Vector2<f64>, Matrix2<f64>, Matrix2<f64>) {
    let root = covariance.cholesky().unwrap().l() * 3.0_f64.sqrt();
    let mut points = vec![(*mean, 1.0 / 3.0)];
    for column in root.column_iter() {
        points.push((mean + column, 1.0 / 6.0));
        points.push((mean - column, 1.0 / 6.0));
    }
    let values: Vec<Vector2<f64>> = points.iter().map(|(point, _)| function(point)).collect();
    let expected: Vector2<f64> = values.iter().zip(&points).map(|(value, (_, weight))| value * *weight).sum();
    let (mut own, mut cross) = (Matrix2::zeros(), Matrix2::zeros());
    for (value, (point, weight)) in values.iter().zip(&points) {
        own += (value - expected) * (value - expected).transpose() * *weight;
        cross += (point - mean) * (value - expected).transpose() * *weight;
    }
    (expected, own, cross)
}

impl Kalman {
    fn run(&self, linearization: Linearization, features: &[Vector2<f64>]) -> Vec<Vector2<f64>> {
        let (mut mean, mut covariance) = (Vector2::zeros(), self.start);
        let mut estimates = Vec::with_capacity(features.len());
        for x in features {
            let noise = Matrix2::identity() * STATE_NOISE * STATE_NOISE;
            let (expected, own, cross);
            match linearization {
                Linearization::Extended => {
                    let jacobian = slope(&mean);
                    covariance = jacobian * covariance * jacobian.transpose() + noise;
                    mean = moved(&mean);
                    let observation = Matrix2::from_diagonal(&mean.map(|z| floor_moments(z).2));
                    expected = observed(&mean);
                    own = observation * covariance * observation.transpose();
                    cross = covariance * observation.transpose();
                }
                Linearization::Unscented => {
                    let (next, spread, _) = through(moved, &mean, &covariance);
                    (mean, covariance) = (next, spread + noise);
                    (expected, own, cross) = through(observed, &mean, &covariance);
                }
            }
            let innovation = own + self.feature_noise;
            let gain = cross * innovation.try_inverse().unwrap();
            mean += gain * (x - expected);
            covariance -= gain * innovation * gain.transpose();
            estimates.push(mean);
        }
        estimates
    }
}

fn particles(states: &[Vector2<f64>], features: &[Vector2<f64>]) -> Vec<Vector2<f64>> {
    let mut next = states.iter().step_by(7).cycle();
    let mut filter = ParticleFilter::new(PARTICLES, 2, 5, |particle, _| {
        particle.copy_from_slice(next.next().unwrap().as_slice());
    });
    let step = |x: &Vector2<f64>| {
        filter.advance(|before, after, random| {
            let mean = moved(&Vector2::new(before[0], before[1]));
            for (after, mean) in after.iter_mut().zip(mean.iter()) {
                let noise: f64 = StandardNormal.sample(random);
                *after = mean + STATE_NOISE * noise;
            }
        });
        let mean = filter.observe(|particle| {
            particle
                .iter()
                .zip(x.iter())
                .map(|(z, x)| (below(x + 1.0, *z) - below(*x, *z)).max(1e-300).ln())
                .sum()
        });
        Vector2::from_column_slice(&mean)
    };
    features.iter().map(step).collect()
}
