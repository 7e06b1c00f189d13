//! What Gaussian kernels are, in pairs of 64-bit numbers (Dekker 1971), for tests of the fast ones: right where points
//! are far away, nearly equally far, or many sizes apart.

use nalgebra::DMatrix;
use rand::{RngExt as _, SeedableRng as _};

/// An unevaluated sum of two numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Pair(f64, f64);

fn sum(left: f64, right: f64) -> Pair {
    let total = left + right;
    let kept = total - left;
    Pair(total, (left - (total - kept)) + (right - kept))
}

fn product(left: f64, right: f64) -> Pair {
    let value = left * right;
    Pair(value, left.mul_add(right, -value))
}

impl Pair {
    fn plus(self, other: Self) -> Self {
        let Self(high, low) = sum(self.0, other.0);
        sum(high, low + self.1 + other.1)
    }

    fn times(self, other: Self) -> Self {
        let Self(high, low) = product(self.0, other.0);
        sum(high, low + (self.0 * other.1 + self.1 * other.0))
    }

    fn negative(self) -> Self {
        Self(-self.0, -self.1)
    }
}

/// `|(x - p_i) scales|^2` of every point.
fn squared_distances(points: &DMatrix<f64>, scales: &[f64], query: &[f64]) -> Vec<Pair> {
    (0..points.nrows())
        .map(|point| {
            (0..points.ncols()).fold(Pair::default(), |total, input| {
                let difference = sum(query[input], -points[(point, input)]).times(Pair(scales[input], 0.0));
                total.plus(difference.times(difference))
            })
        })
        .collect()
}

/// The kernel-weighted mean of every column of `values`, and the effective number of points.
pub(crate) fn kernel_mean(
    points: &DMatrix<f64>,
    scales: &[f64],
    values: &DMatrix<f64>,
    bandwidth: f64,
    query: &[f64],
) -> (Vec<f64>, f64) {
    let squares = squared_distances(points, scales, query);
    let nearest = squares
        .iter()
        .copied()
        .reduce(|least, square| if square.plus(least.negative()).0 < 0.0 { square } else { least });
    let nearest = nearest.unwrap_or_default();
    let weights: Vec<f64> = squares
        .iter()
        .map(|square| (-square.plus(nearest.negative()).0 / (2.0 * bandwidth * bandwidth)).exp())
        .collect();
    let all: f64 = weights.iter().sum();
    let mean = |column: nalgebra::DVectorView<'_, f64>| {
        column.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>() / all
    };
    (
        values.column_iter().map(mean).collect(),
        all * all / weights.iter().map(|weight| weight * weight).sum::<f64>(),
    )
}

/// `sum_i c_i k_i` and `sum_i |c_i| k_i` of every column of `coefficients`.
pub(crate) fn kernel_sum(
    points: &DMatrix<f64>,
    scales: &[f64],
    coefficients: &DMatrix<f64>,
    query: &[f64],
) -> Vec<[f64; 2]> {
    let kernels: Vec<f64> =
        squared_distances(points, scales, query).iter().map(|square| (-0.5 * square.0).exp()).collect();
    let sums = |column: nalgebra::DVectorView<'_, f64>| {
        column.iter().zip(&kernels).fold([0.0, 0.0], |[total, size], (coefficient, kernel)| {
            [total + coefficient * kernel, size + (coefficient * kernel).abs()]
        })
    };
    coefficients.column_iter().map(sums).collect()
}

/// Random numbers between -`size` and `size`.
pub(crate) fn random_matrix(rows: usize, columns: usize, size: f64, seed: u64) -> DMatrix<f64> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    DMatrix::from_fn(rows, columns, |_, _| size * random.random_range(-1.0..1.0))
}

/// Points and a query as unlike each other as wanted: the powers of ten of their size, their offset from zero, how far
/// outliers and the query are; every fifth point is a copy of another.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    pub(crate) points: DMatrix<f64>,
    pub(crate) query: Vec<f64>,
}

impl Cloud {
    pub(crate) fn new(count: usize, inputs: usize, powers: [i32; 4], seed: u64) -> Self {
        let [size, offset, outliers, query] = powers.map(|power| 10.0_f64.powi(power));
        let mut points = random_matrix(count, inputs, size, seed);
        for point in (4..count).step_by(5) {
            let copy = points.row(point - 3).into_owned();
            points.set_row(point, &copy);
        }
        for point in (2..count).step_by(17) {
            points.row_mut(point).scale_mut(outliers);
        }
        let offset = random_matrix(1, inputs, size * offset, seed + 1);
        for mut row in points.row_iter_mut() {
            row += &offset;
        }
        let query = random_matrix(1, inputs, size * query, seed + 2) + offset;
        Self { points, query: query.as_slice().to_vec() }
    }
}
