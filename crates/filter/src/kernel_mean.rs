//! Kernel-weighted means of values at training points (Nadaraya-Watson).
//!
//! Weights are `exp((s_i - max s) / bandwidth^2)` of the similarities of [`PanelPoints`]: never 0/0, and the nearest
//! point far from all data. They are computed in 32 bits, eight or more at a time, and so are values, as fractions of
//! their column's range; sums over panels are kept in 64 bits. The mean is within 1e-6 of the range from what 64 bits
//! give everywhere, mostly within 1e-8.

use nalgebra::DMatrix;

use crate::exponential::exponentials_32;
use crate::kernel_path::{Compilation, KernelPath};
use crate::panel::{PANEL, PanelPoints};

/// Weights whose logarithm is less count as zero: 1e-14 of the largest.
const NEGLIGIBLE: f32 = -32.0;
/// Weights and sums side by side.
const LANES: usize = 8;

/// Values at the points of a [`PanelPoints`].
#[derive(Clone, Debug)]
pub struct PanelValues {
    path: KernelPath,
    /// Middle and half of the range of each column.
    ranges: Vec<[f64; 2]>,
    /// Panel by panel, column by column, -1 to 1.
    panels: Vec<[f32; PANEL]>,
    /// Of weights, of their squares, and of each column.
    sums: Vec<[f64; LANES]>,
}

impl PanelValues {
    /// Values in the order of the points: row i of `values` belongs to point i.
    pub fn new(values: &DMatrix<f64>, path: KernelPath) -> Self {
        let (points, columns) = values.shape();
        let mut panels = vec![[0.0; PANEL]; points.div_ceil(PANEL) * columns];
        let mut ranges = Vec::with_capacity(columns);
        for (column, values) in values.column_iter().enumerate() {
            let half_least = 0.5 * values.iter().copied().fold(f64::INFINITY, f64::min);
            let half_greatest = 0.5 * values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (middle, half_range) = (half_greatest + half_least, half_greatest - half_least);
            for (point, value) in values.iter().enumerate() {
                let fraction = if half_range > 0.0 { (value - middle) / half_range } else { 0.0 };
                panels[point / PANEL * columns + column][point % PANEL] = fraction as f32;
            }
            ranges.push([middle, half_range]);
        }
        Self { path, ranges, panels, sums: vec![[0.0; LANES]; columns + 2] }
    }

    /// Writes the kernel mean of the values at the last query of `points` to `mean` and gives the effective number of
    /// points, `(sum w)^2 / sum w^2`. Real-time.
    pub fn smooth(&mut self, points: &mut PanelPoints, bandwidth: f64, mean: &mut [f64]) -> f64 {
        let precision = (1.0 / (bandwidth * bandwidth)).clamp(f64::MIN_POSITIVE, f64::MAX);
        points.ascertain(precision, f64::from(NEGLIGIBLE));
        for sum in &mut self.sums {
            *sum = [0.0; LANES];
        }
        let weighting = Weighting {
            similarities: points.similarities(),
            greatest: points.greatest(),
            precision,
            values: &self.panels,
            columns: self.ranges.len(),
        };
        match self.path.compilation() {
            #[cfg(target_arch = "x86_64")]
            Compilation::Avx2Fma => avx2::weighted_sums(&weighting, &mut self.sums),
            Compilation::Portable => weighted_sums(&weighting, &mut self.sums),
        }
        let weight = lane_sum(&self.sums[0]);
        let squared = lane_sum(&self.sums[1]);
        for ((mean, sums), [middle, half_range]) in mean.iter_mut().zip(&self.sums[2..]).zip(&self.ranges) {
            *mean = middle + half_range * (lane_sum(sums) / weight);
        }
        weight * weight / squared
    }
}

/// Lanes summed in a fixed order.
pub(crate) fn lane_sum(lanes: &[f64; LANES]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Which weights are to be computed, and what is to be weighted.
#[derive(Clone, Copy, Debug)]
struct Weighting<'a> {
    similarities: &'a [[f64; PANEL]],
    greatest: f64,
    precision: f64,
    values: &'a [[f32; PANEL]],
    columns: usize,
}

impl<'a> Weighting<'a> {
    /// Similarities and values panel by panel, in groups of lanes.
    fn panels(&self) -> impl Iterator<Item = (&'a [[f64; LANES]], &'a [[f32; PANEL]])> {
        let similarities = self.similarities.iter().map(|panel| panel.as_chunks().0);
        similarities.zip(self.values.chunks_exact(self.columns))
    }
}

/// Adds sum w, sum w^2 and sum w value of every column to `sums`.
fn weighted_sums(weighting: &Weighting<'_>, sums: &mut [[f64; LANES]]) {
    let [weight_sum, square_sum, sums @ ..] = sums else { return };
    for (similarities, values) in weighting.panels() {
        let mut weights = [[0.0; LANES]; PANEL / LANES];
        let mut negligible = true;
        for (logarithms, similarities) in weights.iter_mut().zip(similarities) {
            for lane in 0..LANES {
                logarithms[lane] = ((similarities[lane] - weighting.greatest) * weighting.precision) as f32;
                negligible &= logarithms[lane] < NEGLIGIBLE;
            }
        }
        if negligible {
            continue;
        }
        for logarithms in &mut weights {
            *logarithms = exponentials_32(logarithms);
        }
        add(weight_sum, &weights, &[[1.0; LANES]; PANEL / LANES]);
        add(square_sum, &weights, &weights);
        for (sum, values) in sums.iter_mut().zip(values) {
            add(sum, &weights, values.as_chunks().0);
        }
    }
}

/// Adds products of a panel to `sum`: four each in 32 bits, then in 64.
fn add(sum: &mut [f64; LANES], left: &[[f32; LANES]], right: &[[f32; LANES]]) {
    let mut products = [0.0_f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            products[lane] += left[lane] * right[lane];
        }
    }
    for lane in 0..LANES {
        sum[lane] += f64::from(products[lane]);
    }
}

/// The same in AVX2 and FMA instructions.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "three times as fast as what the compiler makes of the loops")]
mod avx2 {
    use core::arch::x86_64::{
        __m256, __m256d, _CMP_GE_OQ, _mm256_add_pd, _mm256_add_ps, _mm256_castps256_ps128, _mm256_cmp_ps,
        _mm256_cvtpd_ps, _mm256_cvtps_pd, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_pd,
        _mm256_loadu_ps, _mm256_max_ps, _mm256_movemask_ps, _mm256_mul_pd, _mm256_mul_ps, _mm256_set_m128,
        _mm256_set1_pd, _mm256_set1_ps, _mm256_storeu_pd, _mm256_sub_pd,
    };

    use super::{LANES, NEGLIGIBLE, Weighting};
    use crate::exponential::exponentials_avx2;

    pub(super) fn weighted_sums(weighting: &Weighting<'_>, sums: &mut [[f64; LANES]]) {
        // SAFETY: reached by `Compilation::Avx2Fma` alone, which only `KernelPath::detect` makes, where the processor
        // has both features.
        unsafe { loops(weighting, sums) }
    }

    #[target_feature(enable = "avx2,fma")]
    fn loops(weighting: &Weighting<'_>, sums: &mut [[f64; LANES]]) {
        let [weight_sum, square_sum, sums @ ..] = sums else { return };
        let greatest = _mm256_set1_pd(weighting.greatest);
        let precision = _mm256_set1_pd(weighting.precision);
        let least = _mm256_set1_ps(NEGLIGIBLE);
        for (similarities, values) in weighting.panels() {
            let [first, second, third, fourth] = similarities else { continue };
            let logarithms = [
                logarithms(first, greatest, precision),
                logarithms(second, greatest, precision),
                logarithms(third, greatest, precision),
                logarithms(fourth, greatest, precision),
            ];
            let [first, second, third, fourth] = logarithms;
            let most = _mm256_max_ps(_mm256_max_ps(first, second), _mm256_max_ps(third, fourth));
            if _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(most, least)) == 0 {
                continue;
            }
            let weights = exponentials_avx2(logarithms);
            let [first, second, third, fourth] = weights;
            add(weight_sum, _mm256_add_ps(_mm256_add_ps(first, second), _mm256_add_ps(third, fourth)));
            add(square_sum, product(weights, weights));
            for (sum, values) in sums.iter_mut().zip(values) {
                let [first, second, third, fourth] = values.as_chunks().0 else { continue };
                add(sum, product(weights, [load(first), load(second), load(third), load(fourth)]));
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn logarithms(similarities: &[f64; LANES], greatest: __m256d, precision: __m256d) -> __m256 {
        let ([low, high], _) = similarities.as_chunks() else { return _mm256_set1_ps(f32::NEG_INFINITY) };
        let low = _mm256_cvtpd_ps(_mm256_mul_pd(_mm256_sub_pd(load_64(low), greatest), precision));
        let high = _mm256_cvtpd_ps(_mm256_mul_pd(_mm256_sub_pd(load_64(high), greatest), precision));
        _mm256_set_m128(high, low)
    }

    /// Products lane by lane, four summed in 32 bits.
    #[target_feature(enable = "avx2,fma")]
    fn product(left: [__m256; 4], right: [__m256; 4]) -> __m256 {
        let product = _mm256_mul_ps(left[0], right[0]);
        let product = _mm256_fmadd_ps(left[1], right[1], product);
        let product = _mm256_fmadd_ps(left[2], right[2], product);
        _mm256_fmadd_ps(left[3], right[3], product)
    }

    #[target_feature(enable = "avx2,fma")]
    fn add(sum: &mut [f64; LANES], products: __m256) {
        let ([low, high], _) = sum.as_chunks_mut() else { return };
        add_to(low, _mm256_cvtps_pd(_mm256_castps256_ps128(products)));
        add_to(high, _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(products)));
    }

    #[target_feature(enable = "avx2,fma")]
    fn add_to(sum: &mut [f64; LANES / 2], values: __m256d) {
        let total = _mm256_add_pd(load_64(sum), values);
        // SAFETY: four numbers of room.
        unsafe { _mm256_storeu_pd(sum.as_mut_ptr(), total) }
    }

    #[target_feature(enable = "avx2,fma")]
    fn load(values: &[f32; LANES]) -> __m256 {
        // SAFETY: eight numbers long.
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }

    #[target_feature(enable = "avx2,fma")]
    fn load_64(values: &[f64; LANES / 2]) -> __m256d {
        // SAFETY: four numbers long.
        unsafe { _mm256_loadu_pd(values.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;
    use crate::kernel_reference::{Cloud, kernel_mean, random_matrix};

    /// Mean and effective number of points.
    fn smoothed(
        points: &DMatrix<f64>,
        scales: Option<&[f64]>,
        values: &DMatrix<f64>,
        bandwidth: f64,
        query: &[f64],
        path: KernelPath,
    ) -> (Vec<f64>, f64) {
        let mut panel = PanelPoints::new(points, scales, path);
        let mut mean = vec![0.0; values.ncols()];
        panel.compare(query);
        let effective = PanelValues::new(values, path).smooth(&mut panel, bandwidth, &mut mean);
        (mean, effective)
    }

    #[test]
    fn every_path_agrees_with_the_textbook_formula() {
        let scales: Vec<f64> = (0..7).map(|input| 0.5 + 0.2 * f64::from(input)).collect();
        for count in [1, 31, 32, 33, 200, 1001] {
            let points = random_matrix(count, 7, 2.0, 3);
            let values = random_matrix(count, 3, 2.0, 4);
            for path in [KernelPath::detect(), KernelPath::PORTABLE] {
                let mut panel = PanelPoints::new(&points, Some(&scales), path);
                let mut panel_values = PanelValues::new(&values, path);
                for query in random_matrix(20, 7, 2.0, 5).row_iter() {
                    let query: Vec<f64> = query.iter().copied().collect();
                    panel.compare(&query);
                    for bandwidth in [3.0, 0.05, 0.6, 1e-4] {
                        let mut mean = [0.0; 3];
                        let effective = panel_values.smooth(&mut panel, bandwidth, &mut mean);
                        let (expected, expected_effective) =
                            kernel_mean(&points, &scales, &values, bandwidth, &query);
                        for (mean, expected) in mean.iter().zip(&expected) {
                            let error = (mean - expected).abs();
                            assert!(error < 2e-7, "{path:?} {count} {bandwidth}: {error:e}");
                        }
                        assert!((effective / expected_effective - 1.0).abs() < 1e-6);
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_mean_is_within_a_millionth_of_the_range_for_any_points(
            count in 1..80_usize,
            inputs in 1..6_usize,
            size in -30..30_i32,
            offset in -2..7_i32,
            outliers in 0..9_i32,
            query in -3..10_i32,
            bandwidth in -5..4_i32,
            seed in any::<u32>(),
        ) {
            let seed = u64::from(seed);
            let cloud = Cloud::new(count, inputs, [size, offset, outliers, query], seed);
            let values = random_matrix(count, 2, 10.0_f64.powi(size), seed + 3);
            let bandwidth = 10.0_f64.powi(size + bandwidth);
            let ones = vec![1.0; inputs];
            let (expected, expected_effective) =
                kernel_mean(&cloud.points, &ones, &values, bandwidth, &cloud.query);
            for path in [KernelPath::detect(), KernelPath::PORTABLE] {
                let (mean, effective) =
                    smoothed(&cloud.points, None, &values, bandwidth, &cloud.query, path);
                for (column, (mean, expected)) in mean.iter().zip(&expected).enumerate() {
                    let half_range = 0.5 * (values.column(column).max() - values.column(column).min());
                    let error = (mean - expected).abs() / (half_range + f64::MIN_POSITIVE);
                    assert!(error < 1e-6, "{path:?}: {error:e}");
                }
                assert!((effective / expected_effective - 1.0).abs() < 2e-6);
            }
        }

        #[test]
        fn the_mean_is_among_the_values_for_any_finite_numbers(
            points in proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL, 60),
            query in proptest::collection::vec(proptest::num::f64::NORMAL | proptest::num::f64::ZERO, 3),
            bandwidth in proptest::num::f64::POSITIVE | proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
            scale in proptest::num::f64::POSITIVE | proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
        ) {
            let points = DMatrix::from_row_slice(20, 3, &points);
            let values = DMatrix::from_fn(20, 1, |row, _| row as f64);
            for path in [KernelPath::detect(), KernelPath::PORTABLE] {
                let (mean, effective) =
                    smoothed(&points, Some(&[1.0, scale.abs(), 1.0]), &values, bandwidth.abs(), &query, path);
                assert!((0.0..=19.0).contains(&mean[0]) && (0.999..20.001).contains(&effective), "{mean:?} {effective}");
            }
        }
    }

    #[test]
    fn far_from_all_data_the_nearest_point_answers() {
        let points = DMatrix::from_row_slice(3, 2, &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        let values = DMatrix::from_row_slice(3, 1, &[10.0, 20.0, 30.0]);
        let (mean, effective) = smoothed(&points, None, &values, 0.1, &[1e6, 0.0], KernelPath::detect());
        assert!((mean[0] - 20.0).abs() < 1e-9 && (effective - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_point_left_out_does_not_speak() {
        let points = random_matrix(50, 3, 2.0, 8);
        let values = random_matrix(50, 2, 2.0, 9);
        let query: Vec<f64> = points.row(17).iter().copied().collect();
        let (points_left, values_left) = (points.clone().remove_row(17), values.clone().remove_row(17));
        for bandwidth in [0.5, 1e-5] {
            let mut panel = PanelPoints::new(&points, None, KernelPath::PORTABLE);
            panel.compare(&query);
            panel.leave_out(17);
            let mut mean = [0.0; 2];
            PanelValues::new(&values, KernelPath::PORTABLE).smooth(&mut panel, bandwidth, &mut mean);
            let (expected, _) = kernel_mean(&points_left, &[1.0; 3], &values_left, bandwidth, &query);
            assert!((mean[0] - expected[0]).abs() < 1e-6 && (mean[1] - expected[1]).abs() < 1e-6);
        }
    }
}
