//! The filter about a state model of any size and order: picks the code compiled for it.

use kalmind_types::Intent;

use crate::belief::{Belief, PlainBelief, square_of};
use crate::decoder::{FilterState, StepReport};
use crate::decoders::kalman::parameters::KalmanParameters;
use crate::discriminator::{Discriminator, Measured};
use crate::dynamics::{DynamicBelief, Movement};
use crate::innovation::Innovation;
use crate::model_error::ModelError;
use crate::options::{Form, Start};
use crate::small_matrix::{Square, Vector, apply, from_slice, from_triangle, inverse};
use crate::stacked::StackedBelief;
use crate::state_model::StateModel;

/// What a bin says of the intent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measurement<'a> {
    /// h, with the J given by [`StateFilter::set_information`]; and the features that it came from, which are used where
    /// [`StateFilter::set_observation`] was called.
    Information { vector: &'a [f64], features: &'a [f64] },
    /// f, and Q as lower triangle or the one given by [`StateFilter::set_noise`].
    Conditional { mean: &'a [f64], covariance: Option<&'a [f64]> },
}

/// A filter of any dimension and order: a belief and the rule by which measurements reach it.
pub(crate) trait StateFilter: Send + core::fmt::Debug {
    /// Fixes J (d x d, row-major) for [`Measurement::Information`].
    fn set_information(&mut self, information: &[f64]);

    /// Makes the measurement update of [`Measurement::Information`] take the covariance form.
    fn set_observation(&mut self, kalman: &KalmanParameters);

    /// Fixes Q (lower triangle) for [`Measurement::Conditional`]; false where it is not positive definite.
    fn set_noise(&mut self, noise: &[f64]) -> bool;

    /// Back to row one.
    fn restart(&mut self);

    /// One bin. Real-time.
    fn step(&mut self, measurement: Option<Measurement<'_>>, intent: &mut Intent) -> StepReport;

    /// The belief; `None` before row one.
    fn state(&self) -> Option<FilterState<'_>>;

    /// Takes over a belief.
    fn adopt(&mut self, state: FilterState<'_>) -> bool;
}

/// Writes a mean and a covariance into an intent of their dimension.
pub(crate) fn publish<const D: usize>(mean: &Vector<D>, covariance: &Square<D>, intent: &mut Intent) {
    if intent.dimension() != D {
        *intent = Intent::zero(D);
    }
    intent.mean_mut().copy_from_slice(mean);
    let mut entries = intent.covariance_mut().iter_mut();
    for (row, values) in covariance.iter().enumerate() {
        // The short side first: `zip` would take one entry too many from the long one.
        for (from, to) in values[..=row].iter().zip(entries.by_ref()) {
            *to = *from;
        }
    }
}

/// The filter for a state model; with `form` for conditional measurements, with `movement` for a state of order 1 that
/// does not move linearly.
pub(crate) fn state_filter(
    state: &StateModel,
    movement: Option<Movement>,
    form: Option<Form>,
    start: Start,
) -> Result<Box<dyn StateFilter>, ModelError> {
    match state.dimension() {
        1 => state_filter_of::<1, 3>(state, movement, form, start),
        2 => state_filter_of::<2, 5>(state, movement, form, start),
        3 => state_filter_of::<3, 7>(state, movement, form, start),
        4 => state_filter_of::<4, 9>(state, movement, form, start),
        5 => state_filter_of::<5, 11>(state, movement, form, start),
        6 => state_filter_of::<6, 13>(state, movement, form, start),
        7 => state_filter_of::<7, 15>(state, movement, form, start),
        8 => state_filter_of::<8, 17>(state, movement, form, start),
        other => Err(ModelError::OutOfRange {
            name: "the number of components",
            value: other as f64,
            expected: "1 to 8",
        }),
    }
}

/// POINTS is 2 D + 1.
fn state_filter_of<const D: usize, const POINTS: usize>(
    state: &StateModel,
    movement: Option<Movement>,
    form: Option<Form>,
    start: Start,
) -> Result<Box<dyn StateFilter>, ModelError> {
    let not_positive =
        || ModelError::NotPositive { tensor: "stationary_covariance (newest block)", strict: true };
    let discriminator = match form {
        Some(form) => Some(
            Discriminator::<D>::new(form, &square_of(&state.stationary_covariance))
                .ok_or_else(not_positive)?,
        ),
        None => None,
    };
    Ok(if let Some((dynamics, linearization)) = movement {
        let belief = DynamicBelief::<D, POINTS>::new(state, dynamics, linearization);
        Box::new(Filter::new(belief, discriminator, start))
    } else if state.order == 1 {
        Box::new(Filter::new(PlainBelief::<D>::new(state), discriminator, start))
    } else {
        Box::new(Filter::new(StackedBelief::<D>::new(state).ok_or_else(not_positive)?, discriminator, start))
    })
}

/// See [`StateFilter`].
#[derive(Debug)]
struct Filter<const D: usize, B> {
    belief: B,
    discriminator: Option<Discriminator<D>>,
    start: Start,
    started: bool,
    /// The fixed measurement: J and weight, and what the first measurement alone says of the covariance.
    fixed: Option<Measured<D>>,
    first_covariance: Option<Square<D>>,
    innovation: Option<Innovation<D>>,
}

/// J, h and what the measurement alone says.
struct Observed<const D: usize> {
    information: Square<D>,
    vector: Vector<D>,
    fallback: bool,
    alone: Option<(Vector<D>, Square<D>)>,
}

impl<const D: usize, B: Belief<D>> Filter<D, B> {
    fn new(belief: B, discriminator: Option<Discriminator<D>>, start: Start) -> Self {
        Self {
            belief,
            discriminator,
            start,
            started: false,
            fixed: None,
            first_covariance: None,
            innovation: None,
        }
    }

    fn observe(&self, measurement: Measurement<'_>) -> Option<Observed<D>> {
        let vector_of = |values: &[f64]| {
            let values: &Vector<D> = values.try_into().ok()?;
            values.iter().all(|value| value.is_finite()).then_some(*values)
        };
        match measurement {
            Measurement::Information { vector, .. } => {
                let vector = vector_of(vector)?;
                let alone = self.first_covariance.map(|covariance| (apply(&covariance, &vector), covariance));
                Some(Observed { information: self.fixed?.information, vector, fallback: false, alone })
            }
            Measurement::Conditional { mean, covariance } => {
                let mean = vector_of(mean)?;
                let (measured, q) = match covariance {
                    Some(triangle) => {
                        let q = from_triangle(triangle);
                        (self.discriminator.as_ref()?.measure(&q)?, q)
                    }
                    None => (self.fixed?, self.first_covariance?),
                };
                let vector = apply(&measured.weight, &mean);
                Some(Observed {
                    information: measured.information,
                    vector,
                    fallback: measured.fallback,
                    alone: Some((mean, q)),
                })
            }
        }
    }
}

impl<const D: usize, B: Belief<D>> Filter<D, B> {
    /// The measurement update; false where the measurement says nothing usable.
    fn update(&mut self, observed: &Observed<D>, measurement: Option<Measurement<'_>>) -> bool {
        let (Some(innovation), Some(Measurement::Information { features, .. })) =
            (&mut self.innovation, measurement)
        else {
            self.belief.update(&observed.information, &observed.vector);
            return true;
        };
        let (mean, covariance) = (self.belief.newest_mean(), self.belief.newest_covariance());
        match innovation.correction(features, &mean, &covariance) {
            Some(correction) => self.belief.correct(&correction),
            None => return false,
        }
        true
    }
}

impl<const D: usize, B: Belief<D>> StateFilter for Filter<D, B> {
    fn set_information(&mut self, information: &[f64]) {
        let information = from_slice(information);
        self.first_covariance = inverse(&information);
        self.fixed = Some(Measured { information, weight: information, fallback: false });
    }

    fn set_observation(&mut self, kalman: &KalmanParameters) {
        self.innovation = Some(Innovation::new(kalman));
    }

    fn set_noise(&mut self, noise: &[f64]) -> bool {
        let q = from_triangle(noise);
        self.first_covariance = Some(q);
        self.fixed = self.discriminator.as_ref().and_then(|discriminator| discriminator.measure(&q));
        self.fixed.is_some()
    }

    fn restart(&mut self) {
        self.started = false;
    }

    fn step(&mut self, measurement: Option<Measurement<'_>>, intent: &mut Intent) -> StepReport {
        let observed = measurement.and_then(|measurement| self.observe(measurement));
        // A measurement that says nothing usable is a time update, and is counted.
        let mut report = StepReport {
            valid: true,
            fallback: measurement.is_some() && observed.as_ref().is_none_or(|observed| observed.fallback),
            unused: measurement.is_some() && observed.is_none(),
            ..StepReport::default()
        };
        match (observed, self.started) {
            (None, false) => {
                report.valid = false;
                return report;
            }
            (None, true) => self.belief.predict(),
            (Some(observed), true) => {
                self.belief.predict();
                report.unused = !self.update(&observed, measurement);
                report.fallback |= report.unused;
            }
            (Some(observed), false) => {
                report.row_one = true;
                self.started = true;
                if let (Start::First, Some((mean, covariance))) = (self.start, observed.alone) {
                    self.belief.start_at(&mean, &covariance);
                    report.fallback = false;
                } else {
                    self.belief.start_stationary();
                    report.unused = !self.update(&observed, measurement);
                    report.fallback |= report.unused;
                }
            }
        }
        publish(&self.belief.newest_mean(), &self.belief.newest_covariance(), intent);
        report
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.started.then(|| self.belief.state())
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        let adopted = self.belief.adopt(state);
        self.started |= adopted;
        adopted
    }
}
