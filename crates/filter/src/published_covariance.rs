//! From what a filter believes to the covariance that is published: a [`CovarianceScale`] at work.

use kalmind_types::Intent;
use nalgebra::DMatrix;

use crate::cholesky::Cholesky;
use crate::{CovarianceScale, ModelError};

/// Added to a size before its logarithm.
const LEAST_SIZE: f64 = 0.05;
/// Added to a surprise before its logarithm.
const LEAST_SURPRISE: f64 = 0.01;

/// The factor of every bin, and the one before.
#[derive(Clone, Debug)]
pub(crate) struct PublishedCovariance {
    measure: Measure,
    scale: CovarianceScale,
    latest: f64,
}

impl PublishedCovariance {
    pub(crate) fn new(scale: &CovarianceScale, marginal: &DMatrix<f64>) -> Result<Self, ModelError> {
        let mut published = Self { measure: Measure::new(marginal)?, scale: scale.clone(), latest: 1.0 };
        published.restart();
        Ok(published)
    }

    /// Forgets the bin before.
    pub(crate) fn restart(&mut self) {
        let [least, greatest] = self.scale.limits;
        self.latest = libm::exp(0.5 * (least + greatest));
    }

    /// Scales the covariance of an intent, given the measurement f behind it and the newest bins. Real-time.
    pub(crate) fn scale(&mut self, measured: &[f64], window: &[f64], intent: &mut Intent) {
        let scale = &self.scale;
        let mut log = scale.bias;
        if scale.size != 0.0 || scale.size_squared != 0.0 {
            let size = self.measure.log_size(intent.mean());
            log += scale.size * size + scale.size_squared * size * size;
        }
        if scale.surprise != 0.0 {
            log += scale.surprise * self.measure.log_surprise(measured, intent.mean());
        }
        for (weight, value) in scale.window.iter().zip(window) {
            log += weight * value;
        }
        let [least, greatest] = scale.limits;
        // a sum that is not a number, of features beyond all bounds, errs on the side of doubt
        let log = if log.is_nan() { greatest } else { log.clamp(least, greatest) };
        self.latest = libm::exp(log);
        self.scale_again(intent);
    }

    /// Scales by the factor of the bin before. Real-time.
    pub(crate) fn scale_again(&self, intent: &mut Intent) {
        for entry in intent.covariance_mut() {
            *entry *= self.latest;
        }
    }
}

/// How large intents are beside those of the training rows.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    dimension: usize,
    /// S^-1, row-major.
    marginal_inverse: Vec<f64>,
}

impl Measure {
    pub(crate) fn new(marginal: &DMatrix<f64>) -> Result<Self, ModelError> {
        let d = marginal.nrows();
        let factor = Cholesky::new(marginal, 0.0).map_err(|_column| ModelError::NotPositive {
            tensor: "stationary_covariance (newest block)",
            strict: true,
        })?;
        let inverse = factor.solve_columns(&DMatrix::identity(d, d));
        Ok(Self { dimension: d, marginal_inverse: inverse.transpose().as_slice().to_vec() })
    }

    /// `log(sqrt(mu' S^-1 mu / d) + 0.05)`.
    pub(crate) fn log_size(&self, mean: &[f64]) -> f64 {
        libm::log(self.size(|at| mean[at]) + LEAST_SIZE)
    }

    /// `log(sqrt((f - mu)' S^-1 (f - mu) / d) + 0.01)`.
    pub(crate) fn log_surprise(&self, measured: &[f64], mean: &[f64]) -> f64 {
        libm::log(self.size(|at| measured[at] - mean[at]) + LEAST_SURPRISE)
    }

    fn size<F: Fn(usize) -> f64>(&self, entry: F) -> f64 {
        let mut sum = 0.0;
        for (row, inverse) in self.marginal_inverse.chunks_exact(self.dimension).enumerate() {
            for (column, inverse) in inverse.iter().enumerate() {
                sum += entry(row) * inverse * entry(column);
            }
        }
        libm::sqrt(sum.max(0.0) / self.dimension as f64)
    }
}
