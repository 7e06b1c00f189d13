//! Weights by which outputs are sums of inputs.

use core::ops::Range;

use super::rows::Row;
use super::wide::compiled_wide;

/// Outputs that are summed at once.
const TILE: usize = 8;
/// Rows that are summed at once, so that weights are read once for all of them.
pub(super) const TOGETHER: usize = 4;

/// A dense block of weights.
#[derive(Clone, Debug)]
pub(super) struct Block {
    inputs: Range<usize>,
    pub(super) outputs: Range<usize>,
    /// For each input, its weight in each output.
    pub(super) columns: Vec<f64>,
    /// The same for one tile of outputs after the other, the last filled up with zeros.
    tiles: Vec<[f64; TILE]>,
    /// Of each input, what it gives in each of the rows.
    given: Vec<[f64; TOGETHER]>,
    /// Of each tile, the sums of each of the rows.
    sums: Vec<[[f64; TILE]; TOGETHER]>,
}

/// A block of these weights.
pub(super) fn block(
    inputs: Range<usize>,
    outputs: Range<usize>,
    weight: impl Fn(usize, usize) -> f64,
) -> Block {
    let columns = inputs.clone().flat_map(|from| outputs.clone().map(move |to| (from, to)));
    let columns: Vec<f64> = columns.map(|(from, to)| weight(from, to)).collect();
    let tiles = outputs.clone().step_by(TILE);
    let of_tile = |first: usize, from: usize| {
        core::array::from_fn(|at| {
            let to = first.saturating_add(at);
            if outputs.contains(&to) { weight(from, to) } else { 0.0 }
        })
    };
    Block {
        tiles: tiles
            .clone()
            .flat_map(|first| inputs.clone().map(move |from| (first, from)))
            .map(|(first, from)| of_tile(first, from))
            .collect(),
        given: vec![[0.0; TOGETHER]; inputs.len()],
        sums: vec![[[0.0; TILE]; TOGETHER]; tiles.len()],
        columns,
        inputs,
        outputs,
    }
}

impl Block {
    /// The weighted sums of the inputs that count in each of a few rows, in the order of the inputs, written to the block's
    /// outputs in these rows of `width` values each.
    pub(super) fn sum(
        &mut self,
        rows: &[Option<Row<'_>>; TOGETHER],
        counts: impl Fn(&Row<'_>, usize) -> bool,
        values: &mut [f64],
        width: usize,
    ) {
        for (from, given) in self.inputs.clone().zip(&mut self.given) {
            for (given, row) in given.iter_mut().zip(rows) {
                let value = row.as_ref().and_then(|row| row.values.get(from).filter(|_| counts(row, from)));
                *given = value.copied().unwrap_or(0.0);
            }
        }
        weighted(&self.tiles, &self.given, &mut self.sums);
        for (row, values) in values.chunks_exact_mut(width.max(1)).enumerate() {
            let values = values.get_mut(self.outputs.clone()).unwrap_or_default();
            for (values, sums) in values.chunks_mut(TILE).zip(&self.sums) {
                let sums = sums.get(row).into_iter().flatten();
                for (value, sum) in values.iter_mut().zip(sums) {
                    *value = *sum;
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

compiled_wide! {
    /// The sums of each tile.
    fn weighted(tiles: &[[f64; TILE]], given: &[[f64; TOGETHER]], sums: &mut [[[f64; TILE]; TOGETHER]]) = weighted_loops
}

#[inline(always)]
fn weighted_loops(tiles: &[[f64; TILE]], given: &[[f64; TOGETHER]], sums: &mut [[[f64; TILE]; TOGETHER]]) {
    for (tile, sums) in tiles.chunks_exact(given.len().max(1)).zip(sums) {
        let mut of_tile = [[0.0; TILE]; TOGETHER];
        for (weights, given) in tile.iter().zip(given) {
            for (sums, given) in of_tile.iter_mut().zip(given) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += weight * given;
                }
            }
        }
        *sums = of_tile;
    }
}
