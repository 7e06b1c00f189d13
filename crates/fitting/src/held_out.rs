//! What a decoder says of rows that it was not fitted to, and how good that is.
//!
//! Every fit leaves this behind: the discriminative filters cross-fit f and Q anyhow, the others are fitted once more without
//! each fold for the factor on their covariance. Hyperparameters that a fit chooses, and the state model of a discriminative
//! filter, have seen all rows; the regression has not.

use kalmind_filter::Folds;
use nalgebra::DMatrix;

/// What a decoder said of held-out rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// How they were held out.
    pub folds: Folds,
    /// The rows scored, ascending.
    pub rows: Vec<usize>,
    /// What was decoded at each, rows x d.
    pub means: DMatrix<f64>,
    /// Steps with features.
    pub steps: usize,
    /// Those in which the filter took another form, or no measurement.
    pub fallback_steps: usize,
}
