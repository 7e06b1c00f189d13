//! The Kalman filter as a textbook has it, with dense matrices and explicit inverses: what the fast ones are held against.

use kalmind_filter::KalmanParameters;
use nalgebra::DMatrix;

/// A Kalman filter with the gain of every step, or with the one that it converges to.
#[derive(Debug)]
pub(crate) struct TextbookKalman {
    transition: DMatrix<f64>,
    process_noise: DMatrix<f64>,
    observation: DMatrix<f64>,
    offset: DMatrix<f64>,
    observation_noise: DMatrix<f64>,
    /// H' R^-1.
    weights: DMatrix<f64>,
    /// P H' R^-1 at the fixed point of the covariance, where the gain is fixed.
    steady_gain: Option<DMatrix<f64>>,
    started: bool,
    pub(crate) mean: DMatrix<f64>,
    pub(crate) covariance: DMatrix<f64>,
}

impl TextbookKalman {
    /// At N(0, S), before row one. `None` where a matrix has no inverse.
    pub(crate) fn new(kalman: &KalmanParameters, steady: bool) -> Option<Self> {
        let offset = kalman.observation_offset.as_slice();
        let mut filter = Self {
            transition: kalman.state.transition.clone(),
            process_noise: kalman.state.process_noise.clone(),
            observation: kalman.observation.clone(),
            offset: DMatrix::from_column_slice(offset.len(), 1, offset),
            observation_noise: kalman.observation_noise.clone(),
            weights: kalman.observation.transpose() * kalman.observation_noise.clone().try_inverse()?,
            steady_gain: None,
            started: false,
            mean: DMatrix::zeros(kalman.state.dimension(), 1),
            covariance: kalman.state.stationary_covariance.clone(),
        };
        if steady {
            let mut covariance = filter.covariance.clone();
            for _ in 0..5000 {
                covariance = filter.updated(&filter.predicted(&covariance))?;
            }
            filter.steady_gain = Some(covariance * &filter.weights);
        }
        Some(filter)
    }

    /// M = A P A' + G.
    fn predicted(&self, covariance: &DMatrix<f64>) -> DMatrix<f64> {
        &self.transition * covariance * self.transition.transpose() + &self.process_noise
    }

    /// P = (M^-1 + H' R^-1 H)^-1.
    fn updated(&self, predicted: &DMatrix<f64>) -> Option<DMatrix<f64>> {
        (predicted.clone().try_inverse()? + &self.weights * &self.observation).try_inverse()
    }

    /// From one bin to the next.
    fn time_update(&mut self) {
        if self.started {
            self.mean = &self.transition * &self.mean;
            self.covariance = self.predicted(&self.covariance);
        }
    }

    /// One bin: a row of features, or `None` for a time update only. `None` where a matrix has no inverse.
    pub(crate) fn step(&mut self, features: Option<&[f64]>) -> Option<()> {
        self.time_update();
        let Some(features) = features else { return Some(()) };
        let innovation = DMatrix::from_column_slice(features.len(), 1, features)
            - &self.offset
            - &self.observation * &self.mean;
        match &self.steady_gain {
            None => {
                self.covariance = self.updated(&self.covariance)?;
                self.mean += &self.covariance * &self.weights * innovation;
            }
            Some(gain) => {
                let d = self.mean.nrows();
                let kept = DMatrix::identity(d, d) - gain * &self.observation;
                self.covariance = &kept * &self.covariance * kept.transpose()
                    + gain * &self.observation_noise * gain.transpose();
                self.mean += gain * innovation;
            }
        }
        self.started = true;
        Some(())
    }
}
