//! The Gaussian kernel over many points, fast: points in lanes, features along memory.
//!
//! A query x and points `p_i`, all relative to the points' mean and multiplied by per-feature scales, have
//! `-|x - p_i|^2 / 2 = x . p_i - |p_i|^2 / 2 - |x|^2 / 2`. The last term is the same for all points and cancels in a
//! weighted mean, so it is never computed: one multiplication and addition a feature, and no loss where a single feature
//! is far off. Weights are `exp((s_i - max s) / bandwidth^2)` of the similarity `s_i = x . p_i - |p_i|^2 / 2`: never 0/0,
//! and the nearest point far from all data. Weights below e^-45 of the largest count as zero. A sum that is not a mean
//! gets the last term back at its end, by one exponential.
//!
//! The same code is compiled twice: with AVX2 and FMA, and for any processor; [`kernel_path`] says which one runs,
//! chosen once for a kernel when it is built. They differ by rounding (a fused multiplication) below 1e-12.
//! The order of summation is that of the lanes, whatever the width of the processor's registers.

use nalgebra::DMatrix;

use crate::exponential::exponentials;

/// Points in one panel of similarities.
const PANEL: usize = 32;
/// Points weighted at a time.
const LANES: usize = 8;
/// Log-weights below this count as zero weight.
const NEGLIGIBLE: f64 = -45.0;

/// Which compilation of the kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KernelPath {
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2Fma,
    /// Any processor.
    Portable,
}

impl KernelPath {
    /// The fastest that this processor has.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Self::Avx2Fma;
        }
        Self::Portable
    }
}

/// The name of the kernel path that decoders use on this processor: `avx2+fma` or `portable`. Outputs are bit-identical
/// for the same path.
#[must_use]
pub fn kernel_path() -> &'static str {
    match KernelPath::detect() {
        #[cfg(target_arch = "x86_64")]
        KernelPath::Avx2Fma => "avx2+fma",
        KernelPath::Portable => "portable",
    }
}

/// Points of a kernel regression, in panels.
#[derive(Clone, Debug)]
pub(crate) struct PanelPoints {
    path: KernelPath,
    centre: Vec<f64>,
    scales: Vec<f64>,
    /// Panel by panel, feature by feature, 32 points.
    panels: Vec<[f64; PANEL]>,
    /// `-|p_i|^2 / 2`, minus infinity for lanes without a point.
    half_norms: Vec<[f64; PANEL]>,
    query: Vec<f64>,
    similarities: Vec<[f64; PANEL]>,
    greatest: f64,
}

/// Values at the points of a [`PanelPoints`].
#[derive(Clone, Debug)]
pub(crate) struct PanelValues {
    path: KernelPath,
    columns: usize,
    /// Group of 8 points by group, column by column.
    groups: Vec<[f64; LANES]>,
    sums: Vec<[f64; LANES]>,
}

impl PanelPoints {
    /// Rows of `points` as kernel centres; `scales` of ones where `None`.
    pub(crate) fn new(points: &DMatrix<f64>, scales: Option<&[f64]>, path: KernelPath) -> Self {
        let (count, inputs) = points.shape();
        let centre: Vec<f64> =
            points.column_iter().map(|column| column.iter().sum::<f64>() / count as f64).collect();
        let scales = scales.map_or_else(|| vec![1.0; inputs], <[f64]>::to_vec);
        let panel_count = count.div_ceil(PANEL);
        let mut panels = vec![[0.0; PANEL]; panel_count * inputs];
        let mut half_norms = vec![[f64::NEG_INFINITY; PANEL]; panel_count];
        for point in 0..count {
            let (panel, lane) = (point / PANEL, point % PANEL);
            let mut norm = 0.0;
            for input in 0..inputs {
                let value = (points[(point, input)] - centre[input]) * scales[input];
                panels[panel * inputs + input][lane] = value;
                norm += value * value;
            }
            half_norms[panel][lane] = -0.5 * norm;
        }
        Self {
            path,
            centre,
            scales,
            panels,
            half_norms,
            query: vec![0.0; inputs],
            similarities: vec![[f64::NEG_INFINITY; PANEL]; panel_count],
            greatest: f64::NEG_INFINITY,
        }
    }

    /// Computes the similarity of `query` to every point, for [`PanelValues::smooth`].
    pub(crate) fn compare(&mut self, query: &[f64]) {
        for (to, (from, (centre, scale))) in
            self.query.iter_mut().zip(query.iter().zip(self.centre.iter().zip(&self.scales)))
        {
            *to = (from - centre) * scale;
        }
        self.greatest = compiled::similarities(
            self.path,
            &self.panels,
            &self.half_norms,
            &self.query,
            &mut self.similarities,
        );
    }

    /// `-|x - p_i|^2 / 2` of the nearest point.
    fn greatest_log_kernel(&self) -> f64 {
        let squared: f64 = self.query.iter().map(|value| value * value).sum();
        // rounding may leave a little above zero
        (self.greatest - 0.5 * squared).min(0.0)
    }

    /// Leaves point `point` out of the comparison just made.
    pub(crate) fn leave_out(&mut self, point: usize) {
        self.similarities[point / PANEL][point % PANEL] = f64::NEG_INFINITY;
        self.greatest = self.similarities.as_flattened().iter().copied().fold(f64::NEG_INFINITY, f64::max);
    }
}

impl PanelValues {
    /// Values in the order of the points: row i of `values` belongs to point i.
    pub(crate) fn new(values: &DMatrix<f64>, path: KernelPath) -> Self {
        let (points, columns) = values.shape();
        let mut groups = vec![[0.0; LANES]; points.div_ceil(PANEL) * (PANEL / LANES) * columns];
        for point in 0..points {
            for column in 0..columns {
                groups[point / LANES * columns + column][point % LANES] = values[(point, column)];
            }
        }
        Self { path, columns, groups, sums: vec![[0.0; LANES]; columns + 2] }
    }

    /// Writes the kernel mean of the values at the last query of `points` to `mean` and gives the effective number of
    /// points, `(sum w)^2 / sum w^2`.
    pub(crate) fn smooth(&mut self, points: &PanelPoints, bandwidth: f64, mean: &mut [f64]) -> f64 {
        self.accumulate(points, 1.0 / (bandwidth * bandwidth));
        let weight = lane_sum(&self.sums[0]);
        let squared = lane_sum(&self.sums[1]);
        for (mean, sums) in mean.iter_mut().zip(&self.sums[2..]) {
            *mean = lane_sum(sums) / weight;
        }
        weight * weight / squared
    }

    /// Writes the sum of the values, each times the kernel `exp(-|x - p_i|^2 / 2)`, at the last query of `points` to `sum`.
    pub(crate) fn sum(&mut self, points: &PanelPoints, sum: &mut [f64]) {
        self.accumulate(points, 1.0);
        let [nearest] = exponentials::<false, 1>(&[points.greatest_log_kernel()]);
        for (sum, sums) in sum.iter_mut().zip(&self.sums[2..]) {
            *sum = lane_sum(sums) * nearest;
        }
    }

    /// Sums over all points, of weights relative to the greatest.
    fn accumulate(&mut self, points: &PanelPoints, precision: f64) {
        for sum in &mut self.sums {
            *sum = [0.0; LANES];
        }
        let (groups, _rest) = points.similarities.as_flattened().as_chunks::<LANES>();
        compiled::smooth(
            self.path,
            groups,
            points.greatest,
            precision,
            &self.groups,
            self.columns,
            &mut self.sums,
        );
    }
}

/// Lanes summed in a fixed order.
fn lane_sum(lanes: &[f64; LANES]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// The loops, compiled for each path.
#[expect(clippy::inline_always, reason = "the loops have to be compiled into each kernel path")]
mod compiled {
    use super::{KernelPath, LANES, NEGLIGIBLE, PANEL};
    use crate::exponential::exponentials;

    /// `a b + c`, fused or not.
    #[inline(always)]
    fn multiply_add<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
        if FUSED { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline(always)]
    fn similarities_with<const FUSED: bool>(
        panels: &[[f64; PANEL]],
        half_norms: &[[f64; PANEL]],
        query: &[f64],
        similarities: &mut [[f64; PANEL]],
    ) -> f64 {
        let mut greatest = [f64::NEG_INFINITY; PANEL];
        for ((panel, half_norms), similarities) in
            panels.chunks_exact(query.len()).zip(half_norms).zip(similarities)
        {
            let mut sums = *half_norms;
            for (points, &value) in panel.iter().zip(query) {
                for lane in 0..PANEL {
                    sums[lane] = multiply_add::<FUSED>(points[lane], value, sums[lane]);
                }
            }
            for lane in 0..PANEL {
                greatest[lane] = if sums[lane] > greatest[lane] { sums[lane] } else { greatest[lane] };
            }
            *similarities = sums;
        }
        greatest.into_iter().fold(f64::NEG_INFINITY, |most, value| if value > most { value } else { most })
    }

    #[inline(always)]
    fn smooth_with<const FUSED: bool>(
        similarities: &[[f64; LANES]],
        greatest: f64,
        precision: f64,
        values: &[[f64; LANES]],
        columns: usize,
        sums: &mut [[f64; LANES]],
    ) {
        let [weight_sum, square_sum, sums @ ..] = sums else { return };
        for (similarities, values) in similarities.iter().zip(values.chunks_exact(columns)) {
            let mut weights = [0.0; LANES];
            for lane in 0..LANES {
                weights[lane] = (similarities[lane] - greatest) * precision;
            }
            let mut nearest = [0.0; LANES / 2];
            for lane in 0..LANES / 2 {
                let (low, high) = (weights[lane], weights[lane + LANES / 2]);
                nearest[lane] = if low > high { low } else { high };
            }
            if nearest.iter().all(|&weight| weight < NEGLIGIBLE) {
                continue;
            }
            let weights = exponentials::<FUSED, LANES>(&weights);
            for lane in 0..LANES {
                weight_sum[lane] += weights[lane];
                square_sum[lane] = multiply_add::<FUSED>(weights[lane], weights[lane], square_sum[lane]);
            }
            for (sum, values) in sums.iter_mut().zip(values) {
                for lane in 0..LANES {
                    sum[lane] = multiply_add::<FUSED>(weights[lane], values[lane], sum[lane]);
                }
            }
        }
    }

    /// Fills `similarities` and gives the greatest.
    pub(super) fn similarities(
        path: KernelPath,
        panels: &[[f64; PANEL]],
        half_norms: &[[f64; PANEL]],
        query: &[f64],
        similarities: &mut [[f64; PANEL]],
    ) -> f64 {
        match path {
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx2Fma => avx2::similarities(panels, half_norms, query, similarities),
            KernelPath::Portable => similarities_with::<false>(panels, half_norms, query, similarities),
        }
    }

    /// Adds sum w, sum w^2 and sum w value of every column to `sums`.
    pub(super) fn smooth(
        path: KernelPath,
        similarities: &[[f64; LANES]],
        greatest: f64,
        precision: f64,
        values: &[[f64; LANES]],
        columns: usize,
        sums: &mut [[f64; LANES]],
    ) {
        match path {
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx2Fma => avx2::smooth(similarities, greatest, precision, values, columns, sums),
            KernelPath::Portable => {
                smooth_with::<false>(similarities, greatest, precision, values, columns, sums);
            }
        }
    }

    /// The same with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    #[expect(
        unsafe_code,
        reason = "code compiled for AVX2 and FMA is three times as fast, and calling it is unsafe"
    )]
    mod avx2 {
        use super::{LANES, PANEL, similarities_with, smooth_with};

        #[target_feature(enable = "avx2,fma")]
        fn similarities_avx2(
            panels: &[[f64; PANEL]],
            half_norms: &[[f64; PANEL]],
            query: &[f64],
            similarities: &mut [[f64; PANEL]],
        ) -> f64 {
            similarities_with::<true>(panels, half_norms, query, similarities)
        }

        #[target_feature(enable = "avx2,fma")]
        fn smooth_avx2(
            similarities: &[[f64; LANES]],
            greatest: f64,
            precision: f64,
            values: &[[f64; LANES]],
            columns: usize,
            sums: &mut [[f64; LANES]],
        ) {
            smooth_with::<true>(similarities, greatest, precision, values, columns, sums);
        }

        pub(super) fn similarities(
            panels: &[[f64; PANEL]],
            half_norms: &[[f64; PANEL]],
            query: &[f64],
            similarities: &mut [[f64; PANEL]],
        ) -> f64 {
            // SAFETY: reached by `KernelPath::Avx2Fma` alone, which `KernelPath::detect` gives only where the
            // processor has both features; the function touches nothing but its arguments.
            unsafe { similarities_avx2(panels, half_norms, query, similarities) }
        }

        pub(super) fn smooth(
            similarities: &[[f64; LANES]],
            greatest: f64,
            precision: f64,
            values: &[[f64; LANES]],
            columns: usize,
            sums: &mut [[f64; LANES]],
        ) {
            // SAFETY: as above.
            unsafe { smooth_avx2(similarities, greatest, precision, values, columns, sums) }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn random_matrix(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        DMatrix::from_fn(rows, columns, |_, _| random.random_range(-2.0..2.0))
    }

    /// The textbook formula, with the standard library's exponential.
    fn reference(
        points: &DMatrix<f64>,
        values: &DMatrix<f64>,
        scales: &[f64],
        h: f64,
        x: &[f64],
    ) -> (Vec<f64>, f64) {
        let logs: Vec<f64> = (0..points.nrows())
            .map(|point| {
                let squared: f64 = (0..points.ncols())
                    .map(|input| ((x[input] - points[(point, input)]) * scales[input]).powi(2))
                    .sum();
                -squared / (2.0 * h * h)
            })
            .collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mean = (0..values.ncols())
            .map(|column| weights.iter().enumerate().map(|(i, w)| w * values[(i, column)]).sum::<f64>() / sum)
            .collect();
        (mean, sum * sum / weights.iter().map(|w| w * w).sum::<f64>())
    }

    #[test]
    fn every_path_agrees_with_the_textbook_formula() {
        let scales: Vec<f64> = (0..7).map(|input| 0.5 + 0.2 * f64::from(input)).collect();
        for count in [1, 31, 32, 33, 200, 1001] {
            let points = random_matrix(count, 7, 3);
            let values = random_matrix(count, 3, 4);
            let queries = random_matrix(20, 7, 5);
            for path in [KernelPath::detect(), KernelPath::Portable] {
                let mut panel = PanelPoints::new(&points, Some(&scales), path);
                let mut panel_values = PanelValues::new(&values, path);
                for query in queries.row_iter() {
                    let query: Vec<f64> = query.iter().copied().collect();
                    for h in [0.05, 0.6, 3.0] {
                        panel.compare(&query);
                        let mut mean = [0.0; 3];
                        let effective = panel_values.smooth(&panel, h, &mut mean);
                        let (expected, expected_effective) = reference(&points, &values, &scales, h, &query);
                        for (mean, expected) in mean.iter().zip(&expected) {
                            // At h = 0.05 a rounding of 1e-16 in a squared distance is one of 4e-14 in a weight.
                            assert!((mean - expected).abs() < 1e-12, "{path:?} {count} {h}");
                        }
                        assert!((effective / expected_effective - 1.0).abs() < 1e-11);
                    }
                }
            }
        }
    }

    #[test]
    fn sums_of_kernels_are_those_of_the_formula_and_vanish_far_away() {
        let scales: Vec<f64> = (0..7).map(|input| 0.5 + 0.2 * f64::from(input)).collect();
        let (points, values) = (random_matrix(201, 7, 3), random_matrix(201, 3, 4));
        for path in [KernelPath::detect(), KernelPath::Portable] {
            let mut panel = PanelPoints::new(&points, Some(&scales), path);
            let mut panel_values = PanelValues::new(&values, path);
            for query in random_matrix(20, 7, 5).row_iter() {
                let query: Vec<f64> = query.iter().copied().collect();
                panel.compare(&query);
                let mut sum = [0.0; 3];
                panel_values.sum(&panel, &mut sum);
                let (mean, _) = reference(&points, &values, &scales, 1.0, &query);
                let kernels: f64 = points
                    .row_iter()
                    .map(|point| {
                        let squared = (0..7).map(|i| ((query[i] - point[i]) * scales[i]).powi(2));
                        (-0.5 * squared.sum::<f64>()).exp()
                    })
                    .sum();
                for (sum, mean) in sum.iter().zip(&mean) {
                    assert!((sum - mean * kernels).abs() < 1e-12, "{path:?}");
                }
            }
            let mut sum = [1.0; 3];
            panel.compare(&[1e3; 7]);
            panel_values.sum(&panel, &mut sum);
            assert!(sum.iter().all(|sum| *sum == 0.0));
        }
    }

    #[test]
    fn far_from_all_data_the_nearest_point_answers() {
        let points = DMatrix::from_row_slice(3, 2, &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        let values = DMatrix::from_row_slice(3, 1, &[10.0, 20.0, 30.0]);
        let mut panel = PanelPoints::new(&points, None, KernelPath::detect());
        let mut panel_values = PanelValues::new(&values, KernelPath::detect());
        let mut mean = [0.0];
        panel.compare(&[1e6, 0.0]);
        let effective = panel_values.smooth(&panel, 0.1, &mut mean);
        assert!((mean[0] - 20.0).abs() < 1e-9 && (effective - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_point_left_out_does_not_speak() {
        let points = random_matrix(50, 3, 8);
        let values = random_matrix(50, 2, 9);
        let mut panel = PanelPoints::new(&points, None, KernelPath::Portable);
        let mut panel_values = PanelValues::new(&values, KernelPath::Portable);
        let query: Vec<f64> = points.row(17).iter().copied().collect();
        panel.compare(&query);
        panel.leave_out(17);
        let mut mean = [0.0; 2];
        panel_values.smooth(&panel, 0.5, &mut mean);
        let (expected, _) =
            reference(&points.clone().remove_row(17), &values.clone().remove_row(17), &[1.0; 3], 0.5, &query);
        assert!((mean[0] - expected[0]).abs() < 1e-12 && (mean[1] - expected[1]).abs() < 1e-12);
    }
}
