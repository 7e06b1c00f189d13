//! Weights by which outputs are sums of inputs.

use core::ops::Range;

use kalmind_types::Counted;

use super::channels::ChannelName;
use super::stage::StageError;
use super::wide::compiled_wide;

/// Outputs that are summed at once.
const TILE: usize = 8;
/// Rows that are summed at once, so that weights are read once for all of them.
pub(super) const TOGETHER: usize = 4;

/// A dense block of weights.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Runs of inputs, and of outputs.
    inputs: Vec<Range<usize>>,
    outputs: Vec<Range<usize>>,
    width: usize,
    /// For each input, its weight in each output.
    pub(super) columns: Vec<f64>,
    /// The same for one tile of outputs after the other, the last filled up with zeros.
    tiles: Vec<[f64; TILE]>,
    /// Of each of the rows, what each input gives.
    given: [Vec<f64>; TOGETHER],
    /// Of each of the rows, the sums of each tile.
    sums: [Vec<f64>; TOGETHER],
}

/// A row to be summed: its values, and which of them do not count.
pub(super) type Summed<'a> = (&'a [f64], &'a [bool]);

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
        given: core::array::from_fn(|_| vec![0.0; inputs.len()]),
        sums: core::array::from_fn(|_| vec![0.0; outputs.len().next_multiple_of(TILE)]),
        columns,
        width: outputs.len(),
        inputs: runs(&inputs),
        outputs: runs(&outputs),
    }
}

/// The numbers as runs of numbers that follow each other, in their order.
fn runs(numbers: &[usize]) -> Vec<Range<usize>> {
    let runs = numbers.chunk_by(|number, next| number.checked_add(1) == Some(*next));
    runs.filter_map(|run| Some(*run.first()?..run.last()?.saturating_add(1))).collect()
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
        self.width
    }

    /// The weighted sums of the inputs that count in each of a few rows, in the order of the inputs, written to the block's
    /// outputs in these rows of `width` values each.
    pub(super) fn sum(&mut self, rows: [Option<Summed<'_>>; TOGETHER], values: &mut [f64], width: usize) {
        for (given, row) in self.given.iter_mut().zip(rows) {
            let (values, left_out) = row.unwrap_or_default();
            let mut given = given.as_mut_slice();
            for run in &self.inputs {
                let (of_run, rest) = given.split_at_mut(run.len().min(given.len()));
                let values = values.get(run.clone()).unwrap_or_default();
                let left_out = left_out.get(run.clone()).unwrap_or_default();
                for ((given, value), is_left_out) in of_run.iter_mut().zip(values).zip(left_out) {
                    *given = if *is_left_out { 0.0 } else { *value };
                }
                given = rest;
            }
        }
        weighted(&self.tiles, &self.given, &mut self.sums);
        for (values, sums) in values.chunks_exact_mut(width.max(1)).zip(&self.sums) {
            let mut sums = sums.as_slice();
            for run in &self.outputs {
                let (of_run, rest) = sums.split_at(run.len().min(sums.len()));
                if let Some(values) = values.get_mut(run.clone()) {
                    values.copy_from_slice(of_run);
                }
                sums = rest;
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
    fn weighted(tiles: &[[f64; TILE]], given: &[Vec<f64>; TOGETHER], sums: &mut [Vec<f64>; TOGETHER]) = weighted_loops
}

#[expect(clippy::inline_always, reason = "it is compiled for each processor where it is called")]
#[inline(always)]
fn weighted_loops(tiles: &[[f64; TILE]], given: &[Vec<f64>; TOGETHER], sums: &mut [Vec<f64>; TOGETHER]) {
    let [first, second, third, fourth] = given;
    for (at, tile) in tiles.chunks_exact(first.len().max(1)).enumerate() {
        let mut of_tile = [[0.0; TILE]; TOGETHER];
        let given = first.iter().zip(second).zip(third.iter().zip(fourth));
        for (weights, ((first, second), (third, fourth))) in tile.iter().zip(given) {
            for (sums, given) in of_tile.iter_mut().zip([first, second, third, fourth]) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += weight * given;
                }
            }
        }
        for (sums, of_tile) in sums.iter_mut().zip(of_tile) {
            if let Some(sums) = sums.as_chunks_mut().0.get_mut(at) {
                *sums = of_tile;
            }
        }
    }
}
