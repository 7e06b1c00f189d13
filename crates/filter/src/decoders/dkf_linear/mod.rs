//! `dkf-linear`: the discriminative Kalman filter, f by ridge regression.

mod regression;

use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use self::regression::Linear;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, MeanSource, NoKeys};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, TensorWriter, parse};
use crate::validate::{as_column, shape};

/// See the module.
pub(crate) struct DkfLinear;

impl Discriminative for DkfLinear {
    const NAME: &'static str = "dkf-linear";
    const SUMMARY: &'static str = "discriminative Kalman filter, f by ridge regression";
    const OPTIONS: &'static [Taken] =
        discriminative_options!("off", GUARD, ("intercept", "on", ""), ("ridge", "0.0001", ""));
    const REGRESSOR: Option<&'static str> = Some(LinearRegressor::KIND);
}

/// `f(x) = weights x + intercept`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearRegressor {
    /// d x (n l).
    pub weights: DMatrix<f64>,
    /// d.
    pub intercept: DVector<f64>,
}

impl MeanKind for LinearRegressor {
    const KIND: &'static str = "linear";
    const KEYS: &'static [&'static str] = &[];

    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError> {
        let NoKeys {} = parse(header)?;
        let (inputs, outputs) = (source.inputs()?, source.outputs);
        let tensors = &mut *source.tensors;
        Ok(Self {
            weights: tensors.matrix("weights", outputs, inputs)?,
            intercept: tensors.vector_or_zeros("intercept", outputs)?,
        })
    }
}

impl ConditionalMean for LinearRegressor {
    fn inputs(&self) -> usize {
        self.weights.ncols()
    }

    fn regression(&self, _path: KernelPath) -> Box<dyn Regression> {
        Box::new(Linear::new(&self.weights, &self.intercept))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        shape("weights", &self.weights, outputs, inputs)?;
        shape("intercept", &as_column(self.intercept.as_slice()), outputs, 1)
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        writer.matrix("weights", &self.weights);
        writer.vector("intercept", self.intercept.as_slice());
        serde_json::to_value(NoKeys {})
    }
}
