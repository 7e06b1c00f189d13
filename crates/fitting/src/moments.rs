//! Sums over rows that a linear regression follows from, so that a regression to all blocks but one costs no pass over the
//! rows.

use core::ops::Range;

use nalgebra::{DMatrix, DVector};

use crate::matrix_product::{plain, product, transposed};

/// Of inputs x and targets z.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) rows: f64,
    /// sum x.
    pub(crate) inputs: DVector<f64>,
    /// sum z.
    pub(crate) targets: DVector<f64>,
    /// sum x x'.
    pub(crate) gram: DMatrix<f64>,
    /// sum x z'.
    pub(crate) cross: DMatrix<f64>,
}

impl Moments {
    /// Over the rows of `block`. Cost: rows inputs^2.
    pub(crate) fn of(inputs: &DMatrix<f64>, targets: &DMatrix<f64>, block: &Range<usize>) -> Self {
        let inputs = inputs.rows_range(block.clone()).into_owned();
        let targets = targets.rows_range(block.clone()).into_owned();
        Self {
            rows: block.len() as f64,
            inputs: inputs.row_sum_tr(),
            targets: targets.row_sum_tr(),
            gram: product(transposed(&inputs), plain(&inputs)),
            cross: product(transposed(&inputs), plain(&targets)),
        }
    }

    /// Over all blocks, less that at `left_out`.
    pub(crate) fn total(blocks: &[Self], left_out: Option<usize>) -> Self {
        let (size, outputs) = blocks[0].cross.shape();
        let mut total = Self {
            rows: 0.0,
            inputs: DVector::zeros(size),
            targets: DVector::zeros(outputs),
            gram: DMatrix::zeros(size, size),
            cross: DMatrix::zeros(size, outputs),
        };
        for (_, block) in blocks.iter().enumerate().filter(|(at, _)| Some(*at) != left_out) {
            total.rows += block.rows;
            total.inputs += &block.inputs;
            total.targets += &block.targets;
            total.gram += &block.gram;
            total.cross += &block.cross;
        }
        total
    }

    /// Of targets less their mean.
    pub(crate) fn cross_of_centred_targets(&self) -> DMatrix<f64> {
        let mut cross = self.cross.clone();
        cross.ger(-1.0 / self.rows, &self.inputs, &self.targets, 1.0);
        cross
    }
}
