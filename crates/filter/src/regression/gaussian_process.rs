//! f as the mean of a Gaussian process.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::{DMatrix, DVector};

use super::Regression;
use crate::panel::KernelPath;

/// See [`Regressor::GaussianProcess`](crate::Regressor::GaussianProcess).
#[derive(Debug)]
pub(super) struct GaussianProcess {}

impl GaussianProcess {
    pub(super) fn new(
        _points: &DMatrix<f64>,
        _coefficients: &DMatrix<f64>,
        _scales: &[f64],
        _offset: &DVector<f64>,
        _path: KernelPath,
    ) -> Self {
        Self {}
    }
}

impl Regression for GaussianProcess {
    fn mean(&mut self, _window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        mean.fill(0.0);
        None
    }
}
