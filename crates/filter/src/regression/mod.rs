//! The seam for what a discriminative filter learns: features in, f and Q out.

mod ensemble;
mod gaussian_process;
mod kernel_noise;
mod linear;
mod multiple_kernel;
mod nadaraya_watson;
mod networks;
pub mod recurrent;

use kalmind_types::{MAX_COMPONENTS, MAX_COVARIANCE};

use crate::kernel_path::KernelPath;
use crate::panel::PanelPoints;
use crate::{DkfParameters, JointKernel, Noise, Regressor};
use kernel_noise::KernelNoise;

/// A regression of the intent on a window of features. Regressions with a state of their own keep it here.
pub trait Regression: Send + core::fmt::Debug {
    /// Writes f at `window` (the newest bins of n features, as many as the regression takes) to the first d entries of
    /// `mean`, and gives how many training points spoke for it, where it knows. Real-time.
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64>;

    /// A bin without features: regressions with a state of their own let it age. Real-time.
    fn miss(&mut self) {}

    /// Forgets the past; nothing to do for a function of the window alone.
    fn restart(&mut self) {}

    /// The kernel comparison just made, for a Q with the same points.
    fn compared(&mut self) -> Option<&mut PanelPoints> {
        None
    }
}

/// The regression f, on this processor's kernel path.
pub fn regression(regressor: &Regressor) -> Box<dyn Regression> {
    regression_on(regressor, KernelPath::detect())
}

/// The regression f.
fn regression_on(regressor: &Regressor, path: KernelPath) -> Box<dyn Regression> {
    match regressor {
        Regressor::Linear { weights, intercept } => Box::new(linear::Linear::new(weights, intercept)),
        Regressor::NadarayaWatson { points, values, bandwidth, scales } => Box::new(
            nadaraya_watson::NadarayaWatson::new(points, values, *bandwidth, scales.as_deref(), path),
        ),
        Regressor::GaussianProcess { points, coefficients, scales, offset } => {
            Box::new(gaussian_process::GaussianProcess::new(points, coefficients, scales, offset, path))
        }
        Regressor::MultipleKernel { points, coefficients, scales, weights, offset, joint } => {
            let joint = joint.as_ref().map(|joint| {
                let JointKernel { points, coefficients, scales } = &**joint;
                gaussian_process::GaussianProcess::new(points, coefficients, scales, offset, path)
            });
            Box::new(multiple_kernel::MultipleKernel::new(
                points,
                coefficients,
                scales,
                weights,
                offset,
                joint,
            ))
        }
        Regressor::Networks { input_mean, input_scale, output_scale, networks } => {
            Box::new(networks::Networks::new(input_mean, input_scale, output_scale, networks))
        }
        Regressor::Recurrent { cell, input_mean, input_scale, output_scale, networks } => {
            Box::new(recurrent::Recurrent::new(*cell, input_mean, input_scale, output_scale, networks, path))
        }
        Regressor::Ensemble { members } => Box::new(ensemble::Ensemble::new(members, path)),
    }
}

/// Gives the first d entries the direction of the next d; they keep theirs where those are zero. Real-time.
pub fn turn(mean: &mut [f64; MAX_COMPONENTS], dimension: usize) {
    let length = |values: &[f64]| libm::sqrt(values.iter().map(|value| value * value).sum());
    let (vector, direction) = mean.split_at_mut(dimension);
    let direction = &direction[..dimension];
    let factor = length(vector) / length(direction);
    if factor.is_finite() {
        for (entry, direction) in vector.iter_mut().zip(direction) {
            *entry = factor * direction;
        }
    }
}

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
        let shared = matches!((&dkf.regressor, &dkf.noise),
            (Regressor::NadarayaWatson { points, scales, .. }, Noise::Kernel { points: others, scales: other_scales, .. })
                if others == points && other_scales == scales);
        Self {
            mean: regression_on(&dkf.regressor, path),
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
