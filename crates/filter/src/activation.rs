//! The logistic function and the hyperbolic tangent in single precision, branch-free so that they vectorise, and the
//! same everywhere: what recurrent networks are made of.

/// Beyond this e^x leaves the normal numbers.
const LIMIT: f32 = 87.0;
/// Added to and taken from a number it rounds it to the nearest whole one; the low bits then hold it.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts: the first has zeros at its end, so that its product with a small whole number is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// 1 / k! for k = 7, 6, .. 0: on |r| <= ln 2 / 2 the rest of the series is below 1e-8.
const COEFFICIENTS: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// e^x within 3e-7 of its value, x limited to +-87.
#[expect(clippy::inline_always, reason = "it has to be compiled into the loops around it")]
#[inline(always)]
fn exponential(x: f32) -> f32 {
    let low = if x < -LIMIT { -LIMIT } else { x };
    let limited = if low > LIMIT { LIMIT } else { low };
    let shifted = limited * core::f32::consts::LOG2_E + ROUNDING;
    let whole = shifted - ROUNDING;
    let rest = (limited - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut series = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        series = series * rest + coefficient;
    }
    // 2^whole: the low bits of `shifted` hold the whole number, the exponent's bias is 127.
    series * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// `1 / (1 + e^-x)` within 2e-7.
#[expect(clippy::inline_always, reason = "it has to be compiled into the loops around it")]
#[inline(always)]
pub fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exponential(-x))
}

/// The hyperbolic tangent within 2e-7.
#[expect(clippy::inline_always, reason = "it has to be compiled into the loops around it")]
#[inline(always)]
pub fn hyperbolic_tangent(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exponential(2.0 * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_within_2e7_of_double_precision() {
        let mut x = -100.0_f64;
        while x < 100.0 {
            let single = x as f32;
            let exact = f64::from(single);
            let tanh = f64::from(hyperbolic_tangent(single)) - libm::tanh(exact);
            let logistic = f64::from(logistic(single)) - 1.0 / (1.0 + libm::exp(-exact));
            assert!(tanh.abs() < 2e-7 && logistic.abs() < 2e-7, "{x}: {tanh} {logistic}");
            x += 0.003_7;
        }
    }

    #[test]
    fn ends_are_finite() {
        for x in [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(hyperbolic_tangent(x).to_bits(), x.signum().to_bits());
            assert!((logistic(x) - f32::from(x > 0.0)).abs() < 1e-30);
        }
    }
}
