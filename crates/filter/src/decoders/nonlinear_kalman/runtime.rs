//! `ekf` and `ukf`: Kalman filters whose model of the features is a network (extended: Anderson and Moore 1979, sec.
//! 8.2; unscented: Julier and Uhlmann 1997, Wan and van der Merwe 2000).
//!
//! Model: `z_t = A z_{t-1} + N(0, G)`, `x_t = g(z_t) + N(0, R)`, `g(z) = V tanh(W z + b) + c` with h units.
//!
//! Worth trying where features bend (rates that saturate) and the noise about g is Gaussian, the `ukf` first: the `ekf`
//! sees one slope, and where all features saturate under its mean it hears nothing and can lose the state. Not where intents
//! far apart give the same features on average (tuning with peaks): there the discriminative filters, which learn the
//! intent given the features, do better (Burkhart et al. 2020, sec. 4). One step, with `M = A Sigma A' + G` and
//! `m = A mu`:
//!
//! ```text
//! ekf    H = V diag(1 - t^2) W at t = tanh(W m + b)      J = H' R^-1 H
//!        Sigma' = (J + M^-1)^-1                          mu' = m + Sigma' H' R^-1 (x - g(m))
//! ukf    sigma points z_j of N(m, M) with weights w_j    y_j = g(z_j), their mean y
//!        Z = [sqrt(w_j) (z_j - m)], Y = [sqrt(w_j) (y_j - y)]
//!        K = Z Y' (Y Y' + R)^-1      Sigma' = M - K (Y Y' + R) K'      mu' = m + K (x - y)
//! ```
//!
//! The innovation's covariance of the ukf, n x n, is never formed: with `B = Y' R^-1 Y`, (2 d + 1) x (2 d + 1),
//! Woodbury's identity gives the same as
//!
//! ```text
//! Sigma' = Z (I + B)^-1 Z'        mu' = m + Z (I + B)^-1 Y' R^-1 (x - y)
//! ```
//!
//! a sum of squares, so symmetric positive semidefinite whatever the rounding. Since `Y = V T` with the units'
//! deviations T, and likewise H, features enter through `V' R^-1 x` alone: n h multiplications for it and about h^2 d
//! (ekf) or 2 h^2 d (ukf) for the rest, for any number of features.
//!
//! Row one: N(0, S) updated by x, without time update. Without features: `mu = A mu`, `Sigma = M`. A step whose numbers
//! overflow is a time update and counted as `fallback`.

use kalmind_types::Intent;

use super::observation::NetworkObservation;
use super::parameters::NonlinearKalmanParameters;
use crate::belief::square_of;
use crate::decoder::{Decoder, FilterState, LookBack, StepReport};
use crate::dynamics::Linearization;
use crate::model_error::ModelError;
use crate::small_matrix::{Square, Vector, apply, from_slice, propagated};
use crate::state_filter::publish;

/// The decoder of validated parameters.
pub(crate) fn nonlinear_decoder(
    nonlinear: &NonlinearKalmanParameters,
) -> Result<Box<dyn Decoder>, ModelError> {
    Ok(match nonlinear.state.dimension() {
        1 => Box::new(NonlinearKalmanDecoder::<1, 3>::new(nonlinear)?),
        2 => Box::new(NonlinearKalmanDecoder::<2, 5>::new(nonlinear)?),
        3 => Box::new(NonlinearKalmanDecoder::<3, 7>::new(nonlinear)?),
        4 => Box::new(NonlinearKalmanDecoder::<4, 9>::new(nonlinear)?),
        5 => Box::new(NonlinearKalmanDecoder::<5, 11>::new(nonlinear)?),
        6 => Box::new(NonlinearKalmanDecoder::<6, 13>::new(nonlinear)?),
        7 => Box::new(NonlinearKalmanDecoder::<7, 15>::new(nonlinear)?),
        _ => Box::new(NonlinearKalmanDecoder::<8, 17>::new(nonlinear)?),
    })
}

/// See the module; POINTS is 2 D + 1.
#[derive(Debug)]
struct NonlinearKalmanDecoder<const D: usize, const POINTS: usize> {
    observation: NetworkObservation,
    linearization: Linearization,
    transition: Square<D>,
    process_noise: Square<D>,
    stationary: Square<D>,
    mean: Vector<D>,
    covariance: Square<D>,
    started: bool,
}

impl<const D: usize, const POINTS: usize> NonlinearKalmanDecoder<D, POINTS> {
    fn new(nonlinear: &NonlinearKalmanParameters) -> Result<Self, ModelError> {
        let stationary = square_of(&nonlinear.state.stationary_covariance);
        Ok(Self {
            observation: NetworkObservation::new(nonlinear, POINTS)?,
            linearization: nonlinear.linearization,
            transition: square_of(&nonlinear.state.transition),
            process_noise: square_of(&nonlinear.state.process_noise),
            stationary,
            mean: [0.0; D],
            covariance: stationary,
            started: false,
        })
    }
}

impl<const D: usize, const POINTS: usize> Decoder for NonlinearKalmanDecoder<D, POINTS> {
    fn features(&self) -> usize {
        self.observation.features
    }

    fn dimension(&self) -> usize {
        D
    }

    fn restart(&mut self) {
        self.started = false;
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let given = features.is_some();
        let features = features.filter(|features| {
            features.len() == self.observation.features && features.iter().all(|value| value.is_finite())
        });
        if features.is_none() && !self.started {
            return StepReport { fallback: given, unused: given, ..StepReport::default() };
        }
        let row_one = !self.started;
        self.started = true;
        if row_one {
            (self.mean, self.covariance) = ([0.0; D], self.stationary);
        } else {
            self.mean = apply(&self.transition, &self.mean);
            self.covariance = propagated(&self.transition, &self.covariance, &self.process_noise);
        }
        let updated = features.and_then(|features| {
            self.observation.hear(features);
            match self.linearization {
                Linearization::Extended => self.observation.extended(&self.mean, &self.covariance),
                Linearization::Unscented => {
                    self.observation.unscented::<D, POINTS>(&self.mean, &self.covariance)
                }
            }
        });
        if let Some((mean, covariance)) = updated {
            (self.mean, self.covariance) = (mean, covariance);
        }
        publish(&self.mean, &self.covariance, intent);
        let unused = given && updated.is_none();
        StepReport { valid: true, row_one, fallback: unused, unused, ..StepReport::default() }
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
        if (state.dimension, state.order, state.mean.len()) != (D, 1, D) || state.covariance.len() != D * D {
            return false;
        }
        self.mean.copy_from_slice(state.mean);
        self.covariance = from_slice(state.covariance);
        self.started = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};
    use rand::{Rng, RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{CovarianceScale, StateModel, StationarySource, TanhNetwork};

    const FEATURES: usize = 6;

    fn uniform(rows: usize, columns: usize, random: &mut impl Rng) -> DMatrix<f64> {
        DMatrix::from_fn(rows, columns, |_, _| random.random_range(-1.0..1.0))
    }

    fn parameters(
        d: usize,
        linearization: Linearization,
        random: &mut impl Rng,
    ) -> NonlinearKalmanParameters {
        let hidden = 5;
        let half = uniform(FEATURES, FEATURES + 2, random);
        NonlinearKalmanParameters {
            state: StateModel {
                order: 1,
                transition: DMatrix::identity(d, d) * 0.8 + uniform(d, d, random) * (0.1 / d as f64),
                process_noise: DMatrix::identity(d, d) * 0.3,
                stationary_covariance: DMatrix::identity(d, d),
                stationary_source: StationarySource::Training,
                mean: None,
            },
            observation: TanhNetwork {
                hidden_weights: uniform(hidden, d, random) * 1.5,
                hidden_bias: DVector::from_fn(hidden, |_, _| random.random_range(-1.0..1.0)),
                output_weights: uniform(FEATURES, hidden, random),
                output_bias: DVector::from_fn(FEATURES, |_, _| random.random_range(-1.0..1.0)),
            },
            observation_noise: &half * half.transpose() * 0.1 + DMatrix::identity(FEATURES, FEATURES) * 0.05,
            linearization,
            covariance_scale: CovarianceScale::constant(1.0),
        }
    }

    fn value(network: &TanhNetwork, z: &DVector<f64>) -> DVector<f64> {
        &network.output_weights * (&network.hidden_weights * z + &network.hidden_bias).map(libm::tanh)
            + &network.output_bias
    }

    /// The textbook update with the innovation's covariance, n x n, and its inverse; the Jacobian of the extended form is
    /// checked against central differences.
    fn textbook(
        model: &NonlinearKalmanParameters,
        mean: &DVector<f64>,
        covariance: &DMatrix<f64>,
        x: &DVector<f64>,
    ) -> (DVector<f64>, DMatrix<f64>) {
        let d = mean.len();
        let g = |z: &DVector<f64>| value(&model.observation, z);
        let (expected, cross, innovation) = match model.linearization {
            Linearization::Extended => {
                let network = &model.observation;
                let units = (&network.hidden_weights * mean + &network.hidden_bias).map(libm::tanh);
                let slopes = DMatrix::from_diagonal(&units.map(|value| 1.0 - value * value));
                let jacobian = &network.output_weights * slopes * &network.hidden_weights;
                for component in 0..d {
                    let step = DVector::from_fn(d, |at, _| if at == component { 1e-5 } else { 0.0 });
                    let difference = (g(&(mean + &step)) - g(&(mean - &step))) / 2e-5;
                    assert!((difference - jacobian.column(component)).amax() < 1e-8);
                }
                (g(mean), covariance * jacobian.transpose(), &jacobian * covariance * jacobian.transpose())
            }
            Linearization::Unscented => {
                let kappa = (3.0 - d as f64).max(0.0);
                let c = d as f64 + kappa;
                let root = covariance.clone().cholesky().unwrap().l() * c.sqrt();
                let mut points = vec![(mean.clone(), kappa / c)];
                for component in 0..d {
                    points.push((mean + root.column(component), 0.5 / c));
                    points.push((mean - root.column(component), 0.5 / c));
                }
                let expected: DVector<f64> = points.iter().map(|(z, weight)| g(z) * *weight).sum();
                let mut cross = DMatrix::zeros(d, FEATURES);
                let mut innovation = DMatrix::zeros(FEATURES, FEATURES);
                for (z, weight) in &points {
                    let difference = g(z) - &expected;
                    cross += (z - mean) * difference.transpose() * *weight;
                    innovation += &difference * difference.transpose() * *weight;
                }
                (expected, cross, innovation)
            }
        };
        let innovation = innovation + &model.observation_noise;
        let gain = &cross * innovation.clone().try_inverse().unwrap();
        (mean + &gain * (x - expected), covariance - &gain * innovation * gain.transpose())
    }

    #[test]
    fn both_forms_equal_the_textbook_with_the_full_innovation() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for d in [1, 2, 4, 8] {
            for linearization in [Linearization::Extended, Linearization::Unscented] {
                let model = parameters(d, linearization, &mut random);
                let mut decoder = nonlinear_decoder(&model).unwrap();
                let mut intent = Intent::zero(d);
                let (mut mean, mut covariance) =
                    (DVector::zeros(d), model.state.stationary_covariance.clone());
                for row in 0..40 {
                    let x = DVector::from_fn(FEATURES, |_, _| random.random_range(-2.0..2.0));
                    let report = decoder.step(Some(x.as_slice()), &mut intent);
                    assert!(report.valid && report.row_one == (row == 0) && !report.fallback);
                    if row > 0 {
                        mean = &model.state.transition * mean;
                        covariance =
                            &model.state.transition * covariance * model.state.transition.transpose()
                                + &model.state.process_noise;
                    }
                    (mean, covariance) = textbook(&model, &mean, &covariance, &x);
                    let state = decoder.state().unwrap();
                    for (value, expected) in
                        state.mean.iter().chain(state.covariance).zip(mean.iter().chain(covariance.iter()))
                    {
                        assert!(
                            (value - expected).abs() < 1e-11,
                            "{d} {linearization:?} {row}: {value} {expected}"
                        );
                    }
                    // each step on its own: a function that is not linear magnifies rounding from step to step
                    mean = DVector::from_column_slice(state.mean);
                    covariance = DMatrix::from_column_slice(d, d, state.covariance);
                }
            }
        }
    }

    #[test]
    fn features_beyond_all_numbers_are_a_time_update_that_is_counted() {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        for linearization in [Linearization::Extended, Linearization::Unscented] {
            let mut model = parameters(2, linearization, &mut random);
            model.observation_noise *= 1e-300;
            let mut decoder = nonlinear_decoder(&model).unwrap();
            let mut intent = Intent::zero(2);
            let report = decoder.step(Some(&[1e300; FEATURES]), &mut intent);
            assert!(report.valid && report.fallback && intent.is_finite(), "{report:?} {intent:?}");
        }
    }
}
