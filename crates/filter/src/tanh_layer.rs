//! A layer of tanh units at work, for every decoder with networks.
//!
//! Units stand in blocks of 16 lanes with their weights along memory, so that one pass over the inputs keeps a block's
//! sums in registers. Plain multiplications and additions in fixed order: the same bits on every processor, whatever the
//! width of its registers.

use crate::TanhNetwork;
use crate::exponential::hyperbolic_tangents;

/// Units in one block.
const LANES: usize = 16;

/// `tanh(weights x + bias)` of h units. All buffers are allocated at construction; cost: h (inputs + about 25)
/// multiplications.
#[derive(Clone, Debug)]
pub struct TanhLayer {
    inputs: usize,
    units: usize,
    /// Block by block, input by input, 16 units; padded by zeros.
    weights: Vec<[f64; LANES]>,
    bias: Vec<[f64; LANES]>,
    values: Vec<[f64; LANES]>,
}

impl TanhLayer {
    /// The units of `networks` side by side, over inputs `(x - mean) * scale`; the standardisation becomes part of the
    /// weights.
    pub fn new(networks: &[TanhNetwork], mean: &[f64], scale: &[f64]) -> Self {
        let inputs = mean.len();
        let units = networks.iter().map(|network| network.hidden_bias.len()).sum();
        let blocks = usize::div_ceil(units, LANES);
        let mut layer = Self {
            inputs,
            units,
            weights: vec![[0.0; LANES]; blocks * inputs],
            bias: vec![[0.0; LANES]; blocks],
            values: vec![[0.0; LANES]; blocks],
        };
        let mut at = 0;
        for network in networks {
            for (unit, bias) in network.hidden_bias.iter().enumerate() {
                let (block, lane) = (at / LANES, at % LANES);
                let mut shifted = *bias;
                for input in 0..inputs {
                    let weight = network.hidden_weights[(unit, input)] * scale[input];
                    layer.weights[block * inputs + input][lane] = weight;
                    shifted -= weight * mean[input];
                }
                layer.bias[block][lane] = shifted;
                at += 1;
            }
        }
        layer
    }

    /// The layer of one network over inputs as they stand.
    pub fn of(network: &TanhNetwork) -> Self {
        let inputs = network.hidden_weights.ncols();
        Self::new(core::slice::from_ref(network), &vec![0.0; inputs], &vec![1.0; inputs])
    }

    /// What the units say of `inputs`, h values. Real-time.
    pub fn activate(&mut self, inputs: &[f64]) -> &[f64] {
        for ((weights, bias), values) in
            self.weights.chunks_exact(self.inputs.max(1)).zip(&self.bias).zip(&mut self.values)
        {
            let mut sums = *bias;
            for (input, weights) in inputs.iter().zip(weights) {
                for lane in 0..LANES {
                    sums[lane] += input * weights[lane];
                }
            }
            *values = hyperbolic_tangents(&sums);
        }
        &self.values.as_flattened()[..self.units]
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};

    use super::*;

    #[test]
    fn units_of_all_networks_are_those_of_the_formula() {
        let network = |seed: usize, hidden: usize| TanhNetwork {
            hidden_weights: DMatrix::from_fn(hidden, 3, |row, column| {
                ((seed + 5 * row + 3 * column) as f64).sin()
            }),
            hidden_bias: DVector::from_fn(hidden, |row, _| ((seed + row) as f64).cos()),
            output_weights: DMatrix::zeros(1, hidden),
            output_bias: DVector::zeros(1),
        };
        let networks = [network(1, 7), network(2, 18)];
        let (mean, scale) = ([1.0, -2.0, 0.5], [0.5, 0.0, 3.0]);
        let mut layer = TanhLayer::new(&networks, &mean, &scale);
        let x = [0.3, 7.0, 0.9];
        let standard = DVector::from_fn(3, |at, _| (x[at] - mean[at]) * scale[at]);
        let mut expected = Vec::new();
        for network in &networks {
            let sums = &network.hidden_weights * &standard + &network.hidden_bias;
            expected.extend(sums.iter().map(|sum| libm::tanh(*sum)));
        }
        let values = layer.activate(&x);
        assert_eq!(values.len(), 25);
        for (value, expected) in values.iter().zip(&expected) {
            assert!((value - expected).abs() < 1e-14);
        }
    }
}
