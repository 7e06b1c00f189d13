//! Square matrices of the state's size, monomorphised for 1 to 8 components: plain loops, no heap, no dispatch by
//! processor, the same bits everywhere.
#![expect(clippy::needless_range_loop, reason = "matrix algebra reads best by row and column")]

/// D rows of D numbers.
pub(crate) type Square<const D: usize> = [[f64; D]; D];

/// D numbers.
pub(crate) type Vector<const D: usize> = [f64; D];

/// The zero matrix.
pub(crate) const fn zeros<const D: usize>() -> Square<D> {
    [[0.0; D]; D]
}

/// The unit matrix.
pub(crate) fn identity<const D: usize>() -> Square<D> {
    let mut unit = zeros();
    for row in 0..D {
        unit[row][row] = 1.0;
    }
    unit
}

/// A square matrix from a row-major slice; missing entries are zero.
pub(crate) fn from_slice<const D: usize>(values: &[f64]) -> Square<D> {
    let mut matrix = zeros();
    for (to, from) in matrix.as_flattened_mut().iter_mut().zip(values) {
        *to = *from;
    }
    matrix
}

/// A symmetric matrix from its lower triangle, row by row.
pub(crate) fn from_triangle<const D: usize>(triangle: &[f64]) -> Square<D> {
    let mut matrix = zeros();
    let mut entries = triangle.iter();
    for row in 0..D {
        for column in 0..=row {
            let value = entries.next().copied().unwrap_or_default();
            matrix[row][column] = value;
            matrix[column][row] = value;
        }
    }
    matrix
}

/// left right
pub(crate) fn product<const D: usize>(left: &Square<D>, right: &Square<D>) -> Square<D> {
    let mut result = zeros();
    for row in 0..D {
        for inner in 0..D {
            let factor = left[row][inner];
            for column in 0..D {
                result[row][column] += factor * right[inner][column];
            }
        }
    }
    result
}

/// left right'
pub(crate) fn product_transposed<const D: usize>(left: &Square<D>, right: &Square<D>) -> Square<D> {
    product(left, &transposed(right))
}

/// matrix'
pub(crate) fn transposed<const D: usize>(matrix: &Square<D>) -> Square<D> {
    let mut result = zeros();
    for row in 0..D {
        for column in 0..D {
            result[column][row] = matrix[row][column];
        }
    }
    result
}

/// matrix vector
pub(crate) fn apply<const D: usize>(matrix: &Square<D>, vector: &Vector<D>) -> Vector<D> {
    let mut result = [0.0; D];
    for row in 0..D {
        for column in 0..D {
            result[row] += matrix[row][column] * vector[column];
        }
    }
    result
}

/// left + factor right
pub(crate) fn add_scaled<const D: usize>(left: &Square<D>, factor: f64, right: &Square<D>) -> Square<D> {
    let mut result = *left;
    for row in 0..D {
        for column in 0..D {
            result[row][column] += factor * right[row][column];
        }
    }
    result
}

/// A M A' + G, exactly symmetric.
pub(crate) fn propagated<const D: usize>(
    transition: &Square<D>,
    covariance: &Square<D>,
    noise: &Square<D>,
) -> Square<D> {
    symmetric(&add_scaled(noise, 1.0, &product_transposed(&product(transition, covariance), transition)))
}

/// (M + M') / 2
pub(crate) fn symmetric<const D: usize>(matrix: &Square<D>) -> Square<D> {
    let mut result = *matrix;
    for row in 0..D {
        for column in 0..row {
            let mean = 0.5 * (matrix[row][column] + matrix[column][row]);
            result[row][column] = mean;
            result[column][row] = mean;
        }
    }
    result
}

/// The lower-triangular L with L L' = matrix; `None` where the matrix is not positive definite.
pub(crate) fn cholesky<const D: usize>(matrix: &Square<D>) -> Option<Square<D>> {
    let mut lower = zeros();
    for column in 0..D {
        let mut pivot = matrix[column][column];
        for inner in 0..column {
            pivot -= lower[column][inner] * lower[column][inner];
        }
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        let root = pivot.sqrt();
        lower[column][column] = root;
        for row in column + 1..D {
            let mut value = matrix[row][column];
            for inner in 0..column {
                value -= lower[row][inner] * lower[column][inner];
            }
            lower[row][column] = value / root;
        }
    }
    Some(lower)
}

/// Like [`cholesky`] for matrices that may be singular: a pivot lost in rounding gives a column of zeros.
pub(crate) fn cholesky_semidefinite<const D: usize>(matrix: &Square<D>) -> Square<D> {
    let mut lower = zeros();
    for column in 0..D {
        let mut pivot = matrix[column][column];
        for inner in 0..column {
            pivot -= lower[column][inner] * lower[column][inner];
        }
        if pivot.is_nan() || pivot <= 4.0 * D as f64 * f64::EPSILON * matrix[column][column] {
            continue;
        }
        let root = pivot.sqrt();
        lower[column][column] = root;
        for row in column + 1..D {
            let mut value = matrix[row][column];
            for inner in 0..column {
                value -= lower[row][inner] * lower[column][inner];
            }
            lower[row][column] = value / root;
        }
    }
    lower
}

/// L^-1 right, for a lower-triangular L without zeros on its diagonal.
pub(crate) fn solve_lower<const D: usize>(lower: &Square<D>, right: &Square<D>) -> Square<D> {
    let mut solved = *right;
    for row in 0..D {
        for inner in 0..row {
            let factor = lower[row][inner];
            for column in 0..D {
                solved[row][column] -= factor * solved[inner][column];
            }
        }
        let pivot = lower[row][row];
        for value in &mut solved[row] {
            *value /= pivot;
        }
    }
    solved
}

/// The inverse of a symmetric positive definite matrix, exactly symmetric; `None` where it is not one.
pub(crate) fn inverse<const D: usize>(matrix: &Square<D>) -> Option<Square<D>> {
    let root = solve_lower(&cholesky(matrix)?, &identity());
    Some(gram(&root))
}

/// matrix^-1 right by elimination with row exchanges; `None` where the matrix is singular or not finite.
pub(crate) fn solve_general<const D: usize>(matrix: &Square<D>, right: &Square<D>) -> Option<Square<D>> {
    let mut left = *matrix;
    let mut solved = *right;
    for column in 0..D {
        let mut pivot_row = column;
        for row in column + 1..D {
            if left[row][column].abs() > left[pivot_row][column].abs() {
                pivot_row = row;
            }
        }
        let pivot = left[pivot_row][column];
        if pivot == 0.0 || !pivot.is_finite() {
            return None;
        }
        left.swap(column, pivot_row);
        solved.swap(column, pivot_row);
        let (pivot_left, pivot_solved) = (left[column], solved[column]);
        for row in column + 1..D {
            let factor = left[row][column] / pivot;
            for inner in 0..D {
                left[row][inner] -= factor * pivot_left[inner];
                solved[row][inner] -= factor * pivot_solved[inner];
            }
        }
    }
    for row in (0..D).rev() {
        for inner in row + 1..D {
            let factor = left[row][inner];
            for column in 0..D {
                solved[row][column] -= factor * solved[inner][column];
            }
        }
        for column in 0..D {
            solved[row][column] /= left[row][row];
        }
    }
    Some(solved)
}

/// M' M, exactly symmetric.
pub(crate) fn gram<const D: usize>(matrix: &Square<D>) -> Square<D> {
    let mut result = zeros();
    for row in 0..D {
        for column in 0..=row {
            let mut sum = 0.0;
            for inner in matrix {
                sum += inner[row] * inner[column];
            }
            result[row][column] = sum;
            result[column][row] = sum;
        }
    }
    result
}

/// Eigenvalues and eigenvectors (in columns) of a symmetric matrix, by cyclic Jacobi rotations; unsorted.
pub(crate) fn eigen<const D: usize>(matrix: &Square<D>) -> (Vector<D>, Square<D>) {
    let mut diagonal = *matrix;
    let mut vectors = identity();
    // Quadratic convergence: eight components need about six sweeps; the bound only ends what NaN would keep going.
    for _sweep in 0..30 {
        let mut off = 0.0;
        let mut on = 0.0;
        for row in 0..D {
            on += diagonal[row][row] * diagonal[row][row];
            for column in 0..row {
                off += diagonal[row][column] * diagonal[row][column];
            }
        }
        if off <= 1e-34 * on {
            break;
        }
        for row in 1..D {
            for column in 0..row {
                rotate(&mut diagonal, &mut vectors, column, row);
            }
        }
    }
    let mut values = [0.0; D];
    for entry in 0..D {
        values[entry] = diagonal[entry][entry];
    }
    (values, vectors)
}

/// One Jacobi rotation that clears entry (first, second).
fn rotate<const D: usize>(matrix: &mut Square<D>, vectors: &mut Square<D>, first: usize, second: usize) {
    let entry = matrix[first][second];
    if entry == 0.0 {
        return;
    }
    let theta = (matrix[second][second] - matrix[first][first]) / (2.0 * entry);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in matrix.iter_mut() {
        let (left, right) = (row[first], row[second]);
        row[first] = cosine * left - sine * right;
        row[second] = sine * left + cosine * right;
    }
    for column in 0..D {
        let (upper, lower) = (matrix[first][column], matrix[second][column]);
        matrix[first][column] = cosine * upper - sine * lower;
        matrix[second][column] = sine * upper + cosine * lower;
    }
    for row in vectors.iter_mut() {
        let (left, right) = (row[first], row[second]);
        row[first] = cosine * left - sine * right;
        row[second] = sine * left + cosine * right;
    }
}

/// The lower triangle of a matrix, row by row.
pub fn triangle(matrix: &nalgebra::DMatrix<f64>) -> Vec<f64> {
    (0..matrix.nrows()).flat_map(|row| (0..=row).map(move |column| matrix[(row, column)])).collect()
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, SymmetricEigen};
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn random_positive<const D: usize>(seed: u64) -> Square<D> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut half = zeros();
        for value in half.as_flattened_mut() {
            *value = random.random_range(-1.0..1.0);
        }
        add_scaled(&gram::<D>(&half), 0.1, &identity())
    }

    fn largest_difference<const D: usize>(left: &Square<D>, right: &Square<D>) -> f64 {
        left.as_flattened()
            .iter()
            .zip(right.as_flattened())
            .map(|(left, right)| (left - right).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn inverse_times_matrix_is_the_unit_matrix() {
        let matrix = random_positive::<8>(1);
        let inverse = inverse(&matrix).unwrap();
        assert!(largest_difference(&product(&matrix, &inverse), &identity()) < 1e-12);
        assert!(inverse_of_indefinite().is_none());
    }

    fn inverse_of_indefinite() -> Option<Square<2>> {
        inverse(&[[1.0, 2.0], [2.0, 1.0]])
    }

    #[test]
    fn semidefinite_factor_reproduces_a_singular_matrix() {
        let singular = [[4.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 3.0]];
        let lower = cholesky_semidefinite(&singular);
        assert!(largest_difference(&product_transposed(&lower, &lower), &singular) < 1e-14);
        assert!(cholesky(&singular).is_none());
    }

    #[test]
    fn jacobi_eigenvalues_agree_with_nalgebra() {
        let matrix = random_positive::<6>(2);
        let (mut values, vectors) = eigen(&matrix);
        let mut rebuilt = zeros();
        for row in 0..6 {
            for column in 0..6 {
                for inner in 0..6 {
                    rebuilt[row][column] += vectors[row][inner] * values[inner] * vectors[column][inner];
                }
            }
        }
        assert!(largest_difference(&rebuilt, &matrix) < 1e-13);
        let dense = DMatrix::from_row_slice(6, 6, matrix.as_flattened());
        let mut expected: Vec<f64> = SymmetricEigen::new(dense).eigenvalues.iter().copied().collect();
        expected.sort_by(f64::total_cmp);
        values.sort_by(f64::total_cmp);
        for (value, expected) in values.iter().zip(&expected) {
            assert!((value - expected).abs() < 1e-12);
        }
    }
}
