//! `dkf-gru`: the discriminative Kalman filter, f by recurrent networks.

pub(crate) mod network;
pub mod regression;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::network::RecurrentNetwork;
use self::regression::Recurrent;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::dkf::scaling::NetworkScaling;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, MeanSource};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::options::Cell;
use crate::tensors::{ParametersError, TensorWriter, factor, parse};
use crate::validate::out_of_range;

/// See the module.
pub(crate) struct DkfGru;

impl Discriminative for DkfGru {
    const NAME: &'static str = "dkf-gru";
    const SUMMARY: &'static str = "discriminative Kalman filter, f by recurrent networks";
    const OPTIONS: &'static [Taken] = discriminative_options!(
        "off",
        GUARD,
        ("networks", "8", ""),
        ("cell", "gru", ""),
        ("hidden", "64", ""),
        ("layers", "3", ""),
        ("epochs", "80", "fewer beyond 10000 training rows"),
        ("gradient-noise", "0", "")
    );
    const REGRESSOR: Option<&'static str> = Some(RecurrentRegressor::KIND);
}

/// Mean of recurrent networks that step once a bin; `f` as for networks, and what the layers
/// remember starts at zero at row one.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentRegressor {
    /// The cell of every layer.
    pub cell: Cell,
    /// What each network sees and gives.
    pub scaling: NetworkScaling,
    /// At least one.
    pub networks: Vec<RecurrentNetwork>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    cell: Cell,
    networks: usize,
    layers: usize,
}

impl MeanKind for RecurrentRegressor {
    const KIND: &'static str = "recurrent";
    const KEYS: &'static [&'static str] = &["cell", "networks", "layers"];

    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError> {
        let Header { cell, networks, layers } = parse(header)?;
        let (inputs, outputs) = (source.inputs()?, source.outputs);
        let tensors = &mut *source.tensors;
        Ok(Self {
            cell,
            scaling: NetworkScaling::read(tensors, inputs, outputs)?,
            networks: (0..factor("networks", networks)?)
                .map(|at| {
                    let prefix = format!("network.{at}.");
                    RecurrentNetwork::read(&prefix, tensors, cell, layers, (inputs, outputs))
                })
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ConditionalMean for RecurrentRegressor {
    fn inputs(&self) -> usize {
        self.scaling.input_mean.len()
    }

    fn regression(&self, path: KernelPath) -> Box<dyn Regression> {
        Box::new(Recurrent::new(self.cell, &self.scaling, &self.networks, path))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        self.scaling.validate(inputs, outputs)?;
        if self.networks.is_empty() {
            return out_of_range("the number of networks", 0.0, "at least 1");
        }
        self.networks.iter().try_for_each(|network| network.validate(self.cell, inputs, outputs))
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        self.scaling.write(writer);
        for (at, network) in self.networks.iter().enumerate() {
            network.write(&format!("network.{at}."), writer);
        }
        let layers = self.networks.first().map_or(0, |network| network.layers.len());
        serde_json::to_value(Header { cell: self.cell, networks: self.networks.len(), layers })
    }

    fn remembers(&self) -> bool {
        true
    }
}
