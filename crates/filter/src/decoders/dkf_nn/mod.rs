//! `dkf-nn`: the discriminative Kalman filter, f by networks of tanh units.

mod regression;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::regression::Networks;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::dkf::scaling::NetworkScaling;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, MeanSource};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tanh_network::TanhNetwork;
use crate::tensors::{ParametersError, TensorWriter, factor, parse};
use crate::validate::out_of_range;

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
    /// What each network sees and gives.
    pub scaling: NetworkScaling,
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
            scaling: NetworkScaling::read(tensors, inputs, outputs)?,
            networks: (0..factor("networks", networks)?)
                .map(|at| TanhNetwork::read(&format!("network.{at}."), tensors, inputs, outputs))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ConditionalMean for NetworksRegressor {
    fn inputs(&self) -> usize {
        self.scaling.input_mean.len()
    }

    fn regression(&self, _path: KernelPath) -> Box<dyn Regression> {
        Box::new(Networks::new(&self.scaling, &self.networks))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        self.scaling.validate(inputs, outputs)?;
        if self.networks.is_empty() {
            return out_of_range("the number of networks", 0.0, "at least 1");
        }
        self.networks.iter().try_for_each(|network| network.validate(inputs, outputs))
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        self.scaling.write(writer);
        for (at, network) in self.networks.iter().enumerate() {
            network.write(&format!("network.{at}."), writer);
        }
        serde_json::to_value(Header { networks: self.networks.len() })
    }
}
