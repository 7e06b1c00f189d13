//! The points by which an unscented filter carries a Gaussian through a function (Julier and Uhlmann 1997).
//!
//! With `Sigma = L L'` and `c = d + kappa`: the mean with weight `kappa / c`, and mean +- sqrt(c) times each column of L
//! with weight `1 / (2 c)`. In the terms of the scaled transform alpha = 1, beta = 0 and kappa = max(3 - d, 0): the
//! fourth moments along the axes are those of a Gaussian for up to three components, and no weight is negative for any
//! number, so every covariance made of them is a sum of squares and positive semidefinite.

use crate::small_matrix::{Square, Vector, cholesky_semidefinite};

/// 2 d + 1 weighted points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigmaPoints<const D: usize, const POINTS: usize> {
    /// The mean first.
    pub(crate) points: [Vector<D>; POINTS],
    /// What was added to the mean to make each: it is lost in the points where the mean is much larger.
    pub(crate) deviations: [Vector<D>; POINTS],
    pub(crate) weights: [f64; POINTS],
}

impl<const D: usize, const POINTS: usize> SigmaPoints<D, POINTS> {
    /// The points of a Gaussian whose covariance may be singular; POINTS is 2 D + 1.
    pub(crate) fn of(mean: &Vector<D>, covariance: &Square<D>) -> Self {
        const { assert!(POINTS == 2 * D + 1, "two points a component and the mean") };
        let kappa = 3_usize.saturating_sub(D) as f64;
        let total = D as f64 + kappa;
        let spread = total.sqrt();
        let lower = cholesky_semidefinite(covariance);
        let mut points = [*mean; POINTS];
        let mut deviations = [[0.0; D]; POINTS];
        let mut weights = [0.5 / total; POINTS];
        weights[0] = kappa / total;
        for component in 0..D {
            for row in 0..D {
                let offset = spread * lower[row][component];
                deviations[1 + 2 * component][row] = offset;
                deviations[2 + 2 * component][row] = -offset;
                points[1 + 2 * component][row] += offset;
                points[2 + 2 * component][row] -= offset;
            }
        }
        Self { points, deviations, weights }
    }

    /// The weighted mean of the points.
    pub(crate) fn mean(&self) -> Vector<D> {
        let mut mean = [0.0; D];
        for (point, weight) in self.points.iter().zip(&self.weights) {
            for (mean, value) in mean.iter_mut().zip(point) {
                *mean += weight * value;
            }
        }
        mean
    }

    /// `noise` and the weighted covariance of the points about `mean`, exactly symmetric.
    pub(crate) fn covariance(&self, mean: &Vector<D>, noise: &Square<D>) -> Square<D> {
        let mut covariance = *noise;
        for row in 0..D {
            for column in 0..=row {
                let mut sum = 0.5 * (noise[row][column] + noise[column][row]);
                for (point, weight) in self.points.iter().zip(&self.weights) {
                    sum += weight * (point[row] - mean[row]) * (point[column] - mean[column]);
                }
                covariance[row][column] = sum;
                covariance[column][row] = sum;
            }
        }
        covariance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_matrix::zeros;

    #[test]
    fn points_have_the_moments_of_the_gaussian() {
        let mean = [1.0, -2.0];
        let covariance = [[2.0, 0.6], [0.6, 0.5]];
        let sigma = SigmaPoints::<2, 5>::of(&mean, &covariance);
        let found = sigma.mean();
        let moments = sigma.covariance(&found, &zeros());
        for row in 0..2 {
            assert!((found[row] - mean[row]).abs() < 1e-14);
            for column in 0..2 {
                assert!((moments[row][column] - covariance[row][column]).abs() < 1e-14);
            }
        }
    }

    /// Of z ~ N(0, 1), z^2 has mean 1 and variance 2.
    #[test]
    fn the_square_of_a_gaussian_has_its_mean_and_variance() {
        let mut sigma = SigmaPoints::<1, 3>::of(&[0.0], &[[1.0]]);
        for point in &mut sigma.points {
            point[0] *= point[0];
        }
        let mean = sigma.mean();
        assert!((mean[0] - 1.0).abs() < 1e-14);
        assert!((sigma.covariance(&mean, &[[0.0]])[0][0] - 2.0).abs() < 1e-14);
    }
}
