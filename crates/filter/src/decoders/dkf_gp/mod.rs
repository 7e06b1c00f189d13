//! `dkf-gp`: the discriminative Kalman filter, f by a Gaussian process.

pub(crate) mod regression;

use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use self::regression::GaussianProcess;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, MeanSource, NoKeys};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, TensorWriter, parse};
use crate::validate::{as_column, shape, validate_kernel, validate_points};

/// See the module.
pub(crate) struct DkfGp;

impl Discriminative for DkfGp {
    const NAME: &'static str = "dkf-gp";
    const SUMMARY: &'static str = "discriminative Kalman filter, f by a Gaussian process";
    const OPTIONS: &'static [Taken] = discriminative_options!(
        "auto",
        GUARD,
        ("kernel", "se-ard", ""),
        ("steps", "60", "30 with `kernel=se`"),
        ("exact", "5000", ""),
        ("inducing", "1000", "")
    );
    const REGRESSOR: Option<&'static str> = Some(GaussianProcessRegressor::KIND);
}

/// Mean of a Gaussian process with a squared exponential kernel:
/// `f(x) = offset + sum_i c_i exp(-|(x - x_i) * scales|^2 / 2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianProcessRegressor {
    /// Training windows or inducing points `x_i`, m x (n l).
    pub points: DMatrix<f64>,
    /// `c_i`, m x d (signal variance included).
    pub coefficients: DMatrix<f64>,
    /// One over the length scale of each entry of a window, n l.
    pub scales: Vec<f64>,
    /// d.
    pub offset: DVector<f64>,
}

impl MeanKind for GaussianProcessRegressor {
    const KIND: &'static str = "gaussian_process";
    const KEYS: &'static [&'static str] = &[];

    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError> {
        let NoKeys {} = parse(header)?;
        let (inputs, outputs) = (source.inputs()?, source.outputs);
        let tensors = &mut *source.tensors;
        Ok(Self {
            points: tensors.rows("points", inputs)?,
            coefficients: tensors.rows("coefficients", outputs)?,
            scales: tensors.vector("scales", inputs)?,
            offset: tensors.vector_or_zeros("offset", outputs)?,
        })
    }
}

impl ConditionalMean for GaussianProcessRegressor {
    fn inputs(&self) -> usize {
        self.points.ncols()
    }

    fn regression(&self, path: KernelPath) -> Box<dyn Regression> {
        let Self { points, coefficients, scales, offset } = self;
        Box::new(GaussianProcess::new(points, coefficients, scales, offset, path))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        validate_points("points", &self.points, inputs)?;
        shape("coefficients", &self.coefficients, self.points.nrows(), outputs)?;
        validate_kernel(1.0, Some(&self.scales), inputs)?;
        shape("offset", &as_column(self.offset.as_slice()), outputs, 1)
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        writer.matrix("points", &self.points);
        writer.matrix("coefficients", &self.coefficients);
        writer.vector("scales", &self.scales);
        writer.vector("offset", self.offset.as_slice());
        serde_json::to_value(NoKeys {})
    }
}
