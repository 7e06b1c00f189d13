//! What training shows of every channel, for the guard and the monitor in front of a decoder.

use nalgebra::DMatrix;

use crate::array_statistics::PlausibilityStatistics;
use crate::model_error::ModelError;
use crate::validate::{finite, shape};

/// What training shows of every channel, as the decoder sees it: what a [guard](crate::Guarded) compares it with.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardStatistics {
    /// n means.
    pub mean: Vec<f64>,
    /// n standard deviations, >= 0.
    pub standard_deviation: Vec<f64>,
    /// Least value of each, n.
    pub least: Vec<f64>,
    /// Greatest value of each, n.
    pub greatest: Vec<f64>,
    /// Bins s in the running means, rising: `m_t = m_{t-1} + (x_t - m_{t-1}) / s`.
    pub spans: Vec<usize>,
    /// The lowest that each running mean may be, spans x n, in standard deviations from the mean: the lowest over the
    /// training rows, or what an intent that is held and the rest of the channel could add up to, if lower.
    pub lowest_mean: DMatrix<f64>,
    /// The highest.
    pub highest_mean: DMatrix<f64>,
    /// A factor model of the standardised channels, `x = loadings f + noise` with f ~ N(0, I) and independent noise: how
    /// channels follow from each other, n x k.
    pub loadings: DMatrix<f64>,
    /// Variance of the noise of each, n, > 0.
    pub uniqueness: Vec<f64>,
    /// As `lowest_mean`, of what the other channels do not explain of each.
    pub lowest_residual: DMatrix<f64>,
    /// The highest.
    pub highest_residual: DMatrix<f64>,
    /// Least running mean of halved squared changes from bin to bin, n, in squared standard deviations.
    pub lowest_change: Vec<f64>,
    /// The greatest.
    pub highest_change: Vec<f64>,
    /// What training shows of the array as a whole; `None` where it is not known.
    pub plausibility: Option<PlausibilityStatistics>,
}

impl GuardStatistics {
    /// Checks them for `n` features.
    pub(crate) fn validate(&self, n: usize) -> Result<(), ModelError> {
        let Self { mean, standard_deviation, least, greatest, spans, .. } = self;
        let vectors = [
            ("guard mean", mean),
            ("guard standard_deviation", standard_deviation),
            ("guard least", least),
            ("guard greatest", greatest),
            ("guard uniqueness", &self.uniqueness),
            ("guard lowest_change", &self.lowest_change),
            ("guard highest_change", &self.highest_change),
        ];
        for (tensor, vector) in vectors {
            if vector.len() != n {
                let (found, expected) = (vector.len().to_string(), n.to_string());
                return Err(ModelError::Shape { tensor, found, expected });
            }
            finite(tensor, vector)?;
        }
        let ranges = [
            ("guard lowest_mean", &self.lowest_mean),
            ("guard highest_mean", &self.highest_mean),
            ("guard lowest_residual", &self.lowest_residual),
            ("guard highest_residual", &self.highest_residual),
        ];
        for (tensor, matrix) in ranges {
            shape(tensor, matrix, spans.len(), n)?;
        }
        shape("guard loadings", &self.loadings, n, self.loadings.ncols())?;
        let ordered = |low: &[f64], high: &[f64]| low.iter().zip(high).all(|(low, high)| low <= high);
        let out_of_range = |name, expected| Err(ModelError::OutOfRange { name, value: 0.0, expected });
        if spans.first().is_some_and(|first| *first < 1) || spans.windows(2).any(|pair| pair[1] <= pair[0]) {
            return out_of_range("a guard span", "1 or more, and greater than the one before");
        }
        if standard_deviation.iter().chain(&self.lowest_change).any(|value| *value < 0.0) {
            return out_of_range("a guard standard_deviation or lowest_change", "0 or more");
        }
        if self.uniqueness.iter().any(|value| *value <= 0.0) {
            return out_of_range("a guard uniqueness", "above 0");
        }
        if !ordered(least, greatest)
            || !ordered(&self.lowest_change, &self.highest_change)
            || !ordered(self.lowest_mean.as_slice(), self.highest_mean.as_slice())
            || !ordered(self.lowest_residual.as_slice(), self.highest_residual.as_slice())
        {
            return out_of_range("a least value of the guard", "at most the greatest");
        }
        let problem = self.plausibility.as_ref().and_then(|plausibility| plausibility.problem(n));
        if let Some((tensor, found, expected)) = problem {
            return Err(ModelError::Shape { tensor, found, expected });
        }
        Ok(())
    }
}
