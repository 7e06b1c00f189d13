//! f as a kernel-weighted mean of training intents.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::DMatrix;

use super::Regression;
use crate::panel::{KernelPath, PanelPoints, PanelValues};

/// Nadaraya-Watson kernel regression.
#[derive(Debug)]
pub(super) struct NadarayaWatson {
    points: PanelPoints,
    values: PanelValues,
    bandwidth: f64,
}

impl NadarayaWatson {
    pub(super) fn new(
        points: &DMatrix<f64>,
        values: &DMatrix<f64>,
        bandwidth: f64,
        scales: Option<&[f64]>,
        path: KernelPath,
    ) -> Self {
        Self {
            points: PanelPoints::new(points, scales, path),
            values: PanelValues::new(values, path),
            bandwidth,
        }
    }
}

impl Regression for NadarayaWatson {
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        self.points.compare(window);
        Some(self.values.smooth(&self.points, self.bandwidth, mean))
    }

    fn compared(&self) -> Option<&PanelPoints> {
        Some(&self.points)
    }
}
