//! f as the mean of tanh networks.

use kalmind_types::MAX_COMPONENTS;

use crate::TanhNetwork;
use crate::cholesky::dot;
use crate::decoders::dkf::regression::Regression;
use crate::decoders::dkf::scaling::NetworkScaling;
use crate::tanh_layer::TanhLayer;

/// See [`NetworksRegressor`](crate::NetworksRegressor). The networks run as one with all their units. Cost:
/// h (n l + d + about 25) multiplications for h units in all.
#[derive(Debug)]
pub(crate) struct Networks {
    layer: TanhLayer,
    units: usize,
    /// d rows of h.
    output_weights: Vec<f64>,
    output_bias: Vec<f64>,
}

impl Networks {
    pub(crate) fn new(scaling: &NetworkScaling, networks: &[TanhNetwork]) -> Self {
        let share = 1.0 / networks.len() as f64;
        let mut output_weights = Vec::new();
        let mut output_bias = Vec::new();
        for (output, scale) in scaling.output_scale.iter().enumerate() {
            let factor = scale * share;
            let rows = networks.iter().flat_map(|network| {
                network.output_weights.row(output).into_iter().copied().collect::<Vec<_>>()
            });
            output_weights.extend(rows.map(|weight| factor * weight));
            output_bias
                .push(factor * networks.iter().map(|network| network.output_bias[output]).sum::<f64>());
        }
        Self {
            layer: TanhLayer::new(networks, &scaling.input_mean, &scaling.input_scale),
            units: networks.iter().map(|network| network.hidden_bias.len()).sum(),
            output_weights,
            output_bias,
        }
    }
}

impl Regression for Networks {
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64> {
        let values = self.layer.activate(window);
        for ((mean, weights), bias) in
            mean.iter_mut().zip(self.output_weights.chunks_exact(self.units)).zip(&self.output_bias)
        {
            *mean = dot(weights, values) + bias;
        }
        None
    }
}
