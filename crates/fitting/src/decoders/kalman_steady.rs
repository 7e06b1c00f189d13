//! The fit of `kalman-steady`: that of `kalman`, and how its gain is found.

use kalmind_filter::decoders::kalman_steady::runtime::{SteadySource, steady_source};
use kalmind_filter::{KalmanParameters, Parameters};

use crate::decoders::kalman::fit_kalman;
use crate::decoders::kind::DecoderFit;
use crate::report::FitReport;

/// See the module.
pub(super) const FIT: DecoderFit = DecoderFit::of(|job| {
    let kalman = fit_kalman(job.data, &job.spec.options, job.report)?;
    note_steady_gain(&kalman, job.report);
    Ok(Parameters::KalmanSteady(kalman))
});

/// Notes how `kalman-steady` finds its gain, and warns where the Riccati equation has no solution that stabilizes.
fn note_steady_gain(kalman: &KalmanParameters, report: &mut FitReport) {
    let (gain, steps, warning) = match steady_source(kalman) {
        Ok(SteadySource::Riccati { doublings }) => ("riccati", Some(doublings), None),
        Ok(SteadySource::Recursion { iterations, failure }) => (
            "recursion",
            Some(iterations),
            Some(format!(
                "the Riccati equation has no solution to run with ({failure}); the gain is the one at which the recursion \
                 from S stands still"
            )),
        ),
        Ok(SteadySource::None { failure }) => (
            "every step",
            None,
            Some(format!(
                "there is no steady-state gain ({failure}); the decoder runs as `kalman` and reports every step as a \
                 fallback"
            )),
        ),
        // R is positive definite, since its factor was taken in the fit
        Err(_) => return,
    };
    report.uses("gain", gain);
    report.steady_iterations = steps;
    report.warnings.extend(warning);
}

#[cfg(test)]
mod tests {
    use kalmind_filter::{CovarianceScale, Start, StateModel, StationarySource};
    use nalgebra::{DMatrix, DVector};

    use super::*;

    fn noted(transition: &[f64]) -> FitReport {
        let kalman = KalmanParameters {
            state: StateModel {
                order: 1,
                transition: DMatrix::from_row_slice(2, 2, transition),
                process_noise: DMatrix::from_row_slice(2, 2, &[0.0, 0.0, 0.0, 0.1]),
                stationary_covariance: DMatrix::identity(2, 2),
                stationary_source: StationarySource::Training,
                mean: None,
            },
            observation: DMatrix::from_row_slice(2, 2, &[0.0, 1.0, 0.0, -0.5]),
            observation_offset: DVector::zeros(2),
            observation_noise: DMatrix::identity(2, 2),
            information: None,
            start: Start::Prior,
            covariance_scale: CovarianceScale::constant(1.0),
        };
        let mut report = FitReport::default();
        note_steady_gain(&kalman, &mut report);
        report
    }

    #[test]
    fn a_report_says_how_the_steady_gain_was_found_and_what_is_wrong_with_the_model() {
        let found = noted(&[0.9, 0.02, 0.0, 0.9]);
        assert_eq!(found.hyperparameters["gain"], "riccati");
        assert!(found.steady_iterations.is_some_and(|steps| steps < 15) && found.warnings.is_empty());
        let constant = noted(&[1.0, 0.0, 0.0, 0.9]);
        assert_eq!(constant.hyperparameters["gain"], "recursion");
        assert!(constant.warnings[0].contains("neither forgets nor has noise"), "{:?}", constant.warnings);
        // the position that the velocity adds up to, which no feature sees
        let position = noted(&[1.0, 0.02, 0.0, 0.9]);
        assert_eq!(position.hyperparameters["gain"], "every step");
        assert_eq!(position.steady_iterations, None);
        assert!(position.warnings[0].contains("no feature observes it"), "{:?}", position.warnings);
    }
}
