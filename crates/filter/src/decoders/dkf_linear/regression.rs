//! f as a linear function of the window.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::{DMatrix, DVector};

use crate::cholesky::dot;
use crate::decoders::dkf::regression::Regression;

/// `f = weights window + intercept`.
#[derive(Debug)]
pub(crate) struct Linear {
    /// d rows of n l.
    weights: Vec<f64>,
    intercept: Vec<f64>,
}

impl Linear {
    pub(crate) fn new(weights: &DMatrix<f64>, intercept: &DVector<f64>) -> Self {
        Self { weights: weights.transpose().as_slice().to_vec(), intercept: intercept.as_slice().to_vec() }
    }
}

impl Regression for Linear {
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        for ((mean, weights), intercept) in
            mean.iter_mut().zip(self.weights.chunks_exact(window.len())).zip(&self.intercept)
        {
            *mean = dot(weights, window) + intercept;
        }
        None
    }
}
