//! `dkf-mk`: the discriminative Kalman filter, f by a Gaussian process with a kernel for every channel.

mod regression;

use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use self::regression::MultipleKernel;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::dkf_gp::regression::GaussianProcess;
use super::kind::Taken;
use super::mean::{ConditionalMean, MeanKind, MeanSource, NoKeys};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, TensorWriter, parse};
use crate::validate::{as_column, shape, validate_kernel, validate_points};

/// See the module.
pub(crate) struct DkfMk;

impl Discriminative for DkfMk {
    const NAME: &'static str = "dkf-mk";
    const SUMMARY: &'static str =
        "discriminative Kalman filter, f by a Gaussian process with a kernel for every channel";
    const OPTIONS: &'static [Taken] = discriminative_options!(
        "auto",
        ("guard", "on", ""),
        ("weights", "learned", ""),
        ("steps", "40", ""),
        ("inducing", "1500", "of all kernels together"),
        ("sparsify", "none", "")
    );
    const GUARDED: bool = true;
    const REGRESSOR: Option<&'static str> = Some(MultipleKernelRegressor::KIND);
}

/// Mean of a Gaussian process whose kernel is a weighted mean of one-dimensional Gaussians, so that no channel's
/// influence can exceed its bound: `f(x) = offset + sum_j weights_j sum_i c_ij exp(-((x_j - x_ij) scales_j)^2 / 2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct MultipleKernelRegressor {
    /// Training windows `x_i`, or inducing points of each kernel one under the other, m x (n l).
    pub points: DMatrix<f64>,
    /// `c_i`, m x d, where kernels share them, as exact Gaussian processes do; else `c_ij`, (n l m) x d, the rows of
    /// entry j from j m on. The signal's variance is part of them.
    pub coefficients: DMatrix<f64>,
    /// One over the length scale of each entry of a window, n l.
    pub scales: Vec<f64>,
    /// The weight of each entry's kernel, n l, >= 0.
    pub weights: Vec<f64>,
    /// d.
    pub offset: DVector<f64>,
    /// One more kernel, over the whole window; what it gives is added.
    pub joint: Option<Box<JointKernel>>,
}

/// A squared exponential kernel beside one-dimensional ones: `sum_i c_i exp(-|(x - x_i) * scales|^2 / 2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct JointKernel {
    /// Inducing points `x_i`, m x (n l).
    pub points: DMatrix<f64>,
    /// `c_i`, m x d (signal variance included).
    pub coefficients: DMatrix<f64>,
    /// One over the length scale of each entry of a window, n l.
    pub scales: Vec<f64>,
}

impl MeanKind for MultipleKernelRegressor {
    const KIND: &'static str = "multiple_kernel";
    const KEYS: &'static [&'static str] = &[];

    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError> {
        let NoKeys {} = parse(header)?;
        let (inputs, outputs) = (source.inputs()?, source.outputs);
        let tensors = &mut *source.tensors;
        Ok(Self {
            points: tensors.rows("points", inputs)?,
            coefficients: tensors.rows("coefficients", outputs)?,
            scales: tensors.vector("scales", inputs)?,
            weights: tensors.vector("kernel_weights", inputs)?,
            offset: tensors.vector_or_zeros("offset", outputs)?,
            joint: if tensors.has("joint_points") {
                Some(Box::new(JointKernel {
                    points: tensors.rows("joint_points", inputs)?,
                    coefficients: tensors.rows("joint_coefficients", outputs)?,
                    scales: tensors.vector("joint_scales", inputs)?,
                }))
            } else {
                None
            },
        })
    }
}

impl ConditionalMean for MultipleKernelRegressor {
    fn inputs(&self) -> usize {
        self.points.ncols()
    }

    fn regression(&self, path: KernelPath) -> Box<dyn Regression> {
        let Self { points, coefficients, scales, weights, offset, joint } = self;
        let joint = joint.as_ref().map(|joint| {
            GaussianProcess::new(&joint.points, &joint.coefficients, &joint.scales, offset, path)
        });
        Box::new(MultipleKernel::new(points, coefficients, scales, weights, offset, joint))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        let Self { points, coefficients, scales, weights, offset, joint } = self;
        if let Some(joint) = joint {
            let JointKernel { points, coefficients, scales } = &**joint;
            validate_points("joint_points", points, inputs)?;
            shape("joint_coefficients", coefficients, points.nrows(), outputs)?;
            validate_kernel(1.0, Some(scales), inputs)?;
        }
        validate_points("points", points, inputs)?;
        let own = coefficients.nrows() == points.nrows() * inputs;
        let rows = if own { coefficients.nrows() } else { points.nrows() };
        shape("coefficients", coefficients, rows, outputs)?;
        validate_kernel(1.0, Some(scales), inputs)?;
        validate_kernel(1.0, Some(weights), inputs)?;
        shape("offset", &as_column(offset.as_slice()), outputs, 1)
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        writer.matrix("points", &self.points);
        writer.matrix("coefficients", &self.coefficients);
        writer.vector("scales", &self.scales);
        writer.vector("kernel_weights", &self.weights);
        writer.vector("offset", self.offset.as_slice());
        if let Some(joint) = &self.joint {
            writer.matrix("joint_points", &joint.points);
            writer.matrix("joint_coefficients", &joint.coefficients);
            writer.vector("joint_scales", &joint.scales);
        }
        serde_json::to_value(NoKeys {})
    }
}
