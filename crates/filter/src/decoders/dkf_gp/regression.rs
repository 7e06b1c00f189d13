//! f as the mean of a Gaussian process.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::{DMatrix, DVector};

use crate::decoders::dkf::regression::Regression;
use crate::kernel_path::KernelPath;
use crate::kernel_sum::PanelCoefficients;
use crate::panel::PanelPoints;

/// See [`GaussianProcessRegressor`](crate::GaussianProcessRegressor). Cost: m n l multiplications and m exponentials
/// for m points; points whose kernel is below e^-45 cost less.
#[derive(Debug)]
pub(crate) struct GaussianProcess {
    points: PanelPoints,
    coefficients: PanelCoefficients,
    offset: Vec<f64>,
}

impl GaussianProcess {
    pub(crate) fn new(
        points: &DMatrix<f64>,
        coefficients: &DMatrix<f64>,
        scales: &[f64],
        offset: &DVector<f64>,
        path: KernelPath,
    ) -> Self {
        Self {
            points: PanelPoints::new(points, Some(scales), path),
            coefficients: PanelCoefficients::new(coefficients, path),
            offset: offset.as_slice().to_vec(),
        }
    }
}

impl Regression for GaussianProcess {
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        self.points.compare(window);
        let mean = &mut mean[..self.offset.len()];
        mean.copy_from_slice(&self.offset);
        self.coefficients.add(&mut self.points, mean);
        None
    }
}
