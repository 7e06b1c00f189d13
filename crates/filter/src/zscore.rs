//! Raw features as a decoder sees them.

use serde::{Deserialize, Serialize};

/// Statistics of the raw features: feature j becomes `(x_j - mean_j) / standard_deviation_j`; a standard deviation of
/// zero (a feature that never moved) divides by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZScore {
    /// n means.
    pub mean: Vec<f64>,
    /// n standard deviations, >= 0.
    pub standard_deviation: Vec<f64>,
}

impl ZScore {
    /// Raw features as the decoder sees them. Allocates: for the slow side.
    #[must_use]
    pub fn apply(&self, raw: &[f64]) -> Vec<f64> {
        raw.iter()
            .zip(self.mean.iter().zip(&self.standard_deviation))
            .map(|(value, (mean, deviation))| {
                (value - mean) / if *deviation > 0.0 { *deviation } else { 1.0 }
            })
            .collect()
    }
}
