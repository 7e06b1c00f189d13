//! `kalman-steady`: the Kalman filter run with the gain that it converges to.
//!
//! With the fixed point of the Kalman recursion, `M = A P A' + G`, `P = (J + M^-1)^-1` (the discrete algebraic Riccati
//! equation, see [`riccati`](super::riccati)), and the gain `K = P H' R^-1`, one step is
//!
//! ```text
//! mu' = (I - K H) A mu + K (x - offset)
//! Sigma' = (I - K H) M (I - K H)' + K R K',  M = A Sigma A' + G
//! ```
//!
//! that is, n d + d^2 multiplications once Sigma has converged to P. The covariance is the true one of a filter with
//! this gain, also in the steps after a start or a gap. Row one updates N(0, S) by x. Without features: `mu = A mu`,
//! `Sigma = M`.
//!
//! Where the equation has no stabilizing solution the recursion is run from S, which may stand still all the same (a
//! component that neither forgets nor has noise keeps the variance that it starts with). Where that does not stand still
//! either (a position that integrates a velocity while the features see the velocity alone: its variance grows for ever),
//! there is no steady gain: the decoder runs as `kalman`, and every step reports `fallback`. The fit says so in a warning.
//!
//! When to use it: for many components and features at short bins, or where a plain affine recursion is wanted; it gives
//! what `kalman` gives after the first bins. When not: where bins without features are frequent, since `kalman` weighs the
//! first features after a gap more.
#![expect(clippy::needless_range_loop, reason = "matrix algebra reads best by row and column")]

use kalmind_types::{Intent, MAX_COMPONENTS};

use super::riccati::{RiccatiFailure, steady_state};
use crate::belief::{sharpened, square_of};
use crate::cholesky::dot;
use crate::decoders::kalman::information::ObservationInformation;
use crate::decoders::kalman::runtime::{KalmanDecoder, apply_rows};
use crate::small_matrix::{
    Square, Vector, add_scaled, apply, from_slice, identity, product, propagated, symmetric,
};
use crate::state_filter::publish;
use crate::{Decoder, FilterState, KalmanParameters, KalmanUpdate, LookBack, ModelError, StepReport};

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

/// How the steady gain of a model was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteadySource {
    /// By the Riccati equation, in so many doublings.
    Riccati {
        /// Doublings.
        doublings: usize,
    },
    /// By running the recursion, since the equation has no stabilizing solution.
    Recursion {
        /// Steps.
        iterations: usize,
        /// Why.
        failure: RiccatiFailure,
    },
    /// Not at all: the decoder computes a gain in every step.
    None {
        /// Why.
        failure: RiccatiFailure,
    },
}

/// How the gain of a first-order Kalman filter is found.
///
/// # Errors
/// Where the noise is not positive definite.
pub fn steady_source(kalman: &KalmanParameters) -> Result<SteadySource, ModelError> {
    fn of<const D: usize>(kalman: &KalmanParameters) -> Result<SteadySource, ModelError> {
        let information = from_slice(&kalman.observation_information()?.information);
        Ok(steady_covariance::<D>(kalman, &information).1)
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
    let observation = kalman.observation_information()?;
    let information = from_slice(&observation.information);
    Ok(match steady_covariance::<D>(kalman, &information) {
        (Some(covariance), _) => Box::new(SteadyDecoder::new(kalman, &observation, covariance)),
        (None, _) => Box::new(Unsteady(KalmanDecoder::new(kalman, KalmanUpdate::Auto)?)),
    })
}

/// P, where there is one: by the Riccati equation, else by the recursion.
fn steady_covariance<const D: usize>(
    kalman: &KalmanParameters,
    information: &Square<D>,
) -> (Option<Square<D>>, SteadySource) {
    let transition = square_of(&kalman.state.transition);
    let noise = square_of(&kalman.state.process_noise);
    let failure = match steady_state(&transition, &noise, information) {
        Ok(steady) => {
            let covariance = sharpened(&steady.predicted, information);
            return (Some(covariance), SteadySource::Riccati { doublings: steady.doublings });
        }
        Err(failure) => failure,
    };
    let stationary = square_of(&kalman.state.stationary_covariance);
    match iterated(&transition, &noise, information, stationary) {
        Some((covariance, iterations)) => (Some(covariance), SteadySource::Recursion { iterations, failure }),
        None => (None, SteadySource::None { failure }),
    }
}

/// The fixed point of the covariance recursion from `start`, and the number of steps.
fn iterated<const D: usize>(
    transition: &Square<D>,
    noise: &Square<D>,
    information: &Square<D>,
    start: Square<D>,
) -> Option<(Square<D>, usize)> {
    let mut covariance = start;
    for iteration in 1..=MAX_ITERATIONS {
        let next = sharpened(&propagated(transition, &covariance, noise), information);
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
            return StepReport { fallback, unused: fallback, ..StepReport::default() };
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
        StepReport { valid: true, row_one, fallback, unused: fallback, ..StepReport::default() }
    }

    fn look_back(&self) -> LookBack {
        LookBack { bins: 1, fades: true }
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

    fn look_back(&self) -> LookBack {
        self.0.look_back()
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.0.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.0.adopt(state)
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};

    use super::*;
    use crate::{CovarianceScale, Start, StateModel, StationarySource};

    fn kalman(transition: &[f64], noise: &[f64], observation: &[f64]) -> KalmanParameters {
        KalmanParameters {
            state: StateModel {
                order: 1,
                transition: DMatrix::from_row_slice(2, 2, transition),
                process_noise: DMatrix::from_row_slice(2, 2, noise),
                stationary_covariance: DMatrix::from_row_slice(2, 2, &[1.0, 0.2, 0.2, 0.8]),
                stationary_source: StationarySource::Training,
                mean: None,
            },
            observation: DMatrix::from_row_slice(observation.len() / 2, 2, observation),
            observation_offset: DVector::zeros(observation.len() / 2),
            observation_noise: DMatrix::identity(observation.len() / 2, observation.len() / 2),
            information: None,
            start: Start::Prior,
            covariance_scale: CovarianceScale::constant(1.0),
        }
    }

    #[test]
    fn the_equation_and_the_recursion_agree() {
        let kalman =
            kalman(&[0.9, 0.1, -0.2, 0.8], &[0.1, 0.02, 0.02, 0.2], &[0.5, 1.0, -0.3, 0.7, 1.0, 0.1]);
        let information: Square<2> = from_slice(&kalman.observation_information().unwrap().information);
        let (covariance, source) = steady_covariance(&kalman, &information);
        assert!(matches!(source, SteadySource::Riccati { doublings: 1..10 }), "{source:?}");
        let state = &kalman.state;
        let (expected, _iterations) = iterated(
            &square_of(&state.transition),
            &square_of(&state.process_noise),
            &information,
            square_of(&state.stationary_covariance),
        )
        .unwrap();
        assert!(change(&covariance.unwrap(), &expected).0 < 1e-14);
    }

    /// The position integrates the velocity, and the features see the velocity alone.
    #[test]
    fn a_position_that_no_feature_observes_fails_the_solve_and_the_recursion() {
        let kalman = kalman(&[1.0, 0.02, 0.0, 0.9], &[0.0, 0.0, 0.0, 0.1], &[0.0, 1.0, 0.0, -0.5]);
        assert_eq!(
            steady_source(&kalman).unwrap(),
            SteadySource::None { failure: RiccatiFailure::Undetectable }
        );
    }

    #[test]
    fn a_constant_without_noise_keeps_its_variance_by_the_recursion() {
        let kalman = kalman(&[1.0, 0.0, 0.0, 0.9], &[0.0, 0.0, 0.0, 0.1], &[0.0, 1.0, 0.0, -0.5]);
        let source = steady_source(&kalman).unwrap();
        assert!(
            matches!(source, SteadySource::Recursion { failure: RiccatiFailure::Unforgetting, .. }),
            "{source:?}"
        );
        let mut decoder = steady_decoder(&kalman).unwrap();
        let mut intent = Intent::zero(2);
        for _ in 0..1000 {
            assert!(!decoder.step(Some(&[1.0, -0.5]), &mut intent).fallback);
        }
        assert!((0.9..=1.0).contains(&intent.covariance()[0]), "{intent:?}");
    }
}
