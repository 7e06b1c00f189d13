//! Decoders as their formulas stand, slow and obvious: the accuracy beside the speed.

mod discriminative;
mod kalman;

pub(crate) use discriminative::{TextbookDkf, nadaraya_watson, symmetric};
pub(crate) use kalman::TextbookKalman;
use kalmind_types::{Intent, lower_triangle_index};
use nalgebra::DMatrix;

/// The largest difference of an intent from a mean and a covariance, over the largest entry of each.
pub(crate) fn difference(intent: &Intent, mean: &DMatrix<f64>, covariance: &DMatrix<f64>) -> f64 {
    let (mut means, mut covariances) = (0.0_f64, 0.0_f64);
    let (mut largest_mean, mut largest_covariance) = (0.0_f64, 0.0_f64);
    for row in 0..intent.dimension() {
        means = means.max((intent.mean()[row] - mean[row]).abs());
        largest_mean = largest_mean.max(mean[row].abs());
        for column in 0..=row {
            let entry = intent.covariance()[lower_triangle_index(row, column)];
            covariances = covariances.max((entry - covariance[(row, column)]).abs());
            largest_covariance = largest_covariance.max(covariance[(row, column)].abs());
        }
    }
    (means / largest_mean).max(covariances / largest_covariance)
}
