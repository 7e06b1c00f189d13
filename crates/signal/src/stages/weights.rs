//! Weights by which outputs are sums of inputs.

use core::ops::Range;

/// A dense block of weights.
#[derive(Clone, Debug)]
pub(super) struct Block {
    inputs: Range<usize>,
    pub(super) outputs: Range<usize>,
    /// For each input, its weight in each output.
    pub(super) columns: Vec<f64>,
}

/// A block of these weights.
pub(super) fn block(
    inputs: Range<usize>,
    outputs: Range<usize>,
    weight: impl Fn(usize, usize) -> f64,
) -> Block {
    let columns = inputs.clone().flat_map(|from| outputs.clone().map(move |to| (from, to)));
    Block { columns: columns.map(|(from, to)| weight(from, to)).collect(), inputs, outputs }
}

impl Block {
    /// Adds what each of the inputs that count gives to the outputs, in the order of the inputs.
    pub(super) fn add(&self, given: &[f64], counts: impl Fn(usize) -> bool, values: &mut [f64]) {
        let outputs = self.outputs.len().max(1);
        let values = values.get_mut(self.outputs.clone()).unwrap_or_default();
        for (from, column) in self.inputs.clone().zip(self.columns.chunks_exact(outputs)) {
            if let Some(given) = given.get(from).filter(|_| counts(from)) {
                for (value, weight) in values.iter_mut().zip(column) {
                    *value += weight * given;
                }
            }
        }
    }

    /// Whether an output loses half of its weights or more, by their sizes, where these inputs are left out.
    pub(super) fn loses_half(&self, output: usize, left_out: &[bool]) -> bool {
        let columns = self.columns.chunks_exact(self.outputs.len().max(1));
        let sizes = columns.map(|column| column.get(output).map_or(0.0, |weight| weight.abs()));
        let (mut all, mut out) = (0.0, 0.0);
        for (size, is_out) in sizes.zip(left_out) {
            all += size;
            out += if *is_out { size } else { 0.0 };
        }
        out > 0.0 && 2.0 * out >= all
    }
}
