//! The seam for what a discriminative filter learns: features in, f and Q out.

use kalmind_types::{MAX_COMPONENTS, MAX_COVARIANCE};

use crate::cholesky::dot;
use crate::panel::{KernelPath, PanelPoints, PanelValues};
use crate::wiener::triangle;
use crate::{DkfParameters, Noise, Regressor};

/// What features say of the intent: N(f, Q).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditional {
    /// f, the first d entries.
    pub(crate) mean: [f64; MAX_COMPONENTS],
    /// Q as lower triangle, the first d(d+1)/2 entries, where it depends on the features.
    pub(crate) covariance: Option<[f64; MAX_COVARIANCE]>,
    /// How many training points spoke for f.
    pub(crate) effective_samples: Option<f64>,
}

/// A regression of the intent on a window of features. Regressions with a state of their own keep it here.
pub(crate) trait Regression: Send + core::fmt::Debug {
    /// f and Q at `window`, n l values. Real-time.
    fn condition(&mut self, window: &[f64]) -> Conditional;

    /// Forgets the past; nothing to do for a function of the window alone.
    fn restart(&mut self) {}
}

/// The regression of `dkf`.
pub(crate) fn regression(dkf: &DkfParameters) -> Box<dyn Regression> {
    let path = KernelPath::detect();
    let noise = KernelNoise::new(&dkf.noise, dkf.noise_scale, path);
    match &dkf.regressor {
        Regressor::Linear { weights, intercept } => Box::new(Linear {
            weights: weights.transpose().as_slice().to_vec(),
            intercept: intercept.as_slice().to_vec(),
            noise,
        }),
        Regressor::NadarayaWatson { points, values, bandwidth, scales } => {
            let shared = matches!(&dkf.noise,
                Noise::Kernel { points: others, scales: other_scales, .. }
                    if others == points && other_scales == scales);
            Box::new(NadarayaWatson {
                points: PanelPoints::new(points, scales.as_deref(), path),
                values: PanelValues::new(values, path),
                bandwidth: *bandwidth,
                noise: noise.map(|(noise, points)| (noise, if shared { None } else { Some(points) })),
            })
        }
    }
}

/// `f = weights window + intercept`.
#[derive(Debug)]
struct Linear {
    /// d rows of n l.
    weights: Vec<f64>,
    intercept: Vec<f64>,
    noise: Option<(KernelNoise, PanelPoints)>,
}

impl Regression for Linear {
    fn condition(&mut self, window: &[f64]) -> Conditional {
        let mut mean = [0.0; MAX_COMPONENTS];
        for ((mean, weights), intercept) in
            mean.iter_mut().zip(self.weights.chunks_exact(window.len())).zip(&self.intercept)
        {
            *mean = dot(weights, window) + intercept;
        }
        let covariance = self.noise.as_mut().map(|(noise, points)| {
            points.compare(window);
            noise.condition(points)
        });
        Conditional { mean, covariance, effective_samples: None }
    }
}

/// Nadaraya-Watson kernel regression.
#[derive(Debug)]
struct NadarayaWatson {
    points: PanelPoints,
    values: PanelValues,
    bandwidth: f64,
    /// A kernel Q, with points of its own where they are not those of f.
    noise: Option<(KernelNoise, Option<PanelPoints>)>,
}

impl Regression for NadarayaWatson {
    fn condition(&mut self, window: &[f64]) -> Conditional {
        let mut mean = [0.0; MAX_COMPONENTS];
        self.points.compare(window);
        let effective = self.values.smooth(&self.points, self.bandwidth, &mut mean);
        let covariance = self.noise.as_mut().map(|(noise, points)| match points {
            Some(points) => {
                points.compare(window);
                noise.condition(points)
            }
            None => noise.condition(&self.points),
        });
        Conditional { mean, covariance, effective_samples: Some(effective) }
    }
}

/// Q by kernel regression of residual products, shrunk to a prior (see [`Noise::Kernel`]).
#[derive(Debug)]
struct KernelNoise {
    products: PanelValues,
    bandwidth: f64,
    prior: Vec<f64>,
    prior_samples: f64,
    scale: f64,
}

impl KernelNoise {
    fn new(noise: &Noise, scale: f64, path: KernelPath) -> Option<(Self, PanelPoints)> {
        let Noise::Kernel { points, residual_products, bandwidth, scales, prior_covariance, prior_samples } =
            noise
        else {
            return None;
        };
        let kernel = Self {
            products: PanelValues::new(residual_products, path),
            bandwidth: *bandwidth,
            prior: triangle(prior_covariance),
            prior_samples: *prior_samples,
            scale,
        };
        Some((kernel, PanelPoints::new(points, scales.as_deref(), path)))
    }

    /// `scale * (e K + prior_samples * prior) / (e + prior_samples)` at the last query of `points`.
    fn condition(&mut self, points: &PanelPoints) -> [f64; MAX_COVARIANCE] {
        let mut covariance = [0.0; MAX_COVARIANCE];
        let effective = self.products.smooth(points, self.bandwidth, &mut covariance);
        let all = effective + self.prior_samples;
        for (entry, prior) in covariance.iter_mut().zip(&self.prior) {
            *entry = self.scale * (effective * *entry + self.prior_samples * prior) / all;
        }
        covariance
    }
}
