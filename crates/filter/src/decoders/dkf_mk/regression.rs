//! f as the mean of a Gaussian process whose kernel is a weighted mean of one-dimensional Gaussians (Brandman, Burkhart et
//! al., Neural Computation 30, 2018, eq. 5).
//!
//! Such an f is a sum of functions of one entry of the window each. They are tabulated when the decoder is built: fifth-
//! degree polynomials between knots an eighth of a length scale apart that meet value, slope and curvature at the knots
//! (Hermite interpolation), so that a bin costs n l look-ups whatever the number of points. The table errs by less than
//! 2e-9 of the sum of the coefficients' sizes; beyond seven length scales from all points it is zero, where a kernel is
//! below 3e-11.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::{DMatrix, DVector};

use crate::decoders::dkf::regression::Regression;
use crate::decoders::dkf_gp::regression::GaussianProcess;

/// Knots in a length scale.
const KNOTS: f64 = 8.0;
/// Length scales around the points that are tabulated.
const REACH: f64 = 7.0;
/// Coefficients of a polynomial.
const COEFFICIENTS: usize = 6;
/// No table is longer; where points lie farther apart, knots do as well.
const LONGEST: f64 = 65_536.0;

/// See [`MultipleKernelRegressor`](crate::MultipleKernelRegressor).
#[derive(Debug)]
pub(crate) struct MultipleKernel {
    entries: Vec<Table>,
    offset: Vec<f64>,
    /// With the same offset.
    joint: Option<GaussianProcess>,
}

/// The function of one entry, cell by cell and in it component by component; empty where it is zero.
#[derive(Debug)]
struct Table {
    start: f64,
    /// Cells a unit of the entry.
    density: f64,
    cells: f64,
    polynomials: Vec<[f64; COEFFICIENTS]>,
}

impl MultipleKernel {
    pub(crate) fn new(
        points: &DMatrix<f64>,
        coefficients: &DMatrix<f64>,
        scales: &[f64],
        weights: &[f64],
        offset: &DVector<f64>,
        joint: Option<GaussianProcess>,
    ) -> Self {
        let count = points.nrows();
        let shared = coefficients.nrows() == count;
        let entries = (0..points.ncols())
            .map(|entry| {
                let first = if shared { 0 } else { entry * count };
                Table::new(
                    points.column(entry).as_slice(),
                    &coefficients.rows(first, count).into_owned(),
                    scales[entry],
                    weights[entry],
                )
            })
            .collect();
        Self { entries, offset: offset.as_slice().to_vec(), joint }
    }
}

impl Regression for MultipleKernel {
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        let d = self.offset.len();
        match &mut self.joint {
            Some(joint) => {
                joint.mean(window, mean);
            }
            None => mean[..d].copy_from_slice(&self.offset),
        }
        for (table, value) in self.entries.iter().zip(window) {
            table.add(*value, &mut mean[..d]);
        }
        None
    }
}

impl Table {
    /// Tabulates `weight sum_k coefficients_k exp(-((x - points_k) scale)^2 / 2)`.
    fn new(points: &[f64], coefficients: &DMatrix<f64>, scale: f64, weight: f64) -> Self {
        let least = points.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let none = Self { start: 0.0, density: 0.0, cells: 0.0, polynomials: Vec::new() };
        if weight == 0.0 || coefficients.amax() == 0.0 {
            return none;
        }
        if scale == 0.0 {
            // a kernel that is one everywhere: one cell that no value leaves
            let polynomials = coefficients
                .column_iter()
                .map(|column| [weight * column.sum(), 0.0, 0.0, 0.0, 0.0, 0.0])
                .collect();
            return Self { cells: f64::INFINITY, polynomials, ..none };
        }
        let reach = REACH / scale;
        let start = least - reach;
        let length = (greatest - least + 2.0 * reach) * scale;
        let cells = (length * KNOTS).ceil().min(LONGEST);
        let density = cells / (greatest - least + 2.0 * reach);
        let count = cells as usize;
        let d = coefficients.ncols();
        let knots: Vec<[[f64; 3]; MAX_COMPONENTS]> = (0..=count)
            .map(|knot| {
                let at = start + knot as f64 / density;
                knot_values(at, points, coefficients, scale, weight, density)
            })
            .collect();
        let polynomials = knots
            .windows(2)
            .flat_map(|pair| (0..d).map(|component| hermite(pair[0][component], pair[1][component])))
            .collect();
        Self { start, density, cells, polynomials }
    }

    /// Adds the function at `value` to each component. Real-time.
    fn add(&self, value: f64, mean: &mut [f64]) {
        let place = (value - self.start) * self.density;
        if !(place >= 0.0 && place < self.cells) {
            return;
        }
        // whole and below the number of cells
        let cell = place as usize;
        let rest = place - cell as f64;
        let polynomials = self.polynomials.get(cell * mean.len()..).unwrap_or_default();
        for (mean, polynomial) in mean.iter_mut().zip(polynomials) {
            *mean += polynomial.iter().rev().fold(0.0, |sum, coefficient| sum * rest + coefficient);
        }
    }
}

/// Value, slope and curvature of each component at a knot, in cells.
fn knot_values(
    at: f64,
    points: &[f64],
    coefficients: &DMatrix<f64>,
    scale: f64,
    weight: f64,
    density: f64,
) -> [[f64; 3]; MAX_COMPONENTS] {
    let mut values = [[0.0; 3]; MAX_COMPONENTS];
    let slope = scale / density;
    for (point, row) in points.iter().zip(coefficients.row_iter()) {
        let distance = (at - point) * scale;
        let kernel = weight * libm::exp(-0.5 * distance * distance);
        if kernel == 0.0 {
            continue;
        }
        let derivatives =
            [kernel, -distance * kernel * slope, (distance * distance - 1.0) * kernel * slope * slope];
        for (values, coefficient) in values.iter_mut().zip(row.iter()) {
            for (value, derivative) in values.iter_mut().zip(derivatives) {
                *value += coefficient * derivative;
            }
        }
    }
    values
}

/// The polynomial of degree five on 0..1 with value, slope and curvature as given at both ends.
fn hermite(left: [f64; 3], right: [f64; 3]) -> [f64; COEFFICIENTS] {
    let [value, slope, curvature] = left;
    // what the first three coefficients leave to be met at the other end
    let rest = right[0] - value - slope - 0.5 * curvature;
    let rest_slope = right[1] - slope - curvature;
    let rest_curvature = right[2] - curvature;
    [
        value,
        slope,
        0.5 * curvature,
        10.0 * rest - 4.0 * rest_slope + 0.5 * rest_curvature,
        -15.0 * rest + 7.0 * rest_slope - rest_curvature,
        6.0 * rest - 3.0 * rest_slope + 0.5 * rest_curvature,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(
        window: &[f64],
        points: &DMatrix<f64>,
        coefficient: impl Fn(usize, usize, usize) -> f64,
        scales: &[f64],
        weights: &[f64],
        component: usize,
    ) -> f64 {
        (0..window.len())
            .map(|entry| {
                (0..points.nrows())
                    .map(|point| {
                        let distance = (window[entry] - points[(point, entry)]) * scales[entry];
                        weights[entry]
                            * coefficient(entry, point, component)
                            * (-0.5 * distance * distance).exp()
                    })
                    .sum::<f64>()
            })
            .sum()
    }

    fn number(at: usize) -> f64 {
        ((at * at * 7 + 3 * at) as f64 * 0.37).sin()
    }

    #[test]
    fn the_table_is_the_direct_sum() {
        let points = DMatrix::from_fn(9, 3, |row, column| 4.0 * number(row * 3 + column));
        let (scales, weights) = ([0.4, 1.0, 3.0], [0.5, 0.2, 1.5]);
        for rows in [9, 27] {
            let coefficients = DMatrix::from_fn(rows, 2, |row, column| number(row * 2 + column + 50));
            let offset = DVector::from_vec(vec![0.3, -0.1]);
            let mut regression =
                MultipleKernel::new(&points, &coefficients, &scales, &weights, &offset, None);
            let coefficient = |entry: usize, point: usize, component| {
                coefficients[(if rows == 9 { point } else { entry * 9 + point }, component)]
            };
            let size: f64 = coefficients.iter().map(|value| value.abs()).sum();
            for trial in 0..2000 {
                let window: Vec<f64> = (0..3).map(|entry| 12.0 * number(trial * 3 + entry)).collect();
                let mut mean = [0.0; MAX_COMPONENTS];
                regression.mean(&window, &mut mean);
                for component in 0..2 {
                    let expected = offset[component]
                        + direct(&window, &points, coefficient, &scales, &weights, component);
                    assert!((mean[component] - expected).abs() < 2e-9 * size, "{window:?}");
                }
            }
        }
    }

    #[test]
    fn one_channel_has_no_more_than_its_bound_and_none_far_off() {
        let points = DMatrix::from_fn(5, 2, |row, column| number(row * 2 + column));
        let coefficients = DMatrix::from_fn(5, 1, |row, _| number(row));
        let bound: f64 = coefficients.iter().map(|value| value.abs()).sum();
        let mut regression =
            MultipleKernel::new(&points, &coefficients, &[1.0, 1.0], &[0.5, 0.5], &DVector::zeros(1), None);
        let mut at = |value: f64| {
            let mut mean = [0.0; MAX_COMPONENTS];
            regression.mean(&[0.2, value], &mut mean);
            mean[0]
        };
        let nothing = at(1e300);
        for value in [-1e300, -50.0, -1.0, 0.0, 0.7, 3.0, 50.0, f64::MAX] {
            assert!((at(value) - nothing).abs() <= 0.5 * bound);
        }
        assert!((at(-50.0) - nothing).abs() < 1e-300);
    }
}
