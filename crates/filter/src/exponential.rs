//! The exponential function of non-positive numbers, branch-free so that it vectorises, and the same everywhere.

/// Below this the result is zero (a normal number's exponent ends here).
const LEAST: f64 = -708.0;
/// Added to and taken from a number it rounds it to the nearest whole one; the low bits then hold it.
const ROUNDING: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts: the first has zeros at its end, so that its product with a small whole number is exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1 / k! for k = 12, 11, .. 2: on |r| <= ln 2 / 2 the rest of the series is below 2e-16.
const COEFFICIENTS: [f64; 11] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];

/// e^x for x <= 0, within 1e-15 of its value; zero below -708. With `FUSED`, for processors that multiply and add in
/// one rounding.
#[inline(always)]
pub(crate) fn exponential<const FUSED: bool>(x: f64) -> f64 {
    let multiply_add = |a: f64, b: f64, c: f64| if FUSED { a.mul_add(b, c) } else { a * b + c };
    let limited = if x < LEAST { LEAST } else { x };
    let shifted = multiply_add(limited, core::f64::consts::LOG2_E, ROUNDING);
    let whole = shifted - ROUNDING;
    let rest = multiply_add(whole, -LN_2_LOW, multiply_add(whole, -LN_2_HIGH, limited));
    let mut series = COEFFICIENTS[0];
    series = multiply_add(series, rest, COEFFICIENTS[1]);
    series = multiply_add(series, rest, COEFFICIENTS[2]);
    series = multiply_add(series, rest, COEFFICIENTS[3]);
    series = multiply_add(series, rest, COEFFICIENTS[4]);
    series = multiply_add(series, rest, COEFFICIENTS[5]);
    series = multiply_add(series, rest, COEFFICIENTS[6]);
    series = multiply_add(series, rest, COEFFICIENTS[7]);
    series = multiply_add(series, rest, COEFFICIENTS[8]);
    series = multiply_add(series, rest, COEFFICIENTS[9]);
    series = multiply_add(series, rest, COEFFICIENTS[10]);
    series = multiply_add(series, rest, 1.0);
    series = multiply_add(series, rest, 1.0);
    // 2^whole: the low bits of `shifted` hold the whole number, the exponent's bias is 1023.
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    if x < LEAST { 0.0 } else { series * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_within_1e15_of_the_correctly_rounded_value() {
        let mut x = 0.0_f64;
        while x > -700.0 {
            let expected = libm::exp(x);
            for value in [exponential::<false>(x), exponential::<true>(x)] {
                assert!((value / expected - 1.0).abs() <= 1e-15, "{x}: {value} {expected}");
            }
            x -= 0.001_37;
        }
    }

    #[test]
    fn ends_are_exact() {
        assert!(exponential::<false>(0.0).to_bits() == 1.0_f64.to_bits());
        assert!(exponential::<false>(f64::NEG_INFINITY).to_bits() == 0.0_f64.to_bits());
        assert!(exponential::<false>(-1e9).to_bits() == 0.0_f64.to_bits());
        assert!(exponential::<false>(f64::NAN).is_nan());
    }
}
