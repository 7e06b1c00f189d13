//! The discriminative filter for f and Q that somebody else computes.

use kalmind_types::Intent;

use crate::decoder::{FilterState, StepReport};
use crate::dynamics::{Linearization, NonlinearDynamics, StateDynamics, movement};
use crate::model_error::ModelError;
use crate::options::{Form, Start};
use crate::state_filter::{Measurement, StateFilter, state_filter};
use crate::state_model::StateModel;

/// The discriminative Kalman filter for f and Q that somebody else computes: the update alone.
///
/// Real-time in [`step`](Self::step). Cost: d^3 for a first-order state, (d p)^2 d for order p.
#[derive(Debug)]
pub struct DiscriminativeFilter {
    filter: Box<dyn StateFilter>,
}

impl DiscriminativeFilter {
    /// A filter at row one.
    ///
    /// # Errors
    /// Where the state model's tensors do not fit together or S is not positive definite.
    pub fn new(state: &StateModel, form: Form, start: Start) -> Result<Self, ModelError> {
        state.validate(state.dimension())?;
        Ok(Self { filter: state_filter(state, None, Some(form), start)? })
    }

    /// A filter at row one whose state moves by `dynamics` (thesis 2019, sec. 2.10) and not by the transition of `state`,
    /// of which order 1, process noise and stationary covariance are taken.
    ///
    /// # Errors
    /// As [`new`](Self::new), and where order or dimension do not fit.
    pub fn with_dynamics(
        state: &StateModel,
        dynamics: Box<dyn StateDynamics>,
        linearization: Linearization,
        form: Form,
        start: Start,
    ) -> Result<Self, ModelError> {
        state.validate_first_order(state.dimension())?;
        if dynamics.dimension() != state.dimension() {
            return Err(ModelError::Shape {
                tensor: "dynamics",
                found: format!("of {} components", dynamics.dimension()),
                expected: state.dimension().to_string(),
            });
        }
        Ok(Self { filter: state_filter(state, Some((dynamics, linearization)), Some(form), start)? })
    }

    /// A filter at row one whose state moves by a network, where there is one.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_network(
        state: &StateModel,
        dynamics: Option<&NonlinearDynamics>,
        form: Form,
        start: Start,
    ) -> Result<Self, ModelError> {
        state.validate(state.dimension())?;
        Ok(Self { filter: state_filter(state, movement(dynamics), Some(form), start)? })
    }

    /// Handles one bin: `Some((f, q))`, q as lower triangle row by row, is a time and a measurement update; `None` a
    /// time update. A q that is not positive definite, or an f that is not finite, counts as `None`, with `fallback`.
    pub fn step(&mut self, measurement: Option<(&[f64], &[f64])>, intent: &mut Intent) -> StepReport {
        let measurement = measurement
            .map(|(mean, covariance)| Measurement::Conditional { mean, covariance: Some(covariance) });
        self.filter.step(measurement, intent)
    }

    /// The belief; `None` before row one.
    #[must_use]
    pub fn state(&self) -> Option<FilterState<'_>> {
        self.filter.state()
    }
}
