//! Products of matrices in single precision over slices: the bulk of the work of training a network.
//!
//! `matrixmultiply` picks its kernel by the processor, runs on the calling thread and sums in a fixed order, so that
//! the same processor gives the same bits on any number of threads.

/// A matrix in a slice, column after column, or the transpose of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The front of `values` as rows x columns.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { values: &values[..rows * columns], rows, columns, row_stride: 1, column_stride: rows }
    }

    /// Rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// Writes `left right + keep to` to the front of `to`, `keep` 0 or 1.
pub(super) fn multiply(to: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, keep: f32) {
    let to = &mut to[..left.rows * right.columns];
    assert_eq!(left.columns, right.rows, "the inner sides of a product are the same");
    single_precision(to, left, right, keep);
}

#[expect(unsafe_code, reason = "the product takes pointers")]
fn single_precision(to: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, keep: f32) {
    // SAFETY: strides are those of a whole matrix of rows x columns or its transpose, `Matrix::new` has checked that
    // the slice holds it, `to` holds left.rows x right.columns, and it is borrowed alone, so that nothing overlaps.
    unsafe {
        matrixmultiply::sgemm(
            left.rows,
            left.columns,
            right.columns,
            1.0,
            left.values.as_ptr(),
            left.row_stride.cast_signed(),
            left.column_stride.cast_signed(),
            right.values.as_ptr(),
            right.row_stride.cast_signed(),
            right.column_stride.cast_signed(),
            keep,
            to.as_mut_ptr(),
            1,
            left.rows.cast_signed(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_every_small_shape_are_those_of_the_definition() {
        let values: Vec<f32> = (0..200).map(|at: u16| f32::from(at * 37 % 23) - 11.0).collect();
        for (rows, inner, columns) in [(1, 1, 1), (2, 3, 4), (1, 7, 2), (9, 2, 1), (8, 10, 9), (13, 1, 6)] {
            let left = Matrix::new(&values, rows, inner);
            let right = Matrix::new(&values[50..], inner, columns);
            let mut to = vec![1.0; rows * columns];
            multiply(&mut to, left, right, 1.0);
            let mut transposed = vec![7.0; rows * columns];
            multiply(&mut transposed, right.transposed(), left.transposed(), 0.0);
            for row in 0..rows {
                for column in 0..columns {
                    let expected: f32 =
                        (0..inner).map(|at| values[row + at * rows] * values[50 + at + column * inner]).sum();
                    // whole numbers, so that sums are exact in any order
                    assert!((to[row + column * rows] - expected - 1.0).abs() < 0.5);
                    assert!((transposed[column + row * columns] - expected).abs() < 0.5);
                }
            }
        }
    }
}
