//! Which rows become one: so many in a row, on a grid that is the same for every chain of a stream.

use super::rows::Mark;
use super::stage::Signal;
use super::state::{StateError, StateReader, StateWriter};

/// Times in settings that are longer, in milliseconds, are refused.
pub(super) const LONGEST_MS: f64 = 60_000.0;

/// What a row is to its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// More rows follow it.
    Within,
    /// It is the last one, and all the others were there.
    Last,
    /// It is the last one of a window that a restart cut into: the first ones are missing.
    LastOfCut,
}

/// Counts rows into windows. The grid is that of raw indices, so that a chain that follows another one goes on where that one
/// leaves off; rows that fill a gap count as any other.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    /// Raw samples from one row to the next.
    every: u64,
    rows: u64,
    taken: u64,
    is_cut: bool,
    is_new: bool,
}

impl Windows {
    /// Windows of so many rows; at least one.
    pub(super) fn new(input: &Signal, rows: u64) -> Self {
        Self { every: input.every.max(1), rows: rows.max(1), taken: 0, is_cut: false, is_new: true }
    }

    /// Rows of a window.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// What comes out where each window gives a row.
    pub(super) fn signal(&self, input: &Signal) -> Signal {
        Signal {
            rate_hz: input.rate_hz / self.rows as f64,
            every: input.every.saturating_mul(self.rows),
            outputs: input.outputs.clone(),
        }
    }

    /// The most windows that end in so many rows.
    pub(super) fn most(&self, rows: usize) -> usize {
        let window = usize::try_from(self.rows).unwrap_or(usize::MAX);
        rows.checked_div(window).unwrap_or(rows).saturating_add(1)
    }

    pub(super) fn restart(&mut self) {
        self.is_new = true;
    }

    /// Counts a row.
    pub(super) fn step(&mut self, mark: Mark) -> Place {
        if core::mem::take(&mut self.is_new) {
            let row = mark.index.checked_div(self.every).unwrap_or(0);
            self.taken = row.checked_rem(self.rows).unwrap_or(0);
            self.is_cut = self.taken > 0;
        }
        self.taken = self.taken.saturating_add(1);
        if self.taken < self.rows {
            return Place::Within;
        }
        self.taken = 0;
        if core::mem::take(&mut self.is_cut) { Place::LastOfCut } else { Place::Last }
    }

    pub(super) const STATE_BYTES: usize = 3 * size_of::<u64>();

    pub(super) fn save(&self, state: &mut StateWriter<'_>) {
        state.whole(self.taken);
        state.whole(u64::from(self.is_cut));
        state.whole(u64::from(self.is_new));
    }

    pub(super) fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.taken = state.whole()?;
        self.is_cut = state.whole()? != 0;
        self.is_new = state.whole()? != 0;
        Ok(())
    }
}
