//! Pearson's correlation of two series.

use nalgebra::DVector;

/// Of two series, from their means and squared deviations; NaN where one never moves.
pub(crate) fn pearson(left: &[f64], right: &[f64]) -> f64 {
    let count = left.len() as f64;
    let mean_left = left.iter().sum::<f64>() / count;
    let mean_right = right.iter().sum::<f64>() / count;
    let (mut both, mut lefts, mut rights) = (0.0, 0.0, 0.0);
    for (left, right) in left.iter().zip(right) {
        both += (left - mean_left) * (right - mean_right);
        lefts += (left - mean_left).powi(2);
        rights += (right - mean_right).powi(2);
    }
    both / (lefts * rights).sqrt()
}

/// Of two series of mean zero, by their norms: what models state of themselves, to the last bit.
pub(crate) fn of_centred(left: &DVector<f64>, right: &DVector<f64>) -> f64 {
    left.dot(right) / (left.norm() * right.norm())
}
