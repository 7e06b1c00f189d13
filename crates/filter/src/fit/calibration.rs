//! The factor between what a filter believes and what it publishes, from held-out rows.

use nalgebra::DMatrix;

use crate::accuracy;
use crate::{CovarianceScale, ModelError};

/// Fewest rows to each knot.
const ROWS_A_KNOT: usize = 250;
/// Most knots.
const KNOTS: usize = 8;

/// One held-out row: the filter's mean, and how far the truth is from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeldOutError {
    /// `sqrt(mu' S^-1 mu / d)`.
    pub(crate) size: f64,
    /// `(z - mu)' Sigma^-1 (z - mu)`, of the covariance before scaling.
    pub(crate) squared_distance: f64,
}

/// The factors at which ellipsoids of held-out rows hold what they say. Rows are grouped by the size of their mean, since
/// errors grow with speed; each group gives one knot, at its median size.
pub(crate) fn covariance_scale(errors: &[HeldOutError], dimension: usize) -> CovarianceScale {
    let groups = (errors.len() / ROWS_A_KNOT).clamp(1, KNOTS);
    let mut sorted = errors.to_vec();
    sorted.sort_by(|left, right| left.size.total_cmp(&right.size));
    let mut scale = CovarianceScale { sizes: Vec::new(), factors: Vec::new() };
    for group in 0..groups {
        let members = &sorted[group * sorted.len() / groups..(group + 1) * sorted.len() / groups];
        let distances: Vec<f64> = members.iter().map(|error| error.squared_distance).collect();
        let size = members.get(members.len() / 2).map_or(0.0, |error| error.size);
        if scale.sizes.last().is_none_or(|last| *last < size) {
            scale.sizes.push(size);
            scale.factors.push(accuracy::covariance_scale(&distances, dimension));
        }
    }
    scale
}

/// The sizes of means under S, for [`covariance_scale`].
pub(crate) fn sizes(marginal: &DMatrix<f64>) -> Result<impl Fn(&[f64]) -> f64 + use<>, ModelError> {
    let calibration = crate::dkf::Calibration::new(&CovarianceScale::constant(1.0), marginal)?;
    Ok(move |mean: &[f64]| calibration.size(mean))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::dkf::Calibration;

    #[test]
    fn errors_that_grow_with_speed_are_covered_at_every_speed() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        let mut draw = || -> f64 { StandardNormal.sample(&mut random) };
        let errors: Vec<HeldOutError> = (0..20_000)
            .map(|_| {
                let size = draw().abs();
                // the filter says 1 where the standard deviation of the error is 0.5 + size
                let spread = 0.5 + size;
                let (x, y) = (spread * draw(), spread * draw());
                HeldOutError { size, squared_distance: x * x + y * y }
            })
            .collect();
        let scale = covariance_scale(&errors, 2);
        let calibration = Calibration::new(&scale, &DMatrix::identity(2, 2)).unwrap();
        for (low, high) in [(0.0, 0.3), (0.3, 0.8), (0.8, 1.5)] {
            let group: Vec<&HeldOutError> =
                errors.iter().filter(|error| (low..high).contains(&error.size)).collect();
            for probability in [0.5, 0.9] {
                let limit = accuracy::chi_square_quantile(2, probability);
                let within = group
                    .iter()
                    .filter(|error| error.squared_distance <= limit * calibration.factor(error.size))
                    .count() as f64
                    / group.len() as f64;
                assert!((within - probability).abs() < 0.04, "{low}..{high}: {within} of {probability}");
            }
        }
    }
}
