//! A discriminative filter's regressor, from its part of the header and tensors whose names share a prefix, and back.

use kalmind_filter::{
    Cell, DecoderName, EnsembleMember, JointKernel, RecurrentLayer, RecurrentNetwork, Regressor, TanhNetwork,
};
use serde::{Deserialize, Serialize};

use crate::ModelFileError;
use crate::decoder_parameters::{factor, problem};
use crate::tensors::{TensorReader, TensorWriter};

/// What the header says of a regressor. A decoder named after its regressor says it without the kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum RegressorHeader {
    Linear {},
    NadarayaWatson { bandwidth: f64 },
    GaussianProcess {},
    MultipleKernel {},
    Networks { networks: usize },
    Recurrent { cell: Cell, networks: usize, layers: usize },
    Ensemble { members: Vec<MemberHeader> },
}

/// A member of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberHeader {
    name: String,
    lags: usize,
    regressor: RegressorHeader,
}

/// The kind of regressor that a decoder is named after; `None` for one that may have any.
pub(crate) fn kind_of(decoder: DecoderName) -> Option<&'static str> {
    Some(match decoder {
        DecoderName::DkfLinear => "linear",
        DecoderName::DkfNw => "nadaraya_watson",
        DecoderName::DkfGp => "gaussian_process",
        DecoderName::DkfMk => "multiple_kernel",
        DecoderName::DkfNn => "networks",
        DecoderName::DkfGru => "recurrent",
        _ => return None,
    })
}

/// Writes the tensors, each name after `prefix`; gives the part of the header.
pub(crate) fn write(regressor: &Regressor, prefix: &str, tensors: &mut TensorWriter) -> RegressorHeader {
    let name = |tensor: &str| format!("{prefix}{tensor}");
    match regressor {
        Regressor::Linear { weights, intercept } => {
            tensors.matrix(&name("weights"), weights);
            tensors.vector(&name("intercept"), intercept.as_slice());
            RegressorHeader::Linear {}
        }
        Regressor::NadarayaWatson { points, values, bandwidth, scales } => {
            tensors.matrix(&name("points"), points);
            tensors.matrix(&name("values"), values);
            if let Some(scales) = scales {
                tensors.vector(&name("scales"), scales);
            }
            RegressorHeader::NadarayaWatson { bandwidth: *bandwidth }
        }
        Regressor::GaussianProcess { points, coefficients, scales, offset } => {
            tensors.matrix(&name("points"), points);
            tensors.matrix(&name("coefficients"), coefficients);
            tensors.vector(&name("scales"), scales);
            tensors.vector(&name("offset"), offset.as_slice());
            RegressorHeader::GaussianProcess {}
        }
        Regressor::MultipleKernel { points, coefficients, scales, weights, offset, joint } => {
            tensors.matrix(&name("points"), points);
            tensors.matrix(&name("coefficients"), coefficients);
            tensors.vector(&name("scales"), scales);
            tensors.vector(&name("kernel_weights"), weights);
            tensors.vector(&name("offset"), offset.as_slice());
            if let Some(joint) = joint {
                tensors.matrix(&name("joint_points"), &joint.points);
                tensors.matrix(&name("joint_coefficients"), &joint.coefficients);
                tensors.vector(&name("joint_scales"), &joint.scales);
            }
            RegressorHeader::MultipleKernel {}
        }
        Regressor::Networks { input_mean, input_scale, output_scale, networks } => {
            write_scaling(prefix, [input_mean, input_scale, output_scale], tensors);
            for (at, network) in networks.iter().enumerate() {
                write_network(network, &format!("{prefix}network.{at}."), tensors);
            }
            RegressorHeader::Networks { networks: networks.len() }
        }
        Regressor::Recurrent { cell, input_mean, input_scale, output_scale, networks } => {
            write_scaling(prefix, [input_mean, input_scale, output_scale], tensors);
            for (at, network) in networks.iter().enumerate() {
                write_recurrent(network, &format!("{prefix}network.{at}."), tensors);
            }
            let layers = networks.first().map_or(0, |network| network.layers.len());
            RegressorHeader::Recurrent { cell: *cell, networks: networks.len(), layers }
        }
        Regressor::Ensemble { members } => {
            let mut headers = Vec::with_capacity(members.len());
            for (at, member) in members.iter().enumerate() {
                let prefix = format!("{prefix}member.{at}.");
                tensors.matrix(&format!("{prefix}weight"), &member.weight);
                headers.push(MemberHeader {
                    name: member.name.clone(),
                    lags: member.lags,
                    regressor: write(&member.regressor, &prefix, tensors),
                });
            }
            RegressorHeader::Ensemble { members: headers }
        }
    }
}

fn write_scaling(prefix: &str, [mean, scale, output]: [&[f64]; 3], tensors: &mut TensorWriter) {
    tensors.vector(&format!("{prefix}input_mean"), mean);
    tensors.vector(&format!("{prefix}input_scale"), scale);
    tensors.vector(&format!("{prefix}output_scale"), output);
}

/// Writes a network's tensors, each name after `prefix`.
pub(crate) fn write_network(network: &TanhNetwork, prefix: &str, tensors: &mut TensorWriter) {
    tensors.matrix(&format!("{prefix}hidden_weights"), &network.hidden_weights);
    tensors.vector(&format!("{prefix}hidden_bias"), network.hidden_bias.as_slice());
    tensors.matrix(&format!("{prefix}output_weights"), &network.output_weights);
    tensors.vector(&format!("{prefix}output_bias"), network.output_bias.as_slice());
}

fn write_recurrent(network: &RecurrentNetwork, prefix: &str, tensors: &mut TensorWriter) {
    for (at, layer) in network.layers.iter().enumerate() {
        tensors.matrix(&format!("{prefix}layer.{at}.input_weights"), &layer.input_weights);
        tensors.vector(&format!("{prefix}layer.{at}.input_bias"), layer.input_bias.as_slice());
        tensors.matrix(&format!("{prefix}layer.{at}.recurrent_weights"), &layer.recurrent_weights);
        tensors.vector(&format!("{prefix}layer.{at}.recurrent_bias"), layer.recurrent_bias.as_slice());
    }
    tensors.matrix(&format!("{prefix}output_weights"), &network.output_weights);
    tensors.vector(&format!("{prefix}output_bias"), network.output_bias.as_slice());
}

/// Reads a regressor over windows of `lags` bins of n features.
pub(crate) fn read(
    header: RegressorHeader,
    prefix: &str,
    tensors: &mut TensorReader<'_>,
    n: usize,
    lags: usize,
    d: usize,
) -> Result<Regressor, ModelFileError> {
    let inputs = n * factor("lags", lags)?;
    let name = |tensor: &str| format!("{prefix}{tensor}");
    Ok(match header {
        RegressorHeader::Linear {} => Regressor::Linear {
            weights: tensors.matrix(&name("weights"), d, inputs)?,
            intercept: tensors.vector_or_zeros(&name("intercept"), d)?,
        },
        RegressorHeader::NadarayaWatson { bandwidth } => Regressor::NadarayaWatson {
            points: tensors.rows(&name("points"), inputs)?,
            values: tensors.rows(&name("values"), d)?,
            bandwidth,
            scales: tensors.optional_vector(&name("scales"), inputs)?,
        },
        RegressorHeader::GaussianProcess {} => Regressor::GaussianProcess {
            points: tensors.rows(&name("points"), inputs)?,
            coefficients: tensors.rows(&name("coefficients"), d)?,
            scales: tensors.vector(&name("scales"), inputs)?,
            offset: tensors.vector_or_zeros(&name("offset"), d)?,
        },
        RegressorHeader::MultipleKernel {} => Regressor::MultipleKernel {
            points: tensors.rows(&name("points"), inputs)?,
            coefficients: tensors.rows(&name("coefficients"), d)?,
            scales: tensors.vector(&name("scales"), inputs)?,
            weights: tensors.vector(&name("kernel_weights"), inputs)?,
            offset: tensors.vector_or_zeros(&name("offset"), d)?,
            joint: if tensors.has(&name("joint_points")) {
                Some(Box::new(JointKernel {
                    points: tensors.rows(&name("joint_points"), inputs)?,
                    coefficients: tensors.rows(&name("joint_coefficients"), d)?,
                    scales: tensors.vector(&name("joint_scales"), inputs)?,
                }))
            } else {
                None
            },
        },
        RegressorHeader::Networks { networks } => Regressor::Networks {
            input_mean: tensors.vector(&name("input_mean"), inputs)?,
            input_scale: tensors.vector(&name("input_scale"), inputs)?,
            output_scale: tensors.vector(&name("output_scale"), d)?,
            networks: (0..factor("networks", networks)?)
                .map(|at| read_network(&format!("{prefix}network.{at}."), tensors, inputs, d))
                .collect::<Result<_, _>>()?,
        },
        RegressorHeader::Recurrent { cell, networks, layers } => Regressor::Recurrent {
            cell,
            input_mean: tensors.vector(&name("input_mean"), inputs)?,
            input_scale: tensors.vector(&name("input_scale"), inputs)?,
            output_scale: tensors.vector(&name("output_scale"), d)?,
            networks: (0..factor("networks", networks)?)
                .map(|at| {
                    read_recurrent(&format!("{prefix}network.{at}."), tensors, cell, layers, (inputs, d))
                })
                .collect::<Result<_, _>>()?,
        },
        RegressorHeader::Ensemble { members } => Regressor::Ensemble {
            members: members
                .into_iter()
                .enumerate()
                .map(|(at, member)| read_member(member, &format!("{prefix}member.{at}."), tensors, n, d))
                .collect::<Result<_, _>>()?,
        },
    })
}

fn read_member(
    header: MemberHeader,
    prefix: &str,
    tensors: &mut TensorReader<'_>,
    n: usize,
    d: usize,
) -> Result<EnsembleMember, ModelFileError> {
    let MemberHeader { name, lags, regressor } = header;
    // one level only, so that a header cannot ask for endless recursion
    if matches!(regressor, RegressorHeader::Ensemble { .. }) {
        return Err(problem("parameters: a member of an ensemble cannot be an ensemble"));
    }
    let weight = tensors.matrix(&format!("{prefix}weight"), d, d)?;
    Ok(EnsembleMember { name, lags, weight, regressor: read(regressor, prefix, tensors, n, lags, d)? })
}

/// Reads a network of any number of hidden units.
pub(crate) fn read_network(
    prefix: &str,
    tensors: &mut TensorReader<'_>,
    inputs: usize,
    outputs: usize,
) -> Result<TanhNetwork, ModelFileError> {
    let hidden_weights = tensors.rows(&format!("{prefix}hidden_weights"), inputs)?;
    let hidden = hidden_weights.nrows();
    Ok(TanhNetwork {
        hidden_bias: tensors.vector(&format!("{prefix}hidden_bias"), hidden)?.into(),
        output_weights: tensors.matrix(&format!("{prefix}output_weights"), outputs, hidden)?,
        output_bias: tensors.vector(&format!("{prefix}output_bias"), outputs)?.into(),
        hidden_weights,
    })
}

fn read_recurrent(
    prefix: &str,
    tensors: &mut TensorReader<'_>,
    cell: Cell,
    layers: usize,
    (mut width, outputs): (usize, usize),
) -> Result<RecurrentNetwork, ModelFileError> {
    let gates = match cell {
        Cell::Gru => 3,
        Cell::Lstm => 4,
    };
    let mut read = Vec::new();
    for at in 0..factor("layers", layers)? {
        let prefix = format!("{prefix}layer.{at}.");
        let input_weights = tensors.rows(&format!("{prefix}input_weights"), width)?;
        let hidden = input_weights.nrows() / gates;
        let recurrent_weights =
            tensors.matrix(&format!("{prefix}recurrent_weights"), input_weights.nrows(), hidden)?;
        read.push(RecurrentLayer {
            input_bias: tensors.vector(&format!("{prefix}input_bias"), input_weights.nrows())?.into(),
            recurrent_bias: tensors.vector(&format!("{prefix}recurrent_bias"), input_weights.nrows())?.into(),
            input_weights,
            recurrent_weights,
        });
        width = hidden;
    }
    Ok(RecurrentNetwork {
        layers: read,
        output_weights: tensors.matrix(&format!("{prefix}output_weights"), outputs, width)?,
        output_bias: tensors.vector(&format!("{prefix}output_bias"), outputs)?.into(),
    })
}
