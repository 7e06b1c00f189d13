//! The steady state of a Kalman filter's covariance, solved for instead of waited for.
//!
//! The predicted covariance M settles at the stabilizing solution of the discrete algebraic Riccati equation
//! `M = A M (I + J M)^-1 A' + G` with `J = H' R^-1 H`. The structure-preserving doubling algorithm (Chu, Fan, Lin and Wang
//! 2004, International Journal of Control 77, 767-788) reaches after k steps what iterating the right side from zero reaches
//! after 2^k:
//!
//! ```text
//! A_0 = A'   G_0 = J   H_0 = G        W = I + G_k H_k
//! A_k+1 = A_k W^-1 A_k    G_k+1 = G_k + A_k W^-1 G_k A_k'    H_k+1 = H_k + A_k' H_k W^-1 A_k
//! ```
//!
//! `H_k` converges to M, and `A_k` to zero, the transition of the filter's error over 2^k steps. It takes about ten steps of
//! a few d^3 multiplications. The solution does not exist where a part of the state does not forget and no feature
//! observes it (`H_k` keeps growing), and is not stabilizing where such a part has no noise either (`A_k` does not vanish).

use crate::small_matrix::{
    Square, add_scaled, identity, product, product_transposed, solve_general, symmetric, transposed,
};

/// Doublings after which `H_k` counts as growing without end: 2^32 bins are years.
const MAX_DOUBLINGS: usize = 32;
/// Largest change of an entry, relative to the largest entry, that counts as none.
const CONVERGED: f64 = 1e-15;
/// Largest entry of `A_k` that counts as zero once `H_k` stands.
const FORGOTTEN: f64 = 1e-6;
/// Largest residual of the equation, relative to the largest entry of M, that counts as rounding.
const ACCURATE: f64 = 1e-10;

/// A steady state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steady<const D: usize> {
    /// M, the covariance before a measurement.
    pub(crate) predicted: Square<D>,
    /// Doublings that it took.
    pub(crate) doublings: usize,
}

/// Why there is no steady state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RiccatiFailure {
    /// `H_k` grows with every doubling.
    #[error(
        "the variance of some combination of the components grows without bound: it does not forget, and no feature \
         observes it"
    )]
    Undetectable,
    /// `H_k` stands still and `A_k` does not vanish.
    #[error("some combination of the components neither forgets nor has noise, and no feature observes it")]
    Unforgetting,
    /// What came out does not solve the equation.
    #[error("the Riccati equation is too badly conditioned")]
    Inaccurate,
}

/// The stabilizing solution for transition A, process noise G and information J.
pub(crate) fn steady_state<const D: usize>(
    transition: &Square<D>,
    process_noise: &Square<D>,
    information: &Square<D>,
) -> Result<Steady<D>, RiccatiFailure> {
    let mut power = transposed(transition);
    let mut gain = *information;
    let mut solution = *process_noise;
    for doublings in 1..=MAX_DOUBLINGS {
        let weight = add_scaled(&identity(), 1.0, &product(&gain, &solution));
        let Some(solved) = solve_general(&weight, &power).zip(solve_general(&weight, &gain)) else {
            return Err(RiccatiFailure::Undetectable);
        };
        let (power_solved, gain_solved) = solved;
        let added_gain = product_transposed(&product(&power, &gain_solved), &power);
        let added = product(&product(&transposed(&power), &solution), &power_solved);
        power = product(&power, &power_solved);
        gain = symmetric(&add_scaled(&gain, 1.0, &added_gain));
        solution = symmetric(&add_scaled(&solution, 1.0, &added));
        let size = largest(&solution);
        if !(size.is_finite() && largest(&power).is_finite()) {
            return Err(RiccatiFailure::Undetectable);
        }
        if largest(&added) <= CONVERGED * size {
            if largest(&power) > FORGOTTEN {
                return Err(RiccatiFailure::Unforgetting);
            }
            let accurate = recursion(transition, process_noise, information, &solution)
                .is_some_and(|next| largest(&add_scaled(&solution, -1.0, &next)) <= ACCURATE * size);
            if !accurate {
                return Err(RiccatiFailure::Inaccurate);
            }
            return Ok(Steady { predicted: solution, doublings });
        }
    }
    Err(RiccatiFailure::Undetectable)
}

/// `A M (I + J M)^-1 A' + G`.
fn recursion<const D: usize>(
    transition: &Square<D>,
    process_noise: &Square<D>,
    information: &Square<D>,
    predicted: &Square<D>,
) -> Option<Square<D>> {
    // M (I + J M)^-1 = (I + M J)^-1 M
    let weight = add_scaled(&identity(), 1.0, &product(predicted, information));
    let updated = solve_general(&weight, predicted)?;
    Some(add_scaled(process_noise, 1.0, &product_transposed(&product(transition, &updated), transition)))
}

fn largest<const D: usize>(matrix: &Square<D>) -> f64 {
    matrix
        .as_flattened()
        .iter()
        .fold(0.0, |most, value| if value.is_nan() { f64::NAN } else { f64::max(most, value.abs()) })
}

#[cfg(test)]
#[expect(clippy::needless_range_loop, reason = "matrix algebra reads best by row and column")]
mod tests {
    use super::*;
    use crate::small_matrix::zeros;

    /// A, G, and J from H and R = 0.5 I + 0.1 of size D + 2, all by formulas that the generator shares.
    fn system<const D: usize>() -> (Square<D>, Square<D>, Square<D>) {
        let n = D + 2;
        let mut transition = zeros();
        let mut noise = zeros();
        for row in 0..D {
            for column in 0..D {
                let spread = ((row * 7 + column * 3) % 5) as f64 - 2.0;
                transition[row][column] = if row == column { 0.9 } else { spread / 40.0 };
                noise[row][column] = 0.02 + if row == column { 0.1 * (row + 1) as f64 } else { 0.0 };
            }
        }
        let observation =
            |row: usize, column: usize| (((row * 5 + column * 11 + row * column) % 7) as f64 - 3.0) / 4.0;
        // (0.5 I + 0.1 1 1')^-1 = 2 I - 0.4 / (1 + 0.2 n) 1 1'
        let shared = 0.4 / (1.0 + 0.2 * n as f64);
        let mut information = zeros();
        for row in 0..D {
            for column in 0..D {
                let mut inner = 0.0;
                let (mut left, mut right) = (0.0, 0.0);
                for feature in 0..n {
                    inner += observation(feature, row) * observation(feature, column);
                    left += observation(feature, row);
                    right += observation(feature, column);
                }
                information[row][column] = 2.0 * inner - shared * left * right;
            }
        }
        (transition, noise, information)
    }

    fn check<const D: usize>(expected_row: [f64; D], expected_trace: f64) {
        let (transition, noise, information) = system::<D>();
        let steady = steady_state(&transition, &noise, &information).unwrap();
        for (found, expected) in steady.predicted[0].iter().zip(expected_row) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let trace: f64 = (0..D).map(|at| steady.predicted[at][at]).sum();
        assert!((trace - expected_trace).abs() < 1e-12 * expected_trace, "{trace}");
        assert!(steady.doublings < 12, "{}", steady.doublings);
    }

    /// First rows and traces of `scipy.linalg.solve_discrete_are(A.T, H.T, G, R)`, scipy 1.17.1:
    ///
    /// ```python
    /// def system(d):
    ///     n, i, j = d + 2, *np.indices((d, d))
    ///     A = np.where(i == j, 0.9, ((i * 7 + j * 3) % 5 - 2) / 40)
    ///     G = 0.02 + np.diag(0.1 * (np.arange(d) + 1))
    ///     i, j = np.indices((n, d))
    ///     return A, G, ((i * 5 + j * 11 + i * j) % 7 - 3) / 4, 0.5 * np.eye(n) + 0.1
    /// for d in (1, 3, 8):
    ///     A, G, H, R = system(d)
    ///     M = scipy.linalg.solve_discrete_are(A.T, H.T, G, R)
    ///     print(M[0], np.trace(M))
    /// ```
    #[test]
    fn solutions_equal_those_of_scipy() {
        check::<1>([0.274_035_059_266_718_56], 0.274_035_059_266_718_56);
        check::<3>(
            [0.244_548_428_150_853_4, 0.087_021_213_331_289_15, 0.004_491_460_404_892_779],
            1.327_225_648_803_815_9,
        );
        check::<8>(
            [
                0.737_751_241_568_623_8,
                -0.142_770_035_609_105_06,
                0.131_564_188_547_588_1,
                0.159_925_775_196_829_2,
                0.125_711_816_787_341,
                -0.121_292_062_468_334_7,
                0.161_159_524_755_100_7,
                -0.650_412_550_640_235,
            ],
            7.793_952_266_191_683,
        );
    }

    #[test]
    fn a_scalar_equals_its_closed_form() {
        let (a, g, j) = (0.95_f64, 1.0 - 0.95 * 0.95, 1.0);
        // j M^2 + (1 - a^2 - g j) M - g = 0
        let b = 1.0 - a * a - g * j;
        let expected = (-b + (b * b + 4.0 * j * g).sqrt()) / (2.0 * j);
        let steady = steady_state(&[[a]], &[[g]], &[[j]]).unwrap();
        assert!((steady.predicted[0][0] - expected).abs() < 1e-15);
        // the filter's published steady-state variance
        assert!((1.0 / (1.0 / expected + j) - 0.237_950).abs() < 1e-6);
    }

    #[test]
    fn an_integral_that_no_feature_observes_has_no_steady_state() {
        let noise = [[0.0, 0.0], [0.0, 0.1]];
        let speed_observed = [[0.0, 0.0], [0.0, 2.0]];
        for transition in [[[1.0, 0.02], [0.0, 0.9]], [[1.0, 1.0], [0.0, 0.99]]] {
            let failure = steady_state(&transition, &noise, &speed_observed).unwrap_err();
            assert_eq!(failure, RiccatiFailure::Undetectable);
        }
        // one feature that observes the position alone is enough
        let position_observed = [[2.0, 0.0], [0.0, 0.0]];
        assert!(steady_state(&[[1.0, 0.02], [0.0, 0.9]], &noise, &position_observed).is_ok());
    }

    #[test]
    fn a_rotation_without_noise_that_no_feature_observes_is_not_stabilized() {
        let (sin, cos) = (0.6, 0.8);
        let transition = [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 0.5]];
        let mut noise = zeros();
        noise[2][2] = 1.0;
        let failure = steady_state(&transition, &noise, &noise).unwrap_err();
        assert_eq!(failure, RiccatiFailure::Unforgetting);
    }

    #[test]
    fn a_slow_part_that_no_feature_observes_settles_at_its_stationary_variance() {
        let (slow, noise) = (1.0 - 1e-6, 1e-3);
        let steady =
            steady_state(&[[slow, 0.0], [0.0, 0.9]], &[[noise, 0.0], [0.0, 1.0]], &[[0.0, 0.0], [0.0, 1.0]])
                .unwrap();
        let expected = noise / (1.0 - slow * slow);
        assert!((steady.predicted[0][0] / expected - 1.0).abs() < 1e-9);
    }
}
