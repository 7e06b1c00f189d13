//! Q by kernel regression of residual products, shrunk to a prior (see [`Noise::Kernel`]).

use kalmind_types::MAX_COVARIANCE;

use crate::Noise;
use crate::kernel_mean::PanelValues;
use crate::kernel_path::KernelPath;
use crate::panel::PanelPoints;
use crate::wiener::triangle;

/// See the module.
#[derive(Debug)]
pub(super) struct KernelNoise {
    /// Points of its own; those that f was just compared with where `None`.
    points: Option<PanelPoints>,
    products: PanelValues,
    bandwidth: f64,
    prior: Vec<f64>,
    prior_samples: f64,
    scale: f64,
}

impl KernelNoise {
    /// `None` for a Q that does not depend on the features; with `shared` the points are those of f.
    pub(super) fn new(noise: &Noise, scale: f64, shared: bool, path: KernelPath) -> Option<Self> {
        let Noise::Kernel { points, residual_products, bandwidth, scales, prior_covariance, prior_samples } =
            noise
        else {
            return None;
        };
        Some(Self {
            points: (!shared).then(|| PanelPoints::new(points, scales.as_deref(), path)),
            products: PanelValues::new(residual_products, path),
            bandwidth: *bandwidth,
            prior: triangle(prior_covariance),
            prior_samples: *prior_samples,
            scale,
        })
    }

    /// `scale * (e K + prior_samples * prior) / (e + prior_samples)` at `window`. Real-time.
    pub(super) fn condition(
        &mut self,
        window: &[f64],
        compared: Option<&mut PanelPoints>,
    ) -> [f64; MAX_COVARIANCE] {
        let mut covariance = [0.0; MAX_COVARIANCE];
        let points = match (&mut self.points, compared) {
            (Some(points), _) => {
                points.compare(window);
                points
            }
            (None, Some(points)) => points,
            (None, None) => return covariance,
        };
        let effective = self.products.smooth(points, self.bandwidth, &mut covariance);
        let all = effective + self.prior_samples;
        for (entry, prior) in covariance.iter_mut().zip(&self.prior) {
            *entry = self.scale * (effective * *entry + self.prior_samples * prior) / all;
        }
        covariance
    }
}
