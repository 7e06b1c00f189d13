//! Weights by which outputs are sums of inputs.

use core::ops::Range;

/// A dense block of weights.
#[derive(Clone, Debug)]
pub(super) struct Block {
    inputs: Vec<usize>,
    /// Runs of neighbours.
    pub(super) outputs: Vec<Range<usize>>,
    /// For each input, its weight in each output.
    pub(super) columns: Vec<f64>,
}

/// A block of these weights.
pub(super) fn block(
    inputs: impl IntoIterator<Item = usize>,
    outputs: Vec<Range<usize>>,
    weight: impl Fn(usize, usize) -> f64,
) -> Block {
    let inputs: Vec<usize> = inputs.into_iter().collect();
    let all = || outputs.iter().cloned().flatten();
    let columns = inputs.iter().flat_map(|from| all().map(|to| (*from, to)));
    Block { columns: columns.map(|(from, to)| weight(from, to)).collect(), inputs, outputs }
}

impl Block {
    /// How many outputs there are.
    pub(super) fn width(&self) -> usize {
        self.outputs.iter().fold(0, |width: usize, run| width.saturating_add(run.len()))
    }

    /// Adds what each of the inputs that count gives to the outputs, in the order of the inputs.
    pub(super) fn add(&self, given: &[f64], counts: impl Fn(usize) -> bool, values: &mut [f64]) {
        for (from, column) in self.inputs.iter().zip(self.columns.chunks_exact(self.width().max(1))) {
            if let Some(given) = given.get(*from).filter(|_| counts(*from)) {
                let mut column = column.iter();
                for run in &self.outputs {
                    let values = values.get_mut(run.clone()).unwrap_or_default();
                    for (value, weight) in values.iter_mut().zip(column.by_ref()) {
                        *value += weight * given;
                    }
                }
            }
        }
    }

    /// Whether an output loses half of its weights or more, by their sizes, where these inputs are left out.
    pub(super) fn loses_half(&self, output: usize, left_out: &[bool]) -> bool {
        let columns = self.columns.chunks_exact(self.width().max(1));
        let sizes = columns.map(|column| column.get(output).map_or(0.0, |weight| weight.abs()));
        let (mut all, mut out) = (0.0, 0.0);
        for (size, is_out) in sizes.zip(left_out) {
            all += size;
            out += if *is_out { size } else { 0.0 };
        }
        out > 0.0 && 2.0 * out >= all
    }
}
