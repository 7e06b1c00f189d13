//! `dkf-gru`: the discriminative Kalman filter, f by recurrent networks.

pub(crate) mod network;
pub mod regression;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::network::RecurrentNetwork;
use self::regression::Recurrent;
use super::dkf::discriminative::{Discriminative, discriminative_options};
use super::dkf::regression::Regression;
use super::kind::{GUARD, Taken};
use super::mean::{ConditionalMean, MeanKind, MeanSource};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::options::Cell;
use crate::tensors::{ParametersError, TensorWriter, factor, parse};
use crate::validate::{as_column, out_of_range, shape};

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
    /// n l.
    pub input_mean: Vec<f64>,
    /// n l.
    pub input_scale: Vec<f64>,
    /// Factor of each output, d.
    pub output_scale: Vec<f64>,
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
            input_mean: tensors.vector("input_mean", inputs)?,
            input_scale: tensors.vector("input_scale", inputs)?,
            output_scale: tensors.vector("output_scale", outputs)?,
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
        self.input_mean.len()
    }

    fn regression(&self, path: KernelPath) -> Box<dyn Regression> {
        let Self { cell, input_mean, input_scale, output_scale, networks } = self;
        Box::new(Recurrent::new(*cell, input_mean, input_scale, output_scale, networks, path))
    }

    fn validate(&self, inputs: usize, _features: usize, outputs: usize) -> Result<(), ModelError> {
        shape("input_mean", &as_column(&self.input_mean), inputs, 1)?;
        shape("input_scale", &as_column(&self.input_scale), inputs, 1)?;
        shape("output_scale", &as_column(&self.output_scale), outputs, 1)?;
        if self.networks.is_empty() {
            return out_of_range("the number of networks", 0.0, "at least 1");
        }
        self.networks.iter().try_for_each(|network| network.validate(self.cell, inputs, outputs))
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        writer.vector("input_mean", &self.input_mean);
        writer.vector("input_scale", &self.input_scale);
        writer.vector("output_scale", &self.output_scale);
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
