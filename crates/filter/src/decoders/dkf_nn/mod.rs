//! `dkf-nn`: the discriminative Kalman filter, f by networks of tanh units.

mod regression;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::regression::Networks;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, MeanSource};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tanh_network::TanhNetwork;
use crate::tensors::{ParametersError, TensorWriter, factor, parse};
use crate::validate::{as_column, out_of_range, shape};

/// See the module.
pub(crate) struct DkfNn;

impl Discriminative for DkfNn {
    const NAME: &'static str = "dkf-nn";
    const SUMMARY: &'static str = "discriminative Kalman filter, f by networks of tanh units";
    const OPTIONS: &'static [Taken] = discriminative_options!(
        "off",
        GUARD,
        ("networks", "5", ""),
        ("hidden", "64", "8 with `optimizer=levenberg-marquardt`"),
        ("optimizer", "adam", ""),
        ("epochs", "60", "40 with `optimizer=levenberg-marquardt`"),
        ("gradient-noise", "0", "")
    );
    const REGRESSOR: Option<&'static str> = Some(NetworksRegressor::KIND);
}

/// Mean of networks: `f(x) = output_scale * mean_k g_k((x - input_mean) * input_scale)`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworksRegressor {
    /// n l.
    pub input_mean: Vec<f64>,
    /// n l.
    pub input_scale: Vec<f64>,
    /// Factor of each output, d.
    pub output_scale: Vec<f64>,
    /// At least one.
    pub networks: Vec<TanhNetwork>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    networks: usize,
}

impl MeanKind for NetworksRegressor {
    const KIND: &'static str = "networks";
    const KEYS: &'static [&'static str] = &["networks"];

    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError> {
        let Header { networks } = parse(header)?;
        let (inputs, outputs) = (source.inputs()?, source.outputs);
        let tensors = &mut *source.tensors;
        Ok(Self {
            input_mean: tensors.vector("input_mean", inputs)?,
            input_scale: tensors.vector("input_scale", inputs)?,
            output_scale: tensors.vector("output_scale", outputs)?,
            networks: (0..factor("networks", networks)?)
                .map(|at| TanhNetwork::read(&format!("network.{at}."), tensors, inputs, outputs))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ConditionalMean for NetworksRegressor {
    fn inputs(&self) -> usize {
        self.input_mean.len()
    }

    fn regression(&self, _path: KernelPath) -> Box<dyn Regression> {
        let Self { input_mean, input_scale, output_scale, networks } = self;
        Box::new(Networks::new(input_mean, input_scale, output_scale, networks))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        shape("input_mean", &as_column(&self.input_mean), inputs, 1)?;
        shape("input_scale", &as_column(&self.input_scale), inputs, 1)?;
        shape("output_scale", &as_column(&self.output_scale), outputs, 1)?;
        if self.networks.is_empty() {
            return out_of_range("the number of networks", 0.0, "at least 1");
        }
        self.networks.iter().try_for_each(|network| network.validate(inputs, outputs))
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        writer.vector("input_mean", &self.input_mean);
        writer.vector("input_scale", &self.input_scale);
        writer.vector("output_scale", &self.output_scale);
        for (at, network) in self.networks.iter().enumerate() {
            network.write(&format!("network.{at}."), writer);
        }
        serde_json::to_value(Header { networks: self.networks.len() })
    }
}
