//! The simulated participant's law offline: rows of counts and the velocity that was meant.

use kalmind_filter::TrainingData;
use nalgebra::DMatrix;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson, StandardNormal};

/// Bin width in seconds.
const BIN_S: f64 = 0.02;
const MAX_SPEED: f64 = 0.6;
const ERROR_TIME_CONSTANT_S: f64 = 0.4;

struct Unit {
    log_baseline: f64,
    direction: f64,
    modulation: f64,
    common_loading: f64,
}

/// Rows at 50 Hz: Poisson counts of `units` cosine-tuned units, log rate `b_i + m_i p_i . (v / v_max) + l_i c(t)`, and
/// the velocity v meant, toward targets in eight directions and back while the cursor moves as meant 0.2 s before.
pub(crate) fn participant(rows: usize, units: usize, seed: u64) -> TrainingData {
    rows_of(rows, units, seed, None)
}

/// The same units, while they mean to go in one direction all the time.
pub(crate) fn holding(rows: usize, units: usize, seed: u64, angle: f64) -> TrainingData {
    rows_of(rows, units, seed, Some(angle))
}

fn rows_of(rows: usize, units: usize, seed: u64, held: Option<f64>) -> TrainingData {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let units: Vec<Unit> = (0..units)
        .map(|unit| Unit {
            log_baseline: 8.0_f64.ln() + 0.6 * normal(&mut random),
            direction: core::f64::consts::TAU * random.random::<f64>(),
            modulation: if unit % 4 == 3 { 0.0 } else { 0.5 * normal(&mut random).abs() },
            common_loading: normal(&mut random),
        })
        .collect();
    let (mut common, mut wander) = (0.0, 0.0);
    let mut cursor = [0.0; 2];
    let mut target = [0.3, 0.0];
    let mut until_next = 0;
    let mut meant = [[0.0; 2]; 10];
    let mut features = DMatrix::zeros(rows, units.len());
    let mut states = DMatrix::zeros(rows, 2);
    for row in 0..rows {
        if until_next == 0 {
            // out to one of eight, and back
            until_next = random.random_range(50..90);
            let at_centre = target == [0.0, 0.0];
            let angle = f64::from(random.random_range(0..8_u8)) * core::f64::consts::FRAC_PI_4;
            target = if at_centre { [0.3 * angle.cos(), 0.3 * angle.sin()] } else { [0.0, 0.0] };
        }
        until_next -= 1;
        common = autoregressive(common, 0.1, 1.0, &mut random);
        wander = autoregressive(wander, core::f64::consts::PI / 18.0, 0.3, &mut random);
        let error = [target[0] - cursor[0], target[1] - cursor[1]];
        let speed = (error[0].hypot(error[1]) / ERROR_TIME_CONSTANT_S).min(MAX_SPEED);
        let (speed, angle) = match held {
            Some(angle) => (MAX_SPEED, angle + wander),
            None => (speed, error[1].atan2(error[0]) + wander),
        };
        let velocity = [speed * angle.cos(), speed * angle.sin()];
        for axis in 0..2 {
            states[(row, axis)] = velocity[axis];
            // a decoded cursor lags behind and errs
            let decoded = 0.5 * (meant[row % 10][axis] + velocity[axis]) + 0.1 * normal(&mut random);
            cursor[axis] += BIN_S * decoded;
        }
        meant[row % 10] = velocity;
        for (column, unit) in units.iter().enumerate() {
            let along = (unit.direction.cos() * velocity[0] + unit.direction.sin() * velocity[1]) / MAX_SPEED;
            let log_rate = unit.log_baseline + unit.modulation * along + unit.common_loading * common;
            features[(row, column)] = Poisson::new(log_rate.exp() * BIN_S).unwrap().sample(&mut random);
        }
    }
    TrainingData::new(features, states)
}

/// One step of an AR(1) process with this stationary deviation.
fn autoregressive(value: f64, deviation: f64, time_constant_s: f64, random: &mut ChaCha8Rng) -> f64 {
    let keep = (-BIN_S / time_constant_s).exp();
    keep * value + (1.0 - keep * keep).sqrt() * deviation * normal(random)
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}
