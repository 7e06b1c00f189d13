//! f as a kernel-weighted mean of training intents.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::DMatrix;

use crate::decoders::dkf::regression::Regression;
use crate::kernel_mean::PanelValues;
use crate::kernel_path::KernelPath;
use crate::panel::PanelPoints;

/// Nadaraya-Watson kernel regression.
#[derive(Debug)]
pub(crate) struct NadarayaWatson {
    points: PanelPoints,
    values: PanelValues,
    bandwidth: f64,
}

impl NadarayaWatson {
    pub(crate) fn new(
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
        Some(self.values.smooth(&mut self.points, self.bandwidth, mean))
    }

    fn compared(&mut self) -> Option<&mut PanelPoints> {
        Some(&mut self.points)
    }
}
