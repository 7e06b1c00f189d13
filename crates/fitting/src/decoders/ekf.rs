//! The fit of `ekf`.

use kalmind_filter::{Linearization, Parameters};

use crate::decoders::kind::DecoderFit;
use crate::decoders::nonlinear_kalman::fit_nonlinear;

/// See the module.
pub(super) const FIT: DecoderFit = DecoderFit::of(|job| {
    let (options, seed) = (&job.spec.options, job.settings.seed);
    let fitted = fit_nonlinear(options, Linearization::Extended, job.data, seed, job.report)?;
    Ok(Parameters::NonlinearKalman(fitted))
});
