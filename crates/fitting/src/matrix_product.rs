//! Matrix products for fitting, on all cores: column blocks of the result in parallel, each by `matrixmultiply` (packed and
//! vectorised). The split depends on shapes alone, so results do not depend on the number of threads. Slow side only:
//! which kernel runs depends on the processor.
//!
//! Called directly and not through nalgebra, whose own product goes astray where a small left factor is a transposed view.

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn};
use rayon::prelude::*;

/// Columns of the result that are computed at a time.
const BLOCK: usize = 128;
/// Results with fewer columns are cut into so many blocks.
const NARROW_BLOCKS: usize = 4;
/// Below so many multiplications one core does it all.
const WORTH_A_THREAD: usize = 1 << 18;

/// A factor of a product, in any layout.
pub(crate) type Strided<'a> = DMatrixView<'a, f64, Dyn, Dyn>;

/// A part of a result, in any layout.
pub(crate) type StridedMut<'a> = DMatrixViewMut<'a, f64, Dyn, Dyn>;

/// `matrix` as a factor.
pub(crate) fn plain(matrix: &DMatrix<f64>) -> Strided<'_> {
    let (rows, columns) = matrix.shape();
    Strided::from_slice_with_strides(matrix.as_slice(), rows, columns, 1, rows)
}

/// The transpose of `matrix` as a factor, without a copy.
pub(crate) fn transposed(matrix: &DMatrix<f64>) -> Strided<'_> {
    let (rows, columns) = matrix.shape();
    Strided::from_slice_with_strides(matrix.as_slice(), columns, rows, rows, 1)
}

/// `left * right`. Cost: rows * inner * columns multiplications over all cores.
pub(crate) fn product(left: Strided<'_>, right: Strided<'_>) -> DMatrix<f64> {
    let mut result = DMatrix::zeros(left.nrows(), right.ncols());
    add_product(&mut result, 1.0, left, right);
    result
}

/// `result += factor * left * right`.
pub(crate) fn add_product(result: &mut DMatrix<f64>, factor: f64, left: Strided<'_>, right: Strided<'_>) {
    let (rows, columns) = result.shape();
    if rows == 0 || columns == 0 || left.ncols() == 0 {
        return;
    }
    let width = if columns >= NARROW_BLOCKS * BLOCK { BLOCK } else { columns.div_ceil(NARROW_BLOCKS).max(8) };
    let one_block = |(block, values): (usize, &mut [f64])| {
        let count = values.len() / rows;
        let block_result = StridedMut::from_slice_with_strides_mut(values, rows, count, 1, rows);
        multiply(block_result, 1.0, factor, left, right.columns(block * width, count));
    };
    let blocks = result.as_mut_slice();
    if rows * columns * left.ncols() < WORTH_A_THREAD {
        blocks.chunks_mut(rows * width).enumerate().for_each(one_block);
    } else {
        blocks.par_chunks_mut(rows * width).enumerate().for_each(one_block);
    }
}

/// `result = keep * result + factor * left * right` on this thread; with `keep` of 0 the result is never read.
#[expect(unsafe_code, reason = "the product takes pointers")]
pub(crate) fn multiply(
    mut result: StridedMut<'_>,
    keep: f64,
    factor: f64,
    left: Strided<'_>,
    right: Strided<'_>,
) {
    let (rows, columns) = result.shape();
    let inner = left.ncols();
    assert_eq!((left.nrows(), right.shape()), (rows, (inner, columns)), "factors that fit together");
    let (result_strides, left_strides, right_strides) = (result.strides(), left.strides(), right.strides());
    // SAFETY: shapes and strides are those of views, which stay within what they borrow; the assertion makes the shapes
    // agree, and the exclusive borrow of the result keeps it apart from the factors.
    unsafe {
        matrixmultiply::dgemm(
            rows,
            inner,
            columns,
            factor,
            left.as_ptr(),
            left_strides.0.cast_signed(),
            left_strides.1.cast_signed(),
            right.as_ptr(),
            right_strides.0.cast_signed(),
            right_strides.1.cast_signed(),
            keep,
            result.as_mut_ptr(),
            result_strides.0.cast_signed(),
            result_strides.1.cast_signed(),
        );
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn products_of_every_shape_and_layout_are_those_of_nalgebra() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        for (rows, inner, columns) in [(1, 1, 1), (3, 200, 2), (70, 5, 90), (131, 257, 600), (600, 40, 50)] {
            let left = DMatrix::from_fn(rows, inner, |_, _| random.random_range(-1.0..1.0));
            let right = DMatrix::from_fn(inner, columns, |_, _| random.random_range(-1.0..1.0));
            let expected = &left * &right;
            assert!((product(plain(&left), plain(&right)) - &expected).amax() < 1e-12);
            let (left_t, right_t) = (left.transpose(), right.transpose());
            let mut sum = expected.clone();
            add_product(&mut sum, -1.0, transposed(&left_t), transposed(&right_t));
            assert!(sum.amax() < 1e-12);
        }
        assert_eq!(product(plain(&DMatrix::zeros(0, 3)), plain(&DMatrix::zeros(3, 4))).shape(), (0, 4));
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let left = DMatrix::from_fn(301, 283, |_, _| random.random_range(-1.0..1.0));
        let right = DMatrix::from_fn(283, 577, |_, _| random.random_range(-1.0..1.0));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| product(plain(&left), plain(&right)))
        };
        assert_eq!(on(1), on(3));
    }
}
