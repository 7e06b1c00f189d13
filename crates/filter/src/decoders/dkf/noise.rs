//! Q by kernel regression of residual products, shrunk to a prior (see [`Noise::Kernel`]).

use kalmind_types::MAX_COVARIANCE;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::kernel_mean::PanelValues;
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::panel::PanelPoints;
use crate::small_matrix::triangle;
use crate::tensors::{ParametersError, Source, TensorWriter};
use crate::validate::{covariance, out_of_range, shape, validate_kernel, validate_points};

/// The conditional covariance Q of a discriminative filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Noise {
    /// One matrix for all features.
    Constant {
        /// Q, d x d.
        covariance: DMatrix<f64>,
    },
    /// Kernel regression of held-out residual products, shrunk to a constant where few points speak:
    /// `Q(x) = (e K(x) + prior_samples * prior_covariance) / (e + prior_samples)`, with
    /// `K(x) = sum_i r_i r_i' k_i / sum_i k_i` and `e = (sum k_i)^2 / sum k_i^2`, `k_i` as in the regressor.
    Kernel {
        /// Windows `x_i`, m x (n l).
        points: DMatrix<f64>,
        /// Lower triangles of `r_i r_i'`, row by row, m x d(d+1)/2.
        residual_products: DMatrix<f64>,
        /// Kernel width > 0, in scaled features.
        bandwidth: f64,
        /// Factor of each entry of a window, n l; `None` for ones.
        scales: Option<Vec<f64>>,
        /// The covariance far from all data, d x d.
        prior_covariance: DMatrix<f64>,
        /// How many points the prior is worth, >= 0.
        prior_samples: f64,
    },
}

/// What the header says of Q.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum NoiseHeader {
    Constant {},
    Kernel { bandwidth: f64, prior_samples: f64 },
}

impl Noise {
    pub(super) fn validate(&self, inputs: usize, dimension: usize) -> Result<(), ModelError> {
        match self {
            Self::Constant { covariance: q } => covariance("noise_covariance", q, dimension, true),
            Self::Kernel {
                points,
                residual_products,
                bandwidth,
                scales,
                prior_covariance,
                prior_samples,
            } => {
                validate_points("noise_points", points, inputs)?;
                let triangle = dimension * (dimension + 1) / 2;
                shape("residual_products", residual_products, points.nrows(), triangle)?;
                validate_kernel(*bandwidth, scales.as_deref(), inputs)?;
                covariance("prior_covariance", prior_covariance, dimension, true)?;
                if !(prior_samples.is_finite() && *prior_samples >= 0.0) {
                    return out_of_range("prior_samples", *prior_samples, "0 or more");
                }
                Ok(())
            }
        }
    }

    pub(super) fn write(&self, writer: &mut dyn TensorWriter) -> NoiseHeader {
        match self {
            Self::Constant { covariance } => {
                writer.matrix("noise_covariance", covariance);
                NoiseHeader::Constant {}
            }
            Self::Kernel {
                points,
                residual_products,
                bandwidth,
                scales,
                prior_covariance,
                prior_samples,
            } => {
                writer.matrix("noise_points", points);
                writer.matrix("residual_products", residual_products);
                writer.matrix("prior_covariance", prior_covariance);
                if let Some(scales) = scales {
                    writer.vector("noise_scales", scales);
                }
                NoiseHeader::Kernel { bandwidth: *bandwidth, prior_samples: *prior_samples }
            }
        }
    }

    pub(super) fn read(
        header: &NoiseHeader,
        inputs: usize,
        source: &mut Source<'_>,
    ) -> Result<Self, ParametersError> {
        let d = source.dimension;
        Ok(match *header {
            NoiseHeader::Constant {} => {
                Self::Constant { covariance: source.tensors.matrix("noise_covariance", d, d)? }
            }
            NoiseHeader::Kernel { bandwidth, prior_samples } => Self::Kernel {
                points: source.tensors.rows("noise_points", inputs)?,
                residual_products: source.tensors.rows("residual_products", d * (d + 1) / 2)?,
                bandwidth,
                scales: source.tensors.optional_vector("noise_scales", inputs)?,
                prior_covariance: source.tensors.matrix("prior_covariance", d, d)?,
                prior_samples,
            },
        })
    }
}

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
