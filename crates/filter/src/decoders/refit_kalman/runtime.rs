//! `refit-kalman` at work: a Kalman filter that may know the cursor's position of the tick before.
//!
//! A Kalman filter ([`kalman`](crate::decoders::kalman)) whose tensors were fitted anew to intentions that were turned toward the
//! targets (Gilja et al., Nature Neuroscience 15, 2012). With position feedback the features also depend on where the
//! cursor is, which the participant sees and the filter knows without uncertainty, as in the paper's state with a position
//! of variance zero:
//!
//! ```text
//! x_t = H z_t + F (p_{t-1} - c) + offset + N(0, R)        p_{t-1} the cursor displayed during bin t, c = (0.5, 0.5)
//! ```
//!
//! so that a step is that of a Kalman filter on `x_t - F (p_{t-1} - c)`, for 2 n multiplications more. The position is the
//! one that [`observe_cursor`](crate::Decoder::observe_cursor) told last; before the first one, and after a restart, it is
//! taken to be c, the middle of a square workspace, where F says nothing. A position that is not finite is not taken.
//!
//! When to use it: for a second model from a block in which the cursor was already decoded, with known targets. When not:
//! for open-loop calibration, where the label already points at the target.

use kalmind_types::{Intent, Position};

use nalgebra::DMatrix;

use crate::decoder::{Decoder, FilterState, LookBack, StepReport};
use crate::decoders::kalman::parameters::KalmanParameters;
use crate::decoders::kalman::runtime::KalmanDecoder;
use crate::model_error::ModelError;
use crate::options::KalmanUpdate;

/// What positions are counted from: the middle of a square workspace.
pub const CENTRE: Position = Position([0.5, 0.5]);

/// See the module.
#[derive(Debug)]
pub(crate) struct RefitKalmanDecoder {
    kalman: KalmanDecoder,
    feedback: Option<PositionFeedback>,
}

/// F and the position that it applies to.
#[derive(Debug)]
struct PositionFeedback {
    /// F, n rows.
    weights: Vec<[f64; 2]>,
    /// From the centre to the cursor.
    position: [f64; 2],
    /// x - F (p - c).
    corrected: Vec<f64>,
}

impl RefitKalmanDecoder {
    pub(crate) fn new(
        kalman: &KalmanParameters,
        feedback: Option<&DMatrix<f64>>,
    ) -> Result<Self, ModelError> {
        let feedback = feedback.map(|feedback| PositionFeedback {
            weights: feedback.row_iter().map(|row| [row[0], row[1]]).collect(),
            position: [0.0; 2],
            corrected: vec![0.0; feedback.nrows()],
        });
        Ok(Self { kalman: KalmanDecoder::new(kalman, KalmanUpdate::Auto)?, feedback })
    }
}

impl PositionFeedback {
    fn correct(&mut self, features: &[f64]) -> &[f64] {
        let [x, y] = self.position;
        for ((corrected, feature), [along_x, along_y]) in
            self.corrected.iter_mut().zip(features).zip(&self.weights)
        {
            *corrected = feature - (along_x * x + along_y * y);
        }
        &self.corrected
    }
}

impl Decoder for RefitKalmanDecoder {
    fn features(&self) -> usize {
        self.kalman.features()
    }

    fn dimension(&self) -> usize {
        self.kalman.dimension()
    }

    fn restart(&mut self) {
        self.kalman.restart();
        if let Some(feedback) = &mut self.feedback {
            feedback.position = [0.0; 2];
        }
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        match (&mut self.feedback, features) {
            (Some(feedback), Some(features)) if features.len() == feedback.weights.len() => {
                self.kalman.step(Some(feedback.correct(features)), intent)
            }
            _ => self.kalman.step(features, intent),
        }
    }

    fn look_back(&self) -> LookBack {
        self.kalman.look_back()
    }

    fn takes_cursor(&self) -> bool {
        self.feedback.is_some()
    }

    fn observe_cursor(&mut self, cursor: Position) {
        if let Some(feedback) = &mut self.feedback
            && cursor.0.iter().all(|value| value.is_finite())
        {
            feedback.position = CENTRE.to(cursor);
        }
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.kalman.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.kalman.adopt(state)
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::DVector;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{CovarianceScale, Start, StateModel, StationarySource};

    fn kalman() -> KalmanParameters {
        KalmanParameters {
            state: StateModel {
                order: 1,
                transition: DMatrix::from_row_slice(2, 2, &[0.9, 0.05, -0.1, 0.85]),
                process_noise: DMatrix::from_row_slice(2, 2, &[0.2, 0.03, 0.03, 0.1]),
                stationary_covariance: DMatrix::identity(2, 2),
                stationary_source: StationarySource::Training,
                mean: None,
            },
            observation: DMatrix::from_row_slice(3, 2, &[1.0, 0.2, -0.4, 0.8, 0.3, 0.3]),
            observation_offset: DVector::from_column_slice(&[0.1, 0.2, 0.3]),
            observation_noise: DMatrix::identity(3, 3) * 0.3,
            information: None,
            start: Start::Prior,
            covariance_scale: CovarianceScale::constant(1.0),
        }
    }

    #[test]
    fn position_feedback_is_a_kalman_filter_on_what_the_position_does_not_explain() {
        let feedback = DMatrix::from_row_slice(3, 2, &[2.0, -1.0, 0.5, 0.0, -0.7, 3.0]);
        let mut decoder = RefitKalmanDecoder::new(&kalman(), Some(&feedback)).unwrap();
        let mut plain = KalmanDecoder::new(&kalman(), KalmanUpdate::Auto).unwrap();
        assert!(decoder.takes_cursor());
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (mut found, mut expected) = (Intent::zero(2), Intent::zero(2));
        let mut position = CENTRE;
        for step in 0..200 {
            // not told at first, not told now and then, told nonsense once
            if step >= 5 && step % 4 != 0 {
                position = Position([random.random_range(0.0..1.0), random.random_range(0.0..1.0)]);
                decoder.observe_cursor(position);
            }
            if step == 20 {
                decoder.observe_cursor(Position([f64::NAN, 0.0]));
            }
            if step == 100 {
                decoder.restart();
                plain.restart();
                position = CENTRE;
            }
            let features: Vec<f64> = (0..3).map(|_| random.random_range(-2.0..2.0)).collect();
            let [x, y] = CENTRE.to(position);
            let corrected: Vec<f64> =
                (0..3).map(|at| features[at] - (feedback[(at, 0)] * x + feedback[(at, 1)] * y)).collect();
            let measured = step % 9 != 7;
            let report = decoder.step(measured.then_some(&features), &mut found);
            assert_eq!(report, plain.step(measured.then_some(&corrected), &mut expected));
            assert_eq!(found, expected, "step {step}");
        }
    }

    #[test]
    fn without_feedback_the_cursor_changes_nothing() {
        let mut decoder = RefitKalmanDecoder::new(&kalman(), None).unwrap();
        let mut plain = KalmanDecoder::new(&kalman(), KalmanUpdate::Auto).unwrap();
        assert!(!decoder.takes_cursor());
        let (mut found, mut expected) = (Intent::zero(2), Intent::zero(2));
        for step in 0..50 {
            let value = f64::from(step) / 50.0;
            decoder.observe_cursor(Position([value, 1.0 - value]));
            decoder.step(Some(&[value, 0.3, -value]), &mut found);
            plain.step(Some(&[value, 0.3, -value]), &mut expected);
            assert_eq!(found, expected);
        }
    }
}
