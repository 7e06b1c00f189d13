//! A filter that runs backward in time over blocks: behind the same filter run forward, the two shift no phase.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::sections::Sections;
use super::settling::Settling;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};

/// A filter's coefficients, and how far it looks ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IirBackwardSettings {
    /// Second-order sections, each `b0 b1 b2 a0 a1 a2` with a0 = 1, as filter design programs give them (`output='sos'`).
    pub sections: Vec<[f64; 6]>,
    /// Length of a block, and of the look-ahead behind it, in samples.
    pub block: usize,
}

/// The filter. Blocks of L samples are counted from the restart. When a block and the next one are there, it runs from the
/// end of the next one, at rest on zeros, back to the beginning of the first, whose values are given out: each has seen
/// between L and 2 L - 1 samples of what comes after it.
#[derive(Clone, Debug)]
pub(super) struct IirBackward {
    signal: Signal,
    sections: Sections,
    settling: Settling,
    block: usize,
    /// Rows since the beginning of the oldest block that is not out yet; fewer than two blocks.
    pending: Rows,
    /// The block that is worked on, from behind.
    reversed: Rows,
}

/// Longer blocks are refused: their delay alone would be more than anybody can steer with.
const LONGEST_BLOCK: usize = 65_536;

impl StageKind for IirBackward {
    type Settings = IirBackwardSettings;
    const NAME: &'static str = "iir_backward";
    const ABOUT: &'static str = "a filter run backward over blocks; behind `iir` with the same sections it shifts no phase";

    fn build(settings: &IirBackwardSettings, input: &Signal) -> Result<Self, StageError> {
        Self::of(&settings.sections, settings.block, input)
    }

    fn example() -> IirBackwardSettings {
        IirBackwardSettings { sections: vec![[0.25, 0.5, 0.25, 1.0, -0.5, 0.25]], block: 16 }
    }
}

impl IirBackward {
    pub(super) fn of(sections: &[[f64; 6]], block: usize, input: &Signal) -> Result<Self, StageError> {
        if !(1..=LONGEST_BLOCK).contains(&block) {
            return Err(StageError::new(format!("`block` is {block}; a number from 1 to {LONGEST_BLOCK}")));
        }
        let channels = input.outputs.len();
        let sections = Sections::new(sections, channels)?;
        let settling = Settling::new(channels, sections.settling());
        let rows = || Rows::with_capacity(channels, block.saturating_mul(2));
        Ok(Self { signal: input.clone(), sections, settling, block, pending: rows(), reversed: rows() })
    }

    /// Takes the row in that `push` appends, and appends those that come out.
    pub(super) fn take(&mut self, push: impl FnOnce(&mut Rows), output: &mut Rows) {
        push(&mut self.pending);
        if self.pending.len() >= self.block.saturating_mul(2) {
            self.run_back(output);
        }
    }

    /// Gives out the older of two blocks that are complete.
    fn run_back(&mut self, output: &mut Rows) {
        self.sections.clear();
        self.settling.settled();
        self.reversed.clear();
        for (number, row) in self.pending.iter().rev().enumerate() {
            // the look-ahead is filtered for what it leaves in the filter
            if number == self.block {
                self.reversed.clear();
            }
            let (values, invalid) = self.reversed.push_like(row);
            self.sections.step(values);
            self.settling.step(invalid);
        }
        for row in self.reversed.iter().rev() {
            output.push_like(row);
        }
        self.pending.remove_first(self.block);
    }
}

impl Stage for IirBackward {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        (self.block as u64).saturating_mul(2).saturating_sub(1)
    }

    fn settling(&self) -> u64 {
        0
    }

    fn warning(&self) -> Option<String> {
        let (block, settling) = (self.block as u64, self.settling.rows());
        (block < settling).then(|| {
            let ms = |rows: u64| rows as f64 * 1e3 / self.signal.rate_hz;
            format!(
                "the filter runs back over blocks of {block} samples ({:.1} ms), and forgets where it began only after \
                 {settling} ({:.1} ms): at the end of each block it is not what it should be; blocks of at least \
                 {settling} samples are exact to a thousandth",
                ms(block),
                ms(settling)
            )
        })
    }

    fn most_rows(&self, rows: usize) -> usize {
        rows.saturating_add(self.block)
    }

    fn restart(&mut self) {
        self.pending.clear();
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            self.take(
                |pending| {
                    pending.push_like(row);
                },
                output,
            );
        }
    }

    fn state_bytes(&self) -> usize {
        StateWriter::bytes_of_rows(self.signal.outputs.len(), self.block.saturating_mul(2).saturating_sub(1))
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        state.rows(&self.pending);
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        state.rows(&mut self.pending, self.block.saturating_mul(2).saturating_sub(1))
    }
}
