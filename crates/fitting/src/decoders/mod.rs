//! The registry of fits: one line a decoder, and none can be left out.

mod auto;
mod dkf_gp;
mod dkf_gru;
mod dkf_linear;
mod dkf_mk;
pub(crate) mod dkf_nn;
pub(crate) mod dkf_nw;
pub(crate) mod kalman;
mod kalman_steady;
pub(crate) mod kind;
mod nonlinear_kalman;
mod ole;
mod refit_kalman;
mod wiener;
mod wiener_cascade;

use std::borrow::Cow;

use kalmind_filter::{DecoderName, DecoderSpec, Parameters, TrainingData};

use self::kind::{DecoderFit, Job};
use crate::fit_error::FitError;
use crate::report::{FitProgress, FitReport, FitSettings};
use crate::state_mean;

fn fit_of(decoder: DecoderName) -> &'static DecoderFit {
    match decoder {
        DecoderName::Kalman => &kalman::FIT,
        DecoderName::KalmanSteady => &kalman_steady::FIT,
        DecoderName::Wiener => &wiener::FIT,
        DecoderName::WienerCascade => &wiener_cascade::FIT,
        DecoderName::Ole => &ole::FIT,
        DecoderName::RefitKalman => &refit_kalman::FIT,
        DecoderName::Ekf => &nonlinear_kalman::EKF,
        DecoderName::Ukf => &nonlinear_kalman::UKF,
        DecoderName::DkfLinear => &dkf_linear::FIT,
        DecoderName::DkfNw => &dkf_nw::FIT,
        DecoderName::DkfGp => &dkf_gp::FIT,
        DecoderName::DkfMk => &dkf_mk::FIT,
        DecoderName::DkfNn => &dkf_nn::FIT,
        DecoderName::DkfGru => &dkf_gru::FIT,
        DecoderName::Auto => &auto::FIT,
    }
}

/// The rows with the states that a decoder is meant to give.
pub(crate) fn what_it_decodes(decoder: DecoderName, data: &TrainingData) -> Cow<'_, TrainingData> {
    (fit_of(decoder).decodes)(data)
}

/// The tensors of a decoder fitted to checked rows; those of a baseline without a factor on its covariance.
pub(crate) fn parameters(
    spec: &DecoderSpec,
    data: &TrainingData,
    background: &[f64],
    settings: &FitSettings,
    report: &mut FitReport,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Parameters, FitError> {
    let DecoderFit { fit, rests_at_zero, .. } = fit_of(spec.decoder);
    let (centred, mean) = state_mean::centred(&spec.options, data, settings.labels || *rests_at_zero);
    let mean_of = |decoder| fit_of(decoder).mean;
    let data = &*centred;
    let mut parameters = fit(&mut Job { spec, data, background, settings, report, progress, mean_of })?;
    if let Some(mean) = mean {
        report.uses("state-mean", mean.as_slice());
        if let Some(held_out) = &mut report.held_out {
            held_out.means.row_iter_mut().for_each(|mut row| row += mean.transpose());
        }
        parameters.add_mean(mean);
    }
    Ok(parameters)
}
