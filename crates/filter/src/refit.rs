//! `refit-kalman` at work: a Kalman filter that may know the cursor's position of the tick before.

use kalmind_types::{Intent, Position};

use crate::kalman::KalmanDecoder;
use crate::{Decoder, FilterState, ModelError, RefitKalmanParameters, StepReport};

/// See the module.
#[derive(Debug)]
pub(crate) struct RefitKalmanDecoder {
    kalman: KalmanDecoder,
}

impl RefitKalmanDecoder {
    pub(crate) fn new(refit: &RefitKalmanParameters) -> Result<Self, ModelError> {
        Ok(Self { kalman: KalmanDecoder::new(&refit.kalman)? })
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
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        self.kalman.step(features, intent)
    }

    fn observe_cursor(&mut self, _cursor: Position) {}

    fn state(&self) -> Option<FilterState<'_>> {
        self.kalman.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.kalman.adopt(state)
    }
}
