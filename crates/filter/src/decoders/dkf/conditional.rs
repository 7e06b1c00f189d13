//! What a discriminative filter learnt, at work: features in, f and Q out.

use kalmind_types::{MAX_COMPONENTS, MAX_COVARIANCE};

use super::noise::{KernelNoise, Noise};
use super::parameters::DkfParameters;
use super::regression::{Regression, turn};
use crate::kernel_path::KernelPath;

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

/// f and Q of a discriminative filter.
#[derive(Debug)]
pub(crate) struct ConditionalModel {
    mean: Box<dyn Regression>,
    /// Components d, where the direction of f has a regression of its own.
    turned: Option<usize>,
    noise: Option<KernelNoise>,
}

impl ConditionalModel {
    pub(crate) fn new(dkf: &DkfParameters, path: KernelPath) -> Self {
        let shared = match (dkf.regressor.compared_points(), &dkf.noise) {
            (Some((points, scales)), Noise::Kernel { points: others, scales: other_scales, .. }) => {
                points == others && scales == other_scales.as_deref()
            }
            _ => false,
        };
        Self {
            mean: dkf.regressor.regression(path),
            turned: dkf.direction.then(|| dkf.state.dimension()),
            noise: KernelNoise::new(&dkf.noise, dkf.noise_scale, shared, path),
        }
    }

    /// f and Q at `window`, n l values. Real-time.
    pub(crate) fn condition(&mut self, window: &[f64]) -> Conditional {
        let mut mean = [0.0; MAX_COMPONENTS];
        let effective_samples = self.mean.mean(window, &mut mean);
        if let Some(dimension) = self.turned {
            turn(&mut mean, dimension);
        }
        let covariance = self.noise.as_mut().map(|noise| noise.condition(window, self.mean.compared()));
        Conditional { mean, covariance, effective_samples }
    }

    /// A bin without features.
    pub(crate) fn miss(&mut self) {
        self.mean.miss();
    }

    /// Forgets the past.
    pub(crate) fn restart(&mut self) {
        self.mean.restart();
    }
}
