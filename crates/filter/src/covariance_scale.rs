//! The factor on the covariance that a decoder publishes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tensors::{ParametersError, Source, TensorWriter, parse, problem};

/// The factor between what the filter believes and the covariance that is published, so that its ellipsoids hold what
/// they say. How far a filter errs depends on what is going on, so its logarithm is a linear function (Harvey 1976) of
/// the published mean's size, of what the newest measurement said that the filter did not follow, and of the features:
///
/// ```text
/// log c = bias + size a + size_squared a^2 + surprise b + window' w          within limits
/// a = log(sqrt(mu' S^-1 mu / d) + 0.05)    b = log(sqrt((f - mu)' S^-1 (f - mu) / d) + 0.01)
/// ```
///
/// S is the covariance of one state; f the measurement of a discriminative filter and, of the other decoders, the mean of the
/// bin before. A bin without features keeps the factor of the one before; of a decoder without a state model, whose
/// covariance is then that of the states, it has none.
#[derive(Clone, Debug, PartialEq)]
pub struct CovarianceScale {
    /// log c where the others are zero.
    pub bias: f64,
    /// Of a.
    pub size: f64,
    /// Of a squared.
    pub size_squared: f64,
    /// Of b.
    pub surprise: f64,
    /// Of each entry of w, the newest k bins as the decoder sees them, n k values; k may be 0 or more than l.
    pub window: Vec<f64>,
    /// The least and the greatest log c.
    pub limits: [f64; 2],
}

impl CovarianceScale {
    /// The same factor > 0 everywhere.
    #[must_use]
    pub fn constant(factor: f64) -> Self {
        let bias = libm::log(factor);
        Self { bias, size: 0.0, size_squared: 0.0, surprise: 0.0, window: Vec::new(), limits: [bias; 2] }
    }

    /// Whether the factor depends on anything.
    #[must_use]
    pub fn varies(&self) -> bool {
        let [least, greatest] = self.limits;
        let coefficients = [self.size, self.size_squared, self.surprise];
        least < greatest && coefficients.iter().chain(&self.window).any(|coefficient| *coefficient != 0.0)
    }

    /// Whether the factor is one, so that nothing has to be done.
    pub(crate) fn is_one(&self) -> bool {
        self == &Self::constant(1.0)
    }

    /// Writes the window as a tensor; gives the rest, as the header has it.
    pub(crate) fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        let Self { bias, size, size_squared, surprise, ref window, limits } = *self;
        if !window.is_empty() {
            writer.vector(WINDOW, window);
        }
        serde_json::to_value(CovarianceScaleHeader::Law(CovarianceLawHeader {
            bias,
            size,
            size_squared,
            surprise,
            limits,
        }))
    }

    pub(crate) fn read(header: Value, source: &mut Source<'_>) -> Result<Self, ParametersError> {
        match parse(header)? {
            CovarianceScaleHeader::Constant(factor) if factor > 0.0 => Ok(Self::constant(factor)),
            CovarianceScaleHeader::Constant(factor) => {
                Err(problem(format!("parameters: covariance_scale is {factor}, but has to be above 0")))
            }
            CovarianceScaleHeader::Law(CovarianceLawHeader {
                bias,
                size,
                size_squared,
                surprise,
                limits,
            }) => {
                let tensors = &mut *source.tensors;
                let window = if tensors.has(WINDOW) { tensors.any_vector(WINDOW)? } else { Vec::new() };
                Ok(Self { bias, size, size_squared, surprise, window, limits })
            }
        }
    }
}

/// The tensor of the window.
const WINDOW: &str = "covariance_scale_window";

/// In the header: one number, or the law that it follows.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum CovarianceScaleHeader {
    Constant(f64),
    Law(CovarianceLawHeader),
}

/// A law of the factor; its window is a tensor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CovarianceLawHeader {
    bias: f64,
    #[serde(default)]
    size: f64,
    #[serde(default)]
    size_squared: f64,
    #[serde(default)]
    surprise: f64,
    limits: [f64; 2],
}
