//! A state that moves by a function that is not linear: `z_t = g(z_{t-1}) + N(0, G)` (thesis 2019, sec. 2.10).
//!
//! The prediction of a discriminative filter only needs the mean and covariance of the moved state, so it takes them as
//! an extended or an unscented Kalman filter would, and its measurement update stays the same:
//!
//! ```text
//! ekf    M = F Sigma F' + G at the Jacobian F of g at mu           m = g(mu)
//! ukf    mean and covariance of g at the sigma points, plus G      (see the sigma points' weights)
//! ```
//!
//! Worth trying where the intent has resting places or limits that a linear model cannot have. It is of order 1: on
//! held-out rows of the recording of the tests it was 0.5 % better than a linear model of order 1 (`dkf-linear`) and no
//! better than one of order 2 (`dkf-nn`). Cost: h (d + 25) + d^3 multiplications with a network of h units, (2 d + 1)
//! times as much with sigma points.
//!
//! About a point that g flees from, a variance without measurements would grow without end; it is limited to
//! `MOST_VARIANCES` times that of the stationary distribution, far above what a filter with measurements believes. A
//! prediction that is not finite is the stationary distribution.

use crate::belief::{Belief, Correction, PlainBelief};
use crate::cholesky::dot;
use crate::sigma_points::SigmaPoints;
use crate::small_matrix::{Square, Vector, propagated, zeros};
use crate::tanh_layer::TanhLayer;
use crate::{FilterState, StateModel, TanhNetwork};
use serde::{Deserialize, Serialize};

/// Largest predicted variance of a component, relative to the stationary one.
const MOST_VARIANCES: f64 = 100.0;

/// How a state of d components moves by itself: a function g and its Jacobian.
///
/// Both are called in every step of a filter, so they have to be real-time: no allocation, lock, input or output, and no
/// panic. `self` is mutable for buffers alone; the same state has to give the same numbers.
pub trait StateDynamics: Send + core::fmt::Debug {
    /// d.
    fn dimension(&self) -> usize;

    /// Writes `g(state)`, d values, to `moved`.
    fn advance(&mut self, state: &[f64], moved: &mut [f64]);

    /// Writes the Jacobian of g at `state`, d x d row-major (row i: derivatives of component i), to `jacobian`. Only
    /// called with [`Linearization::Extended`].
    fn jacobian(&mut self, state: &[f64], jacobian: &mut [f64]);
}

/// How a filter moves a Gaussian through a function that is not linear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linearization {
    /// By the Jacobian at the mean (extended Kalman filter).
    #[default]
    Extended,
    /// By sigma points (unscented Kalman filter).
    Unscented,
}

/// `z_t = g(z_{t-1}) + noise` in place of a linear state model (thesis 2019, sec. 2.10): the filter predicts with g and
/// measures with f and Q.
#[derive(Clone, Debug, PartialEq)]
pub struct NonlinearDynamics {
    /// g: d in, d out.
    pub network: TanhNetwork,
    /// How a prediction is made.
    pub linearization: Linearization,
}

/// g as a network.
#[derive(Clone, Debug)]
pub struct NetworkDynamics {
    layer: TanhLayer,
    network: TanhNetwork,
    /// d rows of h.
    output_weights: Vec<f64>,
}

impl NetworkDynamics {
    /// Of a validated network, d in, d out.
    #[must_use]
    pub fn new(network: &TanhNetwork) -> Self {
        Self {
            layer: TanhLayer::of(network),
            output_weights: network.output_weights.transpose().as_slice().to_vec(),
            network: network.clone(),
        }
    }
}

impl StateDynamics for NetworkDynamics {
    fn dimension(&self) -> usize {
        self.network.output_bias.len()
    }

    fn advance(&mut self, state: &[f64], moved: &mut [f64]) {
        let units = self.network.hidden_bias.len();
        let values = self.layer.activate(state);
        let rows = self.output_weights.chunks_exact(units).zip(self.network.output_bias.iter());
        for (moved, (weights, bias)) in moved.iter_mut().zip(rows) {
            *moved = dot(weights, values) + bias;
        }
    }

    fn jacobian(&mut self, state: &[f64], jacobian: &mut [f64]) {
        let d = self.network.output_bias.len();
        jacobian.fill(0.0);
        for (unit, value) in self.layer.activate(state).iter().enumerate() {
            let slope = 1.0 - value * value;
            for row in 0..d {
                let factor = self.network.output_weights[(row, unit)] * slope;
                for column in 0..d {
                    jacobian[row * d + column] += factor * self.network.hidden_weights[(unit, column)];
                }
            }
        }
    }
}

/// What a network makes of the state, where there is one.
pub(crate) fn movement(dynamics: Option<&NonlinearDynamics>) -> Option<Movement> {
    dynamics.map(|dynamics| -> Movement {
        (Box::new(NetworkDynamics::new(&dynamics.network)), dynamics.linearization)
    })
}

/// What moves the state in place of the transition of its model, and how a prediction is made.
pub(crate) type Movement = (Box<dyn StateDynamics>, Linearization);

/// The belief of a state that moves by [`StateDynamics`]; POINTS is 2 D + 1.
#[derive(Debug)]
pub(crate) struct DynamicBelief<const D: usize, const POINTS: usize> {
    dynamics: Box<dyn StateDynamics>,
    linearization: Linearization,
    plain: PlainBelief<D>,
}

impl<const D: usize, const POINTS: usize> DynamicBelief<D, POINTS> {
    /// At the stationary distribution of `state`, of order 1, whose transition is not used.
    pub(crate) fn new(
        state: &StateModel,
        dynamics: Box<dyn StateDynamics>,
        linearization: Linearization,
    ) -> Self {
        Self { dynamics, linearization, plain: PlainBelief::new(state) }
    }

    fn extended(&mut self) -> (Vector<D>, Square<D>) {
        let mean = self.plain.newest_mean();
        let mut moved = [0.0; D];
        let mut jacobian = zeros::<D>();
        self.dynamics.advance(&mean, &mut moved);
        self.dynamics.jacobian(&mean, jacobian.as_flattened_mut());
        (moved, propagated(&jacobian, &self.plain.newest_covariance(), self.plain.process_noise()))
    }

    fn unscented(&mut self) -> (Vector<D>, Square<D>) {
        let mut sigma =
            SigmaPoints::<D, POINTS>::of(&self.plain.newest_mean(), &self.plain.newest_covariance());
        for point in &mut sigma.points {
            let from = *point;
            self.dynamics.advance(&from, point);
        }
        let mean = sigma.mean();
        (mean, sigma.covariance(&mean, self.plain.process_noise()))
    }
}

impl<const D: usize, const POINTS: usize> Belief<D> for DynamicBelief<D, POINTS> {
    fn start_at(&mut self, mean: &Vector<D>, covariance: &Square<D>) {
        self.plain.start_at(mean, covariance);
    }

    fn start_stationary(&mut self) {
        self.plain.start_stationary();
    }

    fn predict(&mut self) {
        let (mean, mut covariance) = match self.linearization {
            Linearization::Extended => self.extended(),
            Linearization::Unscented => self.unscented(),
        };
        if !mean.iter().chain(covariance.as_flattened()).all(|value| value.is_finite()) {
            self.plain.start_stationary();
            return;
        }
        limit(&mut covariance, self.plain.stationary());
        self.plain.start_at(&mean, &covariance);
    }

    fn update(&mut self, information: &Square<D>, vector: &Vector<D>) {
        self.plain.update(information, vector);
    }

    fn correct(&mut self, correction: &Correction<D>) {
        self.plain.correct(correction);
    }

    fn newest_mean(&self) -> Vector<D> {
        self.plain.newest_mean()
    }

    fn newest_covariance(&self) -> Square<D> {
        self.plain.newest_covariance()
    }

    fn state(&self) -> FilterState<'_> {
        self.plain.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.plain.adopt(state)
    }
}

/// Scales components whose variance is above `MOST_VARIANCES` stationary ones down to it; correlations stay.
fn limit<const D: usize>(covariance: &mut Square<D>, stationary: &Square<D>) {
    let mut factors = [1.0; D];
    for component in 0..D {
        let most = MOST_VARIANCES * stationary[component][component];
        if covariance[component][component] > most {
            factors[component] = (most / covariance[component][component]).sqrt();
        }
    }
    for row in 0..D {
        for column in 0..D {
            covariance[row][column] *= factors[row] * factors[column];
        }
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};

    use super::*;
    use crate::StationarySource;
    use crate::small_matrix::cholesky;

    fn state(transition: DMatrix<f64>) -> StateModel {
        let d = transition.nrows();
        StateModel {
            order: 1,
            transition,
            process_noise: DMatrix::from_fn(d, d, |row, column| if row == column { 0.2 } else { 0.03 }),
            stationary_covariance: DMatrix::identity(d, d),
            stationary_source: StationarySource::Training,
            mean: None,
        }
    }

    fn network(d: usize, hidden: usize, size: f64) -> TanhNetwork {
        let value = |seed: usize, at: usize| ((seed + 7 * at * at + 3 * at) as f64).sin();
        TanhNetwork {
            hidden_weights: DMatrix::from_fn(hidden, d, |row, column| size * value(1, row * d + column)),
            hidden_bias: DVector::from_fn(hidden, |row, _| value(2, row)),
            output_weights: DMatrix::from_fn(d, hidden, |row, column| value(3, row * hidden + column)),
            output_bias: DVector::from_fn(d, |row, _| value(4, row)),
        }
    }

    /// `A z`, which both forms have to predict as the linear belief does.
    #[derive(Debug)]
    struct Linear(DMatrix<f64>);

    impl StateDynamics for Linear {
        fn dimension(&self) -> usize {
            self.0.nrows()
        }

        fn advance(&mut self, state: &[f64], moved: &mut [f64]) {
            moved.copy_from_slice((&self.0 * DVector::from_column_slice(state)).as_slice());
        }

        fn jacobian(&mut self, _state: &[f64], jacobian: &mut [f64]) {
            jacobian.copy_from_slice(self.0.transpose().as_slice());
        }
    }

    #[test]
    fn linear_dynamics_predict_as_the_linear_belief() {
        let transition = DMatrix::from_row_slice(2, 2, &[0.9, 0.2, -0.1, 0.8]);
        let state = state(transition.clone());
        for linearization in [Linearization::Extended, Linearization::Unscented] {
            let mut plain = PlainBelief::<2>::new(&state);
            let mut dynamic =
                DynamicBelief::<2, 5>::new(&state, Box::new(Linear(transition.clone())), linearization);
            for step in 0..500 {
                plain.predict();
                dynamic.predict();
                if step % 3 > 0 {
                    let information = [[1.0 + f64::from(step % 5), 0.3], [0.3, 0.5]];
                    let vector = [f64::from(step).sin(), f64::from(step).cos()];
                    plain.update(&information, &vector);
                    dynamic.update(&information, &vector);
                }
                let (left, right) = (plain.state(), dynamic.state());
                for (left, right) in
                    left.mean.iter().chain(left.covariance).zip(right.mean.iter().chain(right.covariance))
                {
                    assert!((left - right).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn the_jacobian_of_a_network_is_that_of_central_differences() {
        let mut dynamics = NetworkDynamics::new(&network(3, 19, 0.8));
        let at = [0.4, -0.9, 0.2];
        let mut jacobian = [0.0; 9];
        dynamics.jacobian(&at, &mut jacobian);
        for column in 0..3 {
            let mut moved = |step: f64| {
                let mut from = at;
                from[column] += step;
                let mut to = [0.0; 3];
                dynamics.advance(&from, &mut to);
                to
            };
            let (ahead, behind) = (moved(1e-5), moved(-1e-5));
            for row in 0..3 {
                let difference = (ahead[row] - behind[row]) / 2e-5;
                assert!((jacobian[row * 3 + column] - difference).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_point_that_the_state_flees_from_leaves_the_belief_finite_without_measurements() {
        for linearization in [Linearization::Extended, Linearization::Unscented] {
            let steep = NetworkDynamics::new(&network(2, 8, 30.0));
            let mut belief =
                DynamicBelief::<2, 5>::new(&state(DMatrix::zeros(2, 2)), Box::new(steep), linearization);
            for _ in 0..10_000 {
                belief.predict();
                let covariance = belief.newest_covariance();
                assert!(
                    cholesky(&covariance).is_some() && covariance[0][0] <= 100.0 + 1e-9,
                    "{covariance:?}"
                );
            }
        }
    }

    #[test]
    fn dynamics_that_give_no_number_lead_to_the_stationary_distribution() {
        let broken = Linear(DMatrix::from_element(2, 2, f64::NAN));
        let mut belief = DynamicBelief::<2, 5>::new(
            &state(DMatrix::zeros(2, 2)),
            Box::new(broken),
            Linearization::Extended,
        );
        belief.start_at(&[3.0, 4.0], &[[0.1, 0.0], [0.0, 0.1]]);
        belief.predict();
        assert!(belief.newest_mean()[0].abs() < f64::MIN_POSITIVE);
        assert!((belief.newest_covariance()[0][0] - 1.0).abs() < 1e-15);
    }
}
