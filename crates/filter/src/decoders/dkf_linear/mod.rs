//! `dkf-linear`: the discriminative Kalman filter, f by ridge regression.

mod regression;

use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use self::regression::Linear;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, NoKeys};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Source, TensorWriter, factor, parse};
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

    fn read(
        header: Value,
        prefix: &str,
        source: &mut Source<'_>,
        lags: usize,
        outputs: usize,
    ) -> Result<Self, ParametersError> {
        let NoKeys {} = parse(header)?;
        let inputs = source.features * factor("lags", lags)?;
        let name = |tensor: &str| format!("{prefix}{tensor}");
        let tensors = &mut *source.tensors;
        Ok(Self {
            weights: tensors.matrix(&name("weights"), outputs, inputs)?,
            intercept: tensors.vector_or_zeros(&name("intercept"), outputs)?,
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

    fn write(&self, prefix: &str, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        let name = |tensor: &str| format!("{prefix}{tensor}");
        writer.matrix(&name("weights"), &self.weights);
        writer.vector(&name("intercept"), self.intercept.as_slice());
        serde_json::to_value(NoKeys {})
    }
}
