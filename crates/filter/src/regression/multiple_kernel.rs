//! f as the mean of a Gaussian process with a mean of one-dimensional kernels.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::{DMatrix, DVector};

use super::Regression;

/// See [`Regressor::MultipleKernel`](crate::Regressor::MultipleKernel).
#[derive(Debug)]
pub(super) struct MultipleKernel {}

impl MultipleKernel {
    pub(super) fn new(
        _points: &DMatrix<f64>,
        _coefficients: &DMatrix<f64>,
        _scales: &[f64],
        _weights: &[f64],
        _offset: &DVector<f64>,
    ) -> Self {
        Self {}
    }
}

impl Regression for MultipleKernel {
    fn mean(&mut self, _window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        mean.fill(0.0);
        None
    }
}
