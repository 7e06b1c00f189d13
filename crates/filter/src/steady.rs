//! `kalman-steady`: the Kalman filter run with the gain that it converges to.
//!
//! With the fixed point of the Kalman recursion, `M = A P A' + G`, `P = (J + M^-1)^-1` (the discrete Riccati equation),
//! and the gain `K = P H' R^-1`, one step is
//!
//! ```text
//! mu' = (I - K H) A mu + K (x - offset)
//! Sigma' = (I - K H) M (I - K H)' + K R K',  M = A Sigma A' + G
//! ```
//!
//! that is, n d + d^2 multiplications once Sigma has converged to P. The covariance is the true one of a filter with
//! this gain, also in the steps after a start or a gap. Row one updates N(0, S) by x. Without features: `mu = A mu`,
//! `Sigma = M`. Where the recursion does not converge (a component without noise or beyond the reach of the features
//! that does not forget), the decoder runs as `kalman`, and every step reports `fallback`.
#![expect(clippy::needless_range_loop, reason = "matrix algebra reads best by row and column")]

use kalmind_types::{Intent, MAX_COMPONENTS};

use crate::belief::{sharpened, square_of};
use crate::build::publish;
use crate::cholesky::dot;
use crate::kalman::{KalmanDecoder, ObservationInformation, apply_rows};
use crate::small_matrix::{
    Square, Vector, add_scaled, apply, from_slice, identity, product, propagated, symmetric,
};
use crate::{Decoder, FilterState, KalmanParameters, ModelError, StepReport};

/// Steps after which the recursion counts as not converging.
const MAX_ITERATIONS: usize = 100_000;
/// Largest change of an entry, relative to the largest entry, that counts as none.
const CONVERGED: f64 = 1e-15;

/// The steady-state decoder of `kalman`, or the time-varying one that reports fallbacks.
pub(crate) fn steady_decoder(kalman: &KalmanParameters) -> Result<Box<dyn Decoder>, ModelError> {
    match kalman.state.dimension() {
        1 => steady_decoder_of::<1>(kalman),
        2 => steady_decoder_of::<2>(kalman),
        3 => steady_decoder_of::<3>(kalman),
        4 => steady_decoder_of::<4>(kalman),
        5 => steady_decoder_of::<5>(kalman),
        6 => steady_decoder_of::<6>(kalman),
        7 => steady_decoder_of::<7>(kalman),
        _ => steady_decoder_of::<8>(kalman),
    }
}

/// In how many steps the covariance of a first-order Kalman filter converges; `None` where it does not.
pub(crate) fn steady_iterations(kalman: &KalmanParameters) -> Result<Option<usize>, ModelError> {
    fn of<const D: usize>(kalman: &KalmanParameters) -> Result<Option<usize>, ModelError> {
        let information = from_slice(&ObservationInformation::new(kalman)?.information);
        Ok(steady_covariance::<D>(kalman, &information).map(|(_covariance, iterations)| iterations))
    }
    match kalman.state.dimension() {
        1 => of::<1>(kalman),
        2 => of::<2>(kalman),
        3 => of::<3>(kalman),
        4 => of::<4>(kalman),
        5 => of::<5>(kalman),
        6 => of::<6>(kalman),
        7 => of::<7>(kalman),
        _ => of::<8>(kalman),
    }
}

fn steady_decoder_of<const D: usize>(kalman: &KalmanParameters) -> Result<Box<dyn Decoder>, ModelError> {
    let observation = ObservationInformation::new(kalman)?;
    let information = from_slice(&observation.information);
    Ok(match steady_covariance::<D>(kalman, &information) {
        Some((covariance, _iterations)) => Box::new(SteadyDecoder::new(kalman, &observation, covariance)),
        None => Box::new(Unsteady(KalmanDecoder::new(kalman)?)),
    })
}

/// The fixed point of the covariance recursion, from S, and the number of steps.
fn steady_covariance<const D: usize>(
    kalman: &KalmanParameters,
    information: &Square<D>,
) -> Option<(Square<D>, usize)> {
    let transition = square_of(&kalman.state.transition);
    let noise = square_of(&kalman.state.process_noise);
    let mut covariance: Square<D> = square_of(&kalman.state.stationary_covariance);
    for iteration in 1..=MAX_ITERATIONS {
        let next = sharpened(&propagated(&transition, &covariance, &noise), information);
        let (change, size) = change(&covariance, &next);
        covariance = next;
        if !size.is_finite() {
            return None;
        }
        if change <= CONVERGED * size {
            return Some((covariance, iteration));
        }
    }
    None
}

/// Largest change of an entry and largest entry.
fn change<const D: usize>(before: &Square<D>, after: &Square<D>) -> (f64, f64) {
    let mut change = 0.0_f64;
    let mut size = 0.0_f64;
    for (before, after) in before.as_flattened().iter().zip(after.as_flattened()) {
        change = change.max((after - before).abs());
        size = if after.is_finite() { size.max(after.abs()) } else { f64::INFINITY };
    }
    (change, size)
}

/// See the module.
#[derive(Debug)]
struct SteadyDecoder<const D: usize> {
    features: usize,
    /// K, D rows of n, and K offset.
    gain: Vec<f64>,
    gain_offset: Vec<f64>,
    /// (I - K H) and (I - K H) A.
    keep: Square<D>,
    keep_transition: Square<D>,
    /// K R K'.
    gain_noise: Square<D>,
    transition: Square<D>,
    process_noise: Square<D>,
    stationary: Square<D>,
    mean: Vector<D>,
    covariance: Square<D>,
    started: bool,
    converged: bool,
}

impl<const D: usize> SteadyDecoder<D> {
    fn new(kalman: &KalmanParameters, observation: &ObservationInformation, steady: Square<D>) -> Self {
        let features = observation.features;
        let mut gain = vec![0.0; D * features];
        for row in 0..D {
            for inner in 0..D {
                for feature in 0..features {
                    gain[row * features + feature] +=
                        steady[row][inner] * observation.weights[inner * features + feature];
                }
            }
        }
        let information: Square<D> = from_slice(&observation.information);
        let gain_observation = product(&steady, &information);
        let keep = add_scaled(&identity(), -1.0, &gain_observation);
        let transition = square_of(&kalman.state.transition);
        Self {
            features,
            gain_offset: (0..D)
                .map(|row| {
                    dot(&gain[row * features..(row + 1) * features], kalman.observation_offset.as_slice())
                })
                .collect(),
            gain,
            keep,
            keep_transition: product(&keep, &transition),
            // K R K' = P H' R^-1 R R^-1 H P = P J P
            gain_noise: symmetric(&product(&gain_observation, &steady)),
            transition,
            process_noise: square_of(&kalman.state.process_noise),
            stationary: square_of(&kalman.state.stationary_covariance),
            mean: [0.0; D],
            covariance: steady,
            started: false,
            converged: false,
        }
    }

    fn measure(&mut self, predicted: &Square<D>) {
        let next = propagated(&self.keep, predicted, &self.gain_noise);
        let (change, size) = change(&self.covariance, &next);
        self.converged = change <= CONVERGED * size;
        self.covariance = next;
    }
}

impl<const D: usize> Decoder for SteadyDecoder<D> {
    fn features(&self) -> usize {
        self.features
    }

    fn dimension(&self) -> usize {
        D
    }

    fn restart(&mut self) {
        self.started = false;
        self.converged = false;
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let mut pushed = [0.0; MAX_COMPONENTS];
        let pushed = &mut pushed[..D];
        let measured = match features {
            Some(features) if features.len() == self.features => {
                apply_rows(&self.gain, &self.gain_offset, features, pushed);
                pushed.iter().all(|value| value.is_finite())
            }
            _ => false,
        };
        let row_one = measured && !self.started;
        let fallback = features.is_some() && !measured;
        if !measured && !self.started {
            return StepReport { fallback, ..StepReport::default() };
        }
        if row_one {
            self.started = true;
            self.mean.copy_from_slice(pushed);
            let stationary = self.stationary;
            self.measure(&stationary);
            self.converged = false;
        } else if measured {
            let kept = apply(&self.keep_transition, &self.mean);
            for ((mean, kept), pushed) in self.mean.iter_mut().zip(&kept).zip(pushed.iter()) {
                *mean = kept + pushed;
            }
            if !self.converged {
                let predicted = propagated(&self.transition, &self.covariance, &self.process_noise);
                self.measure(&predicted);
            }
        } else {
            self.mean = apply(&self.transition, &self.mean);
            self.covariance = propagated(&self.transition, &self.covariance, &self.process_noise);
            self.converged = false;
        }
        publish(&self.mean, &self.covariance, intent);
        StepReport { valid: true, row_one, fallback, ..StepReport::default() }
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.started.then_some(FilterState {
            dimension: D,
            order: 1,
            mean: &self.mean,
            covariance: self.covariance.as_flattened(),
        })
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        if state.dimension != D
            || state.order != 1
            || state.mean.len() != D
            || state.covariance.len() != D * D
        {
            return false;
        }
        self.mean.copy_from_slice(state.mean);
        self.covariance = from_slice(state.covariance);
        self.started = true;
        self.converged = false;
        true
    }
}

/// A Kalman filter that stands in for a steady one that does not exist.
#[derive(Debug)]
struct Unsteady(KalmanDecoder);

impl Decoder for Unsteady {
    fn features(&self) -> usize {
        self.0.features()
    }

    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        StepReport { fallback: true, ..self.0.step(features, intent) }
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.0.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.0.adopt(state)
    }
}
