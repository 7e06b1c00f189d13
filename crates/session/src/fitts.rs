//! Fitts's law: how movement time grows with the index of difficulty.

use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, student};

/// The line of movement time over index of difficulty, by least squares: `seconds = intercept + slope * bits`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittsLaw {
    /// Seconds a bit.
    pub slope: Estimate,
    /// Seconds at no difficulty.
    pub intercept: Estimate,
    /// The part of the variance of movement time that the line explains.
    pub r2: f64,
    /// Movements that it was drawn through.
    pub movements: usize,
}

impl FittsLaw {
    /// Through these movements (bits, seconds), with Student's intervals; none of fewer than three, or where all are equally
    /// hard.
    #[must_use]
    pub fn of(movements: &[(f64, f64)]) -> Option<Self> {
        let count = movements.len() as f64;
        let quantile = student(movements.len().checked_sub(2)?)?;
        let sum = |part: &dyn Fn(&(f64, f64)) -> f64| movements.iter().map(part).sum::<f64>();
        let (bits, seconds) = (sum(&|movement| movement.0) / count, sum(&|movement| movement.1) / count);
        let of_bits = sum(&|movement| (movement.0 - bits) * (movement.0 - bits));
        let of_both = sum(&|movement| (movement.0 - bits) * (movement.1 - seconds));
        let of_seconds = sum(&|movement| (movement.1 - seconds) * (movement.1 - seconds));
        if of_bits <= count * f64::EPSILON * bits * bits {
            return None;
        }
        let slope = of_both / of_bits;
        let left = (of_seconds - slope * of_both).max(0.0);
        let error = (left / (count - 2.0) / of_bits).sqrt();
        let with = |value: f64, half: f64| Estimate { value, interval: Some([value - half, value + half]) };
        Some(Self {
            slope: with(slope, quantile * error),
            intercept: with(
                seconds - slope * bits,
                quantile * error * (of_bits / count + bits * bits).sqrt(),
            ),
            r2: if of_seconds > 0.0 { 1.0 - left / of_seconds } else { 0.0 },
            movements: movements.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_six_movements_is_that_of_scipy() {
        // scipy.stats.linregress(bits, seconds), its errors times scipy.stats.t.ppf(0.975, 4), scipy 1.17.1
        let movements = [(1.0, 1.1), (1.5, 1.4), (2.0, 2.2), (2.5, 2.4), (3.0, 3.3), (1.2, 1.0)];
        let law = FittsLaw::of(&movements).unwrap();
        for (found, expected) in [
            (law.slope, [1.127_472_527_472_527_2, 0.824_957_782_971_491_5, 1.429_987_271_973_563]),
            (law.intercept, [-0.204_615_384_615_384_2, -0.808_888_113_485_140_9, 0.399_657_344_254_372_5]),
        ] {
            let [low, high] = found.interval.unwrap();
            for (found, expected) in [found.value, low, high].into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
            }
        }
        assert!((law.r2 - 0.963_989_010_989_010_8).abs() < 1e-12 && law.movements == 6);
    }

    #[test]
    fn a_line_by_hand_and_none_where_there_is_none() {
        // seconds = 0.5 + bits
        let law = FittsLaw::of(&[(1.0, 1.5), (2.0, 2.5), (3.0, 3.5)]).unwrap();
        assert!((law.slope.value - 1.0).abs() < 1e-12 && (law.intercept.value - 0.5).abs() < 1e-12);
        assert!((law.r2 - 1.0).abs() < 1e-12);
        assert_eq!(FittsLaw::of(&[(1.0, 1.5), (2.0, 2.5)]), None);
        assert_eq!(FittsLaw::of(&[(1.5, 1.0), (1.5, 2.0), (1.5, 3.0)]), None);
    }
}
