//! Weights by which outputs are sums of inputs.

use kalmind_types::Counted;

use super::channels::ChannelName;
use super::rows::Row;
use super::stage::StageError;
use super::wide::compiled_wide;

/// Outputs that are summed at once.
const TILE: usize = 8;
/// Rows that are summed at once, so that weights are read once for all of them.
pub(super) const TOGETHER: usize = 4;

/// A dense block of weights.
#[derive(Clone, Debug)]
pub(super) struct Block {
    inputs: Vec<usize>,
    outputs: Vec<usize>,
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
    inputs: impl IntoIterator<Item = usize>,
    outputs: impl IntoIterator<Item = usize>,
    weight: impl Fn(usize, usize) -> f64,
) -> Block {
    let inputs: Vec<usize> = inputs.into_iter().collect();
    let outputs: Vec<usize> = outputs.into_iter().collect();
    let columns = inputs.iter().flat_map(|from| outputs.iter().map(|to| weight(*from, *to))).collect();
    let of_tile = |from: usize, tile: &[usize]| {
        core::array::from_fn(|at| tile.get(at).map_or(0.0, |to| weight(from, *to)))
    };
    let tiles = outputs.chunks(TILE);
    let tiles = tiles.flat_map(|tile| inputs.iter().map(|from| of_tile(*from, tile)).collect::<Vec<_>>());
    Block {
        tiles: tiles.collect(),
        given: vec![[0.0; TOGETHER]; inputs.len()],
        sums: vec![[[0.0; TILE]; TOGETHER]; outputs.len().div_ceil(TILE)],
        columns,
        inputs,
        outputs,
    }
}

/// What there is to say of excluded channels that sums have weights for.
pub(super) fn left_out(
    excluded: &[ChannelName],
    weights: &[Vec<f64>],
    is_in: impl Fn(&usize) -> bool,
) -> Option<String> {
    let lacks = |row: &&Vec<f64>| (0..).zip(*row).any(|(channel, weight)| *weight != 0.0 && !is_in(&channel));
    let sums = weights.iter().filter(lacks).count();
    (sums > 0).then(|| {
        format!(
            "{} excluded: {sums} of {} rows of `weights` name them, and are summed without them, the other weights as they are",
            Counted(excluded.len() as u64, "channel"),
            weights.len()
        )
    })
}

/// Refuses weights that are not a row of numbers for each channel, one from each.
pub(super) fn square(weights: &[Vec<f64>], channels: usize) -> Result<(), StageError> {
    if weights.len() == channels && weights.iter().all(|row| row.len() == channels) {
        return Ok(());
    }
    Err(StageError::of_signal(format!("`weights` has to have {channels} rows of {channels} numbers")))
}

/// The weight from one channel to another.
pub(super) fn weight_of(weights: &[Vec<f64>], from: usize, to: usize) -> f64 {
    weights.get(to).and_then(|row| row.get(from)).copied().unwrap_or(0.0)
}

impl Block {
    /// How many outputs there are.
    pub(super) fn width(&self) -> usize {
        self.outputs.len()
    }

    /// The weighted sums of the inputs that count in each of a few rows, in the order of the inputs, written to the block's
    /// outputs in these rows of `width` values each.
    pub(super) fn sum(
        &mut self,
        rows: &[Option<Row<'_>>; TOGETHER],
        counts: impl Fn(&Row<'_>, usize) -> bool,
        values: &mut [f64],
        width: usize,
    ) {
        for (from, given) in self.inputs.iter().zip(&mut self.given) {
            for (given, row) in given.iter_mut().zip(rows) {
                let value = row.as_ref().and_then(|row| row.values.get(*from).filter(|_| counts(row, *from)));
                *given = value.copied().unwrap_or(0.0);
            }
        }
        weighted(&self.tiles, &self.given, &mut self.sums);
        for (row, values) in values.chunks_exact_mut(width.max(1)).enumerate() {
            for (tile, sums) in self.outputs.chunks(TILE).zip(&self.sums) {
                for (to, sum) in tile.iter().zip(sums.get(row).into_iter().flatten()) {
                    if let Some(value) = values.get_mut(*to) {
                        *value = *sum;
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

compiled_wide! {
    /// The sums of each tile.
    fn weighted(tiles: &[[f64; TILE]], given: &[[f64; TOGETHER]], sums: &mut [[[f64; TILE]; TOGETHER]]) = weighted_loops
}

#[expect(clippy::inline_always, reason = "it is compiled for each processor where it is called")]
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
