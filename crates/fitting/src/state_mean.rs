//! Where the intent rests, and states less that mean: the one place where means of states enter a fit.
//!
//! State models, priors and regressions have mean zero. States that rest elsewhere would be taken for wide ones about zero:
//! the transition turns into the identity, the prior pulls toward zero, and of a Kalman filter's features only those at
//! intent zero fit the model. So states are fitted less their mean, and [`Centred`](kalmind_filter::centred::Centred) adds it again.
//!
//! Labels made from targets are another matter. Their zero is to stand still; their mean says which targets came more often
//! and how far the cursor had to go, and a decoder that falls back to it would let the cursor drift to where the targets
//! were. They keep zero, and features keep their own mean.

use std::borrow::Cow;

use nalgebra::DVector;

use super::windows::column_means;
use kalmind_filter::{DecoderName, DecoderSpec, Parameters, StateMean, TrainingData};

/// The data with states less their mean, and the mean, where the intent rests there.
pub(crate) fn centred<'a>(
    spec: &DecoderSpec,
    data: &'a TrainingData,
    labels: bool,
) -> (Cow<'a, TrainingData>, Option<DVector<f64>>) {
    let rests_at_zero = labels
        || spec.options.intercept == Some(false)
        // intentions on hold are zero by construction
        || spec.decoder == DecoderName::RefitKalman;
    let rest =
        spec.options.state_mean.unwrap_or(if rests_at_zero { StateMean::Zero } else { StateMean::Training });
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

/// Makes parameters that were fitted to centred states those of the states themselves.
pub(crate) fn restore(parameters: &mut Parameters, mean: DVector<f64>) {
    match parameters {
        Parameters::Kalman(kalman) | Parameters::KalmanSteady(kalman) => kalman.state.mean = Some(mean),
        Parameters::RefitKalman(refit) => refit.kalman.state.mean = Some(mean),
        Parameters::NonlinearKalman(nonlinear) => nonlinear.state.mean = Some(mean),
        Parameters::Dkf(dkf) => dkf.state.mean = Some(mean),
        // without a state model the mean is part of the intercept
        Parameters::Wiener(wiener) | Parameters::Ole(wiener) => wiener.intercept += mean,
        Parameters::WienerCascade(cascade) => {
            for (constant, mean) in cascade.polynomial.column_mut(0).iter_mut().zip(mean.iter()) {
                *constant += mean;
            }
        }
    }
}
