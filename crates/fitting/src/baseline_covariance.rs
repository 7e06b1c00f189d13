//! The factor on the covariance of the baselines, from rows that they were not fitted to.
//!
//! A discriminative filter comes with held-out estimates, since its f is cross-fitted. A baseline is [fitted once more without
//! each fold](held_out_fits); what it errs there makes the factor ([`covariance_calibration`]), which the decoder of all rows
//! then has.

use crate::covariance_calibration;
use crate::held_out_fits::{self, held_out_errors};
use crate::learner::Examples;
use crate::{FitError, FitReport, FitSettings};
use kalmind_filter::{Choice, CovarianceScale, DecoderSpec, Parameters};

/// Gives `parameters`, fitted to what the decoder has `taken` of the `whole` rows, the factor that `covariance-scale` asks for, and notes the coverage.
///
/// Where there are too few rows to hold some out, the factor stays one, with a warning.
pub(crate) fn calibrate(
    parameters: &mut Parameters,
    spec: &DecoderSpec,
    whole: &Examples<'_>,
    taken: &Examples<'_>,
    settings: &FitSettings,
    report: &mut FitReport,
) {
    let wanted = spec.options.covariance_scale.unwrap_or(Choice::Auto);
    let scale = match held_out_errors(parameters, spec, whole, settings, None) {
        Ok((errors, held_out)) => {
            report.held_out = Some(held_out);
            let (scale, distances) = match wanted {
                Choice::Given(factor) => (
                    CovarianceScale::constant(factor),
                    covariance_calibration::scaled(&errors, |_row| factor),
                ),
                Choice::Auto => covariance_calibration::covariance_scale(&errors, taken),
            };
            report.covers(&distances, parameters.dimension());
            scale
        }
        Err(problem) => {
            report.warnings.push(format!(
                "whether the covariance holds what it says could not be told from held-out rows: {problem}"
            ));
            CovarianceScale::constant(wanted.given().unwrap_or(1.0))
        }
    };
    let [least, greatest] = scale.limits;
    report.covariance_scale = Some(libm::exp(0.5 * (least + greatest)));
    *parameters.covariance_scale_mut() = scale;
}

/// Gives `parameters` the factor of an `earlier` fit, and the report what was found then on held-out rows: none are held out.
///
/// # Errors
/// A factor that depends on another number of features than `n`.
pub(crate) fn keep(
    parameters: &mut Parameters,
    earlier: &FitReport,
    scale: &CovarianceScale,
    n: usize,
    report: &mut FitReport,
) -> Result<(), FitError> {
    if !scale.window.len().is_multiple_of(n) {
        let problem = format!("the factor on its covariance is not one of {n} features");
        return Err(FitError::OtherHyperparameters { problem });
    }
    report.covariance_scale = earlier.covariance_scale;
    report.held_out_coverage = earlier.held_out_coverage;
    held_out_fits::keep_quality(earlier, report);
    *parameters.covariance_scale_mut() = scale.clone();
    Ok(())
}
