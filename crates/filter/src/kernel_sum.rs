//! Kernel expansions `sum_i c_i exp(-|x - p_i|^2 / 2)`: the mean of a Gaussian process.
//!
//! Coefficients of a Gaussian process are large and cancel, so all is in 64 bits but the points (see [`PanelPoints`]):
//! a kernel's relative error is below 3e-7, mostly below 1e-8, and errors of different points are independent.

use nalgebra::DMatrix;

use crate::exponential::exponentials;
use crate::kernel_mean::lane_sum;
use crate::kernel_path::{KernelPath, compiled_for_each_path};
use crate::panel::{PANEL, PanelPoints, multiply_add};

/// Kernels whose logarithm is less count as zero.
const NEGLIGIBLE: f64 = -45.0;
/// Kernels at a time.
const LANES: usize = 8;

/// Coefficients at the points of a [`PanelPoints`].
#[derive(Clone, Debug)]
pub(crate) struct PanelCoefficients {
    path: KernelPath,
    columns: usize,
    /// Eight points by eight points, column by column.
    groups: Vec<[f64; LANES]>,
    sums: Vec<[f64; LANES]>,
}

impl PanelCoefficients {
    /// Row i of `coefficients` belongs to point i.
    pub(crate) fn new(coefficients: &DMatrix<f64>, path: KernelPath) -> Self {
        let (points, columns) = coefficients.shape();
        let mut groups = vec![[0.0; LANES]; points.div_ceil(PANEL) * (PANEL / LANES) * columns];
        for point in 0..points {
            for column in 0..columns {
                groups[point / LANES * columns + column][point % LANES] = coefficients[(point, column)];
            }
        }
        Self { path, columns, groups, sums: vec![[0.0; LANES]; columns] }
    }

    /// Adds the expansion at the last query of `points` to `mean`. Real-time.
    pub(crate) fn add(&mut self, points: &mut PanelPoints, mean: &mut [f64]) {
        points.ascertain(1.0, NEGLIGIBLE);
        for sum in &mut self.sums {
            *sum = [0.0; LANES];
        }
        let (similarities, _) = points.similarities().as_flattened().as_chunks::<LANES>();
        kernel_sums(self.path, similarities, points.to_kernel(), &self.groups, self.columns, &mut self.sums);
        for (mean, sums) in mean.iter_mut().zip(&self.sums) {
            *mean += lane_sum(sums);
        }
    }
}

compiled_for_each_path! {
    /// Adds sum coefficient kernel of every column to `sums`.
    fn kernel_sums(
        similarities: &[[f64; LANES]],
        to_kernel: f64,
        coefficients: &[[f64; LANES]],
        columns: usize,
        sums: &mut [[f64; LANES]],
    ) = kernel_sum_loops
}

#[expect(clippy::inline_always, reason = "it has to be compiled into each kernel path")]
#[inline(always)]
fn kernel_sum_loops<const FUSED: bool>(
    similarities: &[[f64; LANES]],
    to_kernel: f64,
    coefficients: &[[f64; LANES]],
    columns: usize,
    sums: &mut [[f64; LANES]],
) {
    for (similarities, coefficients) in similarities.iter().zip(coefficients.chunks_exact(columns)) {
        let logarithms = similarities.map(|similarity| {
            let logarithm = similarity + to_kernel;
            // a rounding above zero at the point itself
            if logarithm > 0.0 { 0.0 } else { logarithm }
        });
        if logarithms.iter().all(|&logarithm| logarithm < NEGLIGIBLE) {
            continue;
        }
        let kernels = exponentials::<FUSED, LANES>(&logarithms);
        for (sum, coefficients) in sums.iter_mut().zip(coefficients) {
            for lane in 0..LANES {
                sum[lane] = multiply_add::<FUSED>(kernels[lane], coefficients[lane], sum[lane]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;
    use crate::kernel_reference::{Cloud, kernel_sum, random_matrix};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn every_kernel_is_right_to_six_digits_for_any_points(
            count in 1..80_usize,
            inputs in 1..6_usize,
            size in -3..3_i32,
            offset in -2..7_i32,
            outliers in 0..9_i32,
            query in -3..3_i32,
            seed in any::<u32>(),
        ) {
            let seed = u64::from(seed);
            let cloud = Cloud::new(count, inputs, [0, offset, outliers, query], seed);
            let coefficients = random_matrix(count, 2, 100.0, seed + 3);
            let scales = vec![10.0_f64.powi(size); inputs];
            let expected = kernel_sum(&cloud.points, &scales, &coefficients, &cloud.query);
            for path in [KernelPath::detect(), KernelPath::PORTABLE] {
                let mut points = PanelPoints::new(&cloud.points, Some(&scales), path);
                points.compare(&cloud.query);
                let mut mean = [0.0; 2];
                PanelCoefficients::new(&coefficients, path).add(&mut points, &mut mean);
                for (mean, [expected, size]) in mean.iter().zip(&expected) {
                    assert!((mean - expected).abs() <= 3e-7 * size + 1e-15, "{path:?} {mean} {expected} {size}");
                }
            }
        }
    }

    #[test]
    fn far_from_all_data_nothing_is_added() {
        let mut points = PanelPoints::new(&random_matrix(40, 3, 1.0, 1), None, KernelPath::detect());
        let mut coefficients = PanelCoefficients::new(&random_matrix(40, 1, 1.0, 2), KernelPath::detect());
        for far in [1e3, 1e200, -f64::MAX] {
            points.compare(&[far, 0.0, far]);
            let mut mean = [7.0];
            coefficients.add(&mut points, &mut mean);
            assert_eq!(mean[0].to_bits(), 7.0_f64.to_bits());
        }
    }
}
