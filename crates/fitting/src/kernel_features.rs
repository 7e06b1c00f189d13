//! Features whose products are kernels: those of one-dimensional Gaussians on each entry of a window and of one Gaussian over
//! all entries, each through a few inducing points.
//!
//! With points u and L L' = k(u, u) the features of x are `L^-1 k(u, x)`; the product of the features of x and y is
//! k(x, y) as far as the points tell (deterministic training conditional; Quinonero-Candela and Rasmussen, Journal of
//! Machine Learning Research 6, 2005, sec. 5). Points on one axis are chosen by pivoted Cholesky factorisation (Fine and
//! Scheinberg, Journal of Machine Learning Research 2, 2001) until what they miss of the kernel is below 1e-5.

use nalgebra::DMatrix;

use crate::blocked_cholesky::BlockedCholesky;
use crate::inducing_points::inducing_rows;
use crate::kernel_matrix::{kernel_matrix, scaled};

/// What inducing points may miss of a kernel whose variance is 1.
const MISSED: f64 = 1e-5;
/// Values of an entry that may become inducing points: its quantiles.
const CANDIDATES: usize = 128;
/// Added to the diagonal of the kernel between points, against rounding.
const JITTER: f64 = 1e-10;

/// The inducing points of one entry's kernel, in the entry's units.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    pub(crate) points: Vec<f64>,
    /// One over the length scale.
    pub(crate) scale: f64,
    /// L with L L' the kernel between the points.
    pub(crate) lower: DMatrix<f64>,
}

impl Basis {
    pub(crate) fn size(&self) -> usize {
        self.points.len()
    }

    /// L^-1 k(points, x) of every value, values x points: products of two rows are the kernel's approximation.
    pub(crate) fn features(&self, values: &[f64]) -> DMatrix<f64> {
        let kernel = DMatrix::from_fn(self.size(), values.len(), |point, row| {
            gaussian((values[row] - self.points[point]) * self.scale)
        });
        // the pivots are above `MISSED`, so that there is a solution
        self.lower.solve_lower_triangular(&kernel).unwrap_or(kernel).transpose()
    }
}

pub(crate) fn gaussian(distance: f64) -> f64 {
    libm::exp(-0.5 * distance * distance)
}

/// The bases of all entries, `length` standard deviations wide, of at most `most` points each; none for an entry that never
/// moves.
pub(crate) fn bases(inputs: &DMatrix<f64>, deviations: &[f64], length: f64, most: usize) -> Vec<Basis> {
    inputs
        .column_iter()
        .zip(deviations)
        .map(|(column, deviation)| {
            if *deviation == 0.0 {
                return Basis { points: Vec::new(), scale: 1.0, lower: DMatrix::zeros(0, 0) };
            }
            let mut sorted: Vec<f64> = column.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            sorted.dedup();
            let last = sorted.len() - 1;
            let count = CANDIDATES.min(sorted.len());
            let candidates: Vec<f64> = (0..count).map(|at| sorted[at * last / (count - 1).max(1)]).collect();
            inducing_points(&candidates, 1.0 / (length * deviation), most)
        })
        .collect()
}

/// Takes candidates one by one, each the one whose kernel the others miss most.
fn inducing_points(candidates: &[f64], scale: f64, most: usize) -> Basis {
    let count = candidates.len();
    let mut missed = vec![1.0; count];
    let mut chosen = Vec::new();
    let mut columns: Vec<Vec<f64>> = Vec::new();
    while chosen.len() < most.min(count) {
        let (mut pivot, mut largest) = (0, 0.0);
        for (at, value) in missed.iter().enumerate() {
            if *value > largest {
                (pivot, largest) = (at, *value);
            }
        }
        if largest < MISSED {
            break;
        }
        let root = largest.sqrt();
        let column: Vec<f64> = (0..count)
            .map(|at| {
                let known: f64 = columns.iter().map(|column| column[at] * column[pivot]).sum();
                (gaussian((candidates[at] - candidates[pivot]) * scale) - known) / root
            })
            .collect();
        for (missed, value) in missed.iter_mut().zip(&column) {
            *missed -= value * value;
        }
        missed[pivot] = 0.0;
        chosen.push(pivot);
        columns.push(column);
    }
    let lower = DMatrix::from_fn(chosen.len(), chosen.len(), |row, column| {
        if column <= row { columns[column][chosen[row]] } else { 0.0 }
    });
    Basis { points: chosen.into_iter().map(|at| candidates[at]).collect(), scale, lower }
}

/// The inducing points of the kernel over all entries.
#[derive(Clone, Debug)]
pub(crate) struct JointBasis {
    /// u x (n l).
    pub(crate) points: DMatrix<f64>,
    /// One over the length scale of each entry.
    pub(crate) scales: Vec<f64>,
    centre: Vec<f64>,
    scaled_points: DMatrix<f64>,
    factor: BlockedCholesky,
}

impl JointBasis {
    /// At most `most` of the rows of `inputs`. `None` where rounding leaves nothing positive definite.
    pub(crate) fn new(inputs: &DMatrix<f64>, scales: Vec<f64>, most: usize) -> Option<Self> {
        let centre = crate::windows::column_means(inputs);
        let all = scaled(inputs, &centre, &scales);
        let chosen = inducing_rows(&all, most);
        let scaled_points = all.select_rows(&chosen);
        let mut kernel = kernel_matrix(&scaled_points, &scaled_points);
        for point in 0..chosen.len() {
            kernel[(point, point)] += JITTER;
        }
        let factor = BlockedCholesky::new(kernel).ok()?;
        Some(Self { points: inputs.select_rows(&chosen), scales, centre, scaled_points, factor })
    }

    pub(crate) fn size(&self) -> usize {
        self.points.nrows()
    }

    /// Windows x points.
    pub(crate) fn features(&self, inputs: &DMatrix<f64>) -> DMatrix<f64> {
        let mut kernel = kernel_matrix(&self.scaled_points, &scaled(inputs, &self.centre, &self.scales));
        self.factor.solve_half(&mut kernel);
        kernel.transpose()
    }

    /// What the kernels at the points are multiplied by where the features are multiplied by `weights`.
    pub(crate) fn coefficients(&self, weights: &DMatrix<f64>) -> DMatrix<f64> {
        let mut coefficients = weights.clone();
        self.factor.solve_transposed_half(&mut coefficients);
        coefficients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(at: usize) -> f64 {
        libm::sin((at * at * 7 + 3 * at) as f64 * 0.37)
    }

    #[test]
    fn products_of_features_are_kernels() {
        let inputs = DMatrix::from_fn(200, 2, |row, column| 3.0 * number(row * 2 + column));
        for basis in bases(&inputs, &[2.0, 0.0], 0.8, 60).iter().take(1) {
            let values = inputs.column(0);
            let features = basis.features(values.as_slice());
            let products = &features * features.transpose();
            for row in 0..200 {
                for column in 0..200 {
                    let expected = gaussian((values[row] - values[column]) * basis.scale);
                    assert!((products[(row, column)] - expected).abs() < 2e-3, "{row} {column}");
                }
            }
            assert!(basis.size() < 40, "{}", basis.size());
        }
        let joint = JointBasis::new(&inputs, vec![0.3, 0.2], 150).unwrap();
        let features = joint.features(&inputs);
        let products = &features * features.transpose();
        let of = |row: usize, column: usize| {
            let distance = (inputs.row(row) - inputs.row(column))
                .component_mul(&nalgebra::RowDVector::from_vec(vec![0.3, 0.2]));
            libm::exp(-0.5 * distance.norm_squared())
        };
        assert!(
            (0..200)
                .all(|row| (0..200).all(|column| (products[(row, column)] - of(row, column)).abs() < 1e-4))
        );
    }

    #[test]
    fn an_entry_that_never_moves_has_no_points_and_few_values_are_all_points() {
        let inputs = DMatrix::from_fn(100, 2, |row, column| if column == 0 { 7.0 } else { (row % 4) as f64 });
        let bases = bases(&inputs, &[0.0, 1.1], 1.0, 20);
        assert_eq!(bases.iter().map(Basis::size).collect::<Vec<_>>(), [0, 4]);
    }
}
