//! From what a filter believes to the covariance that is published: a [`CovarianceScale`] at work.

use kalmind_types::{Intent, MAX_COMPONENTS};
use nalgebra::DMatrix;

use crate::cholesky::Cholesky;
use crate::decoder::forward;
use crate::window::Window;
use crate::{CovarianceScale, Decoder, LookBack, ModelError, StepReport};

/// Added to a size before its logarithm.
const LEAST_SIZE: f64 = 0.05;
/// Added to a surprise before its logarithm.
const LEAST_SURPRISE: f64 = 0.01;

/// The factor of every bin, and the one before.
#[derive(Clone, Debug)]
pub struct PublishedCovariance {
    measure: Measure,
    scale: CovarianceScale,
    latest: f64,
}

impl PublishedCovariance {
    /// At the first bin.
    ///
    /// # Errors
    /// Where `marginal` is not positive definite.
    pub fn new(scale: &CovarianceScale, marginal: &DMatrix<f64>) -> Result<Self, ModelError> {
        let mut published = Self { measure: Measure::new(marginal)?, scale: scale.clone(), latest: 1.0 };
        published.restart();
        Ok(published)
    }

    /// Forgets the bin before.
    pub fn restart(&mut self) {
        let [least, greatest] = self.scale.limits;
        self.latest = libm::exp(0.5 * (least + greatest));
    }

    /// Scales the covariance of an intent, given the measurement f behind it and the newest bins. Real-time.
    pub fn scale(&mut self, measured: &[f64], window: &[f64], intent: &mut Intent) {
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
    pub fn scale_again(&self, intent: &mut Intent) {
        for entry in intent.covariance_mut() {
            *entry *= self.latest;
        }
    }
}

/// A decoder that knows no measurement f by itself, behind the factor on its covariance. Real-time wherever the decoder is.
///
/// Cost: n k multiplications for k bins of features in the factor, a logarithm each for size and surprise, an exponential.
#[derive(Debug)]
pub(crate) struct ScaledDecoder {
    decoder: Box<dyn Decoder>,
    published: PublishedCovariance,
    window: Window,
    /// The mean of the bin before, in place of f.
    before: [f64; MAX_COMPONENTS],
    started: bool,
    /// Whether bins without features are predictions of the same filter, and not what is known without any.
    predicts: bool,
}

impl ScaledDecoder {
    /// The decoder behind its factor, where it is not one; `marginal` is the covariance of one state.
    pub(crate) fn around(
        decoder: Box<dyn Decoder>,
        scale: &CovarianceScale,
        marginal: &DMatrix<f64>,
        predicts: bool,
        background: &[f64],
    ) -> Result<Box<dyn Decoder>, ModelError> {
        if scale.is_one() {
            return Ok(decoder);
        }
        Ok(Box::new(Self {
            published: PublishedCovariance::new(scale, marginal)?,
            window: Window::new(background, (scale.window.len() / background.len()).max(1)),
            before: [0.0; MAX_COMPONENTS],
            started: false,
            predicts,
            decoder,
        }))
    }
}

impl Decoder for ScaledDecoder {
    forward!(decoder: features, dimension, unfiltered, takes_cursor, observe_cursor, state, adopt);

    fn restart(&mut self) {
        self.decoder.restart();
        self.published.restart();
        self.window.clear();
        self.started = false;
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let measured = self.window.push(features);
        let report = self.decoder.step(features, intent);
        if !report.valid {
            return report;
        }
        let before = &mut self.before[..intent.dimension()];
        if !self.started {
            // nothing moved yet
            before.copy_from_slice(intent.mean());
            self.started = true;
        }
        if measured && !report.unused {
            self.published.scale(before, self.window.values(), intent);
        } else if self.predicts {
            self.published.scale_again(intent);
        }
        before.copy_from_slice(intent.mean());
        report
    }

    fn look_back(&self) -> LookBack {
        let LookBack { bins, fades } = self.decoder.look_back();
        // the mean of the bin before
        LookBack { bins: self.window.bins().max(bins.saturating_add(1)), fades }
    }
}

/// How large intents are beside those of the training rows.
#[derive(Clone, Debug)]
pub struct Measure {
    dimension: usize,
    /// S^-1, row-major.
    marginal_inverse: Vec<f64>,
}

impl Measure {
    /// Beside the covariance of the training rows.
    ///
    /// # Errors
    /// Where `marginal` is not positive definite.
    pub fn new(marginal: &DMatrix<f64>) -> Result<Self, ModelError> {
        let d = marginal.nrows();
        let factor = Cholesky::new(marginal, 0.0).map_err(|_column| ModelError::NotPositive {
            tensor: "stationary_covariance (newest block)",
            strict: true,
        })?;
        let inverse = factor.solve_columns(&DMatrix::identity(d, d));
        Ok(Self { dimension: d, marginal_inverse: inverse.transpose().as_slice().to_vec() })
    }

    /// `log(sqrt(mu' S^-1 mu / d) + 0.05)`.
    pub fn log_size(&self, mean: &[f64]) -> f64 {
        libm::log(self.size(|at| mean[at]) + LEAST_SIZE)
    }

    /// `log(sqrt((f - mu)' S^-1 (f - mu) / d) + 0.01)`.
    pub fn log_surprise(&self, measured: &[f64], mean: &[f64]) -> f64 {
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
