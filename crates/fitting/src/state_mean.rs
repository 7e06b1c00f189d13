//! Where the intent rests, and states less that mean: the one place where means of states enter a fit.
//!
//! State models, priors and regressions have mean zero. States that rest elsewhere would be taken for wide ones about zero:
//! the transition turns into the identity, the prior pulls toward zero, and of a Kalman filter's features only those at
//! intent zero fit the model. So states are fitted less their mean, and the decoder adds it again.
//!
//! Labels made from targets are another matter. Their zero is to stand still; their mean says which targets came more often
//! and how far the cursor had to go, and a decoder that falls back to it would let the cursor drift to where the targets
//! were. They keep zero, and features keep their own mean.

use std::borrow::Cow;

use nalgebra::DVector;

use crate::windows::column_means;
use kalmind_filter::{Options, StateMean, TrainingData};

/// The data with states less their mean, and the mean, where the intent rests there.
pub(crate) fn centred<'a>(
    options: &Options,
    data: &'a TrainingData,
    rests_at_zero: bool,
) -> (Cow<'a, TrainingData>, Option<DVector<f64>>) {
    let rests_at_zero = rests_at_zero || options.intercept == Some(false);
    let rest =
        options.state_mean.unwrap_or(if rests_at_zero { StateMean::Zero } else { StateMean::Training });
    if rest == StateMean::Zero {
        return (Cow::Borrowed(data), None);
    }
    let mean = column_means(&data.states);
    let mut centred = data.clone();
    for (mut column, mean) in centred.states.column_iter_mut().zip(&mean) {
        column.add_scalar_mut(-mean);
    }
    (Cow::Owned(centred), Some(DVector::from_vec(mean)))
}
