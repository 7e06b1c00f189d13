//! `dkf-nw`: the discriminative Kalman filter, f by Nadaraya-Watson kernel regression.

mod regression;

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::regression::NadarayaWatson;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, MeanSource};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, TensorWriter, parse};
use crate::validate::{shape, validate_kernel, validate_points};

/// See the module.
pub(crate) struct DkfNw;

impl Discriminative for DkfNw {
    const NAME: &'static str = "dkf-nw";
    const SUMMARY: &'static str = "discriminative Kalman filter, f by Nadaraya-Watson kernel regression";
    const OPTIONS: &'static [Taken] = discriminative_options!(
        "auto",
        GUARD,
        ("kernel", "se-ard", "`se` where held-out blocks say so, and with a `bandwidth`"),
        ("bandwidth", "auto", ""),
        ("steps", "15", "")
    );
    const REGRESSOR: Option<&'static str> = Some(NadarayaWatsonRegressor::KIND);
}

/// `f(x) = sum_i z_i k_i / sum_i k_i`, `k_i = exp(-|(x - x_i) * scales|^2 / (2 bandwidth^2))`.
#[derive(Clone, Debug, PartialEq)]
pub struct NadarayaWatsonRegressor {
    /// Windows `x_i`, m x (n l).
    pub points: DMatrix<f64>,
    /// Intents `z_i`, m x d.
    pub values: DMatrix<f64>,
    /// Kernel width > 0, in scaled features.
    pub bandwidth: f64,
    /// Factor of each entry of a window, n l; `None` for ones.
    pub scales: Option<Vec<f64>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    bandwidth: f64,
}

impl MeanKind for NadarayaWatsonRegressor {
    const KIND: &'static str = "nadaraya_watson";
    const KEYS: &'static [&'static str] = &["bandwidth"];

    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError> {
        let Header { bandwidth } = parse(header)?;
        let (inputs, outputs) = (source.inputs()?, source.outputs);
        let tensors = &mut *source.tensors;
        Ok(Self {
            points: tensors.rows("points", inputs)?,
            values: tensors.rows("values", outputs)?,
            bandwidth,
            scales: tensors.optional_vector("scales", inputs)?,
        })
    }
}

impl ConditionalMean for NadarayaWatsonRegressor {
    fn inputs(&self) -> usize {
        self.points.ncols()
    }

    fn regression(&self, path: KernelPath) -> Box<dyn Regression> {
        let Self { points, values, bandwidth, scales } = self;
        Box::new(NadarayaWatson::new(points, values, *bandwidth, scales.as_deref(), path))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        validate_points("points", &self.points, inputs)?;
        shape("values", &self.values, self.points.nrows(), outputs)?;
        validate_kernel(self.bandwidth, self.scales.as_deref(), inputs)
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        writer.matrix("points", &self.points);
        writer.matrix("values", &self.values);
        if let Some(scales) = &self.scales {
            writer.vector("scales", scales);
        }
        serde_json::to_value(Header { bandwidth: self.bandwidth })
    }

    fn compared_points(&self) -> Option<(&DMatrix<f64>, Option<&[f64]>)> {
        Some((&self.points, self.scales.as_deref()))
    }
}
