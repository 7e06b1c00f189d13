//! The exponential function of non-positive numbers and the hyperbolic tangent, branch-free so that they vectorise, and
//! the same everywhere.

/// Below this the result is zero (a normal number's exponent ends here).
const LEAST: f64 = -708.0;
/// Added to and taken from a number it rounds it to the nearest whole one; the low bits then hold it.
const ROUNDING: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts: the first has zeros at its end, so that its product with a small whole number is exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// 1 / k! for k = 12, 11, .. 0: on |r| <= ln 2 / 2 the rest of the series is below 2e-16.
const COEFFICIENTS: [f64; 13] = [
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
    1.0,
    1.0,
];

/// e^x of every lane, x <= 0, within 1e-15 of its value; zero below -708. With `FUSED`, for processors that multiply and
/// add in one rounding. One loop an operation, so that each becomes one instruction over the lanes.
#[expect(clippy::inline_always, reason = "it has to be compiled into the loops of each kernel path")]
#[inline(always)]
pub fn exponentials<const FUSED: bool, const LANES: usize>(x: &[f64; LANES]) -> [f64; LANES] {
    let multiply_add = |a: f64, b: f64, c: f64| if FUSED { a.mul_add(b, c) } else { a * b + c };
    let limited = x.map(|x| if x < LEAST { LEAST } else { x });
    let shifted = limited.map(|limited| multiply_add(limited, core::f64::consts::LOG2_E, ROUNDING));
    let mut rest = [0.0; LANES];
    for lane in 0..LANES {
        let whole = shifted[lane] - ROUNDING;
        rest[lane] = multiply_add(whole, -LN_2_LOW, multiply_add(whole, -LN_2_HIGH, limited[lane]));
    }
    let mut series = [COEFFICIENTS[0]; LANES];
    for coefficient in &COEFFICIENTS[1..] {
        for lane in 0..LANES {
            series[lane] = multiply_add(series[lane], rest[lane], *coefficient);
        }
    }
    // 2^whole: the low bits of `shifted` hold the whole number, the exponent's bias is 1023.
    let power = shifted.map(|shifted| f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52));
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        let value = series[lane] * power[lane];
        result[lane] = if x[lane] < LEAST { 0.0 } else { value };
    }
    result
}

/// The same in 32 bits: smaller numbers count as this, so that squares of the results are normal numbers.
const LEAST_32: f32 = -43.0;
const ROUNDING_32: f32 = 12_582_912.0;
const LN_2_HIGH_32: f32 = 0.693_359_4;
const LN_2_LOW_32: f32 = -2.121_944_4e-4;
/// 1 / k! for k = 7, 6, .. 0: the rest of the series is below 6e-9.
const COEFFICIENTS_32: [f32; 8] =
    [1.0 / 5_040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// e^x of every lane in 32 bits, x <= 0, within 2e-7 of its value; 2e-19 below -43.
pub(crate) fn exponentials_32<const LANES: usize>(x: &[f32; LANES]) -> [f32; LANES] {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        let limited = if x[lane] < LEAST_32 { LEAST_32 } else { x[lane] };
        let shifted = limited * core::f32::consts::LOG2_E + ROUNDING_32;
        let whole = shifted - ROUNDING_32;
        let rest = (limited - whole * LN_2_HIGH_32) - whole * LN_2_LOW_32;
        let mut series = COEFFICIENTS_32[0];
        for coefficient in &COEFFICIENTS_32[1..] {
            series = series * rest + coefficient;
        }
        // 2^whole as above; the exponent's bias is 127.
        result[lane] = series * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    }
    result
}

/// The same for four vectors of eight lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn exponentials_avx2(x: [core::arch::x86_64::__m256; 4]) -> [core::arch::x86_64::__m256; 4] {
    use core::arch::x86_64::{
        _mm256_add_epi32, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_max_ps,
        _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_slli_epi32, _mm256_sub_ps,
    };
    let rounding = _mm256_set1_ps(ROUNDING_32);
    let [c7, c6, c5, c4, c3, c2, c1, c0] = COEFFICIENTS_32;
    let mut result = x;
    for (result, x) in result.iter_mut().zip(x) {
        let limited = _mm256_max_ps(x, _mm256_set1_ps(LEAST_32));
        let shifted = _mm256_fmadd_ps(limited, _mm256_set1_ps(core::f32::consts::LOG2_E), rounding);
        let whole = _mm256_sub_ps(shifted, rounding);
        let high = _mm256_fmadd_ps(whole, _mm256_set1_ps(-LN_2_HIGH_32), limited);
        let rest = _mm256_fmadd_ps(whole, _mm256_set1_ps(-LN_2_LOW_32), high);
        let biased = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127));
        let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased));
        let square = _mm256_mul_ps(rest, rest);
        // pairs of terms, then pairs of those: fewer operations that wait for each other
        let pair = |odd, even| _mm256_fmadd_ps(_mm256_set1_ps(odd), rest, _mm256_set1_ps(even));
        let low = _mm256_fmadd_ps(pair(c3, c2), square, pair(c1, c0));
        let high = _mm256_fmadd_ps(pair(c7, c6), square, pair(c5, c4));
        *result = _mm256_mul_ps(_mm256_fmadd_ps(high, _mm256_mul_ps(square, square), low), power);
    }
    result
}

/// tanh of every lane, within 4e-16 of its value: `(1 - e) / (1 + e)` with `e = e^(-2 |x|)`, and the sign of x. Plain
/// multiplications and additions, so the same bits on every processor.
#[inline]
pub fn hyperbolic_tangents<const LANES: usize>(x: &[f64; LANES]) -> [f64; LANES] {
    let powers = exponentials::<false, LANES>(&x.map(|x| -2.0 * x.abs()));
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = ((1.0 - powers[lane]) / (1.0 + powers[lane])).copysign(x[lane]);
    }
    result
}

/// tanh of every lane in 32 bits, within 3e-7 of its value, for training.
#[inline]
pub fn hyperbolic_tangents_32<const LANES: usize>(x: &[f32; LANES]) -> [f32; LANES] {
    let powers = exponentials_32(&x.map(|x| -2.0 * x.abs()));
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = ((1.0 - powers[lane]) / (1.0 + powers[lane])).copysign(x[lane]);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_32_bits_it_is_within_2e7_of_the_value() {
        let mut x = 0.0_f32;
        while x > -43.0 {
            let [value] = exponentials_32(&[x]);
            let expected = libm::exp(f64::from(x));
            assert!((f64::from(value) / expected - 1.0).abs() <= 2e-7, "{x}: {value} {expected}");
            x -= 0.001_37;
        }
        let ends = exponentials_32(&[0.0, f32::NEG_INFINITY, -88.0, f32::NAN]);
        assert!(ends[0].to_bits() == 1.0_f32.to_bits() && ends[1] < 3e-19 && ends[2] < 3e-19);
    }

    #[test]
    fn the_hyperbolic_tangent_in_32_bits_is_within_3e7_of_libm() {
        let mut x = -12.0_f32;
        while x < 12.0 {
            let [value, other] = hyperbolic_tangents_32(&[x, 1e-2 * x]);
            assert!((f64::from(value) - libm::tanh(f64::from(x))).abs() <= 3e-7, "{x}: {value}");
            assert!((f64::from(other) - libm::tanh(f64::from(1e-2 * x))).abs() <= 3e-7, "{x}: {other}");
            x += 0.000_37;
        }
        let ends = hyperbolic_tangents_32(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
        assert!((ends[0] - 1.0).abs() < 1e-6 && (ends[1] + 1.0).abs() < 1e-6 && ends[2].is_nan());
    }

    #[test]
    fn the_hyperbolic_tangent_is_within_4e16_of_libm() {
        let mut x = -25.0_f64;
        while x < 25.0 {
            let [value, other, ..] = hyperbolic_tangents(&[x, 1e-3 * x, 0.0, 0.0]);
            assert!((value - libm::tanh(x)).abs() <= 4e-16, "{x}: {value}");
            assert!((other - libm::tanh(1e-3 * x)).abs() <= 4e-16, "{x}: {other}");
            x += 0.000_37;
        }
        let ends = hyperbolic_tangents(&[f64::INFINITY, f64::NEG_INFINITY, 0.0, f64::NAN]);
        assert_eq!(
            ends[..3].iter().map(|end| end.to_bits()).collect::<Vec<_>>(),
            [1.0_f64, -1.0, 0.0].map(f64::to_bits)
        );
        assert!(ends[3].is_nan());
    }

    #[test]
    fn it_is_within_1e15_of_the_correctly_rounded_value() {
        let mut x = 0.0_f64;
        while x > -700.0 {
            let expected = libm::exp(x);
            for [value] in [exponentials::<false, 1>(&[x]), exponentials::<true, 1>(&[x])] {
                assert!((value / expected - 1.0).abs() <= 1e-15, "{x}: {value} {expected}");
            }
            x -= 0.001_37;
        }
    }

    #[test]
    fn ends_are_exact() {
        let ends = exponentials::<false, 4>(&[0.0, f64::NEG_INFINITY, -1e9, f64::NAN]);
        let bits = ends.map(f64::to_bits);
        assert_eq!(bits[..3], [1.0_f64.to_bits(), 0, 0]);
        assert!(ends[3].is_nan());
    }
}
