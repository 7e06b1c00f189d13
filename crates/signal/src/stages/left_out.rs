//! Channels of a raw stream that are left out for a while.

use super::state::{StateError, StateReader, StateWriter};

/// Channels that are named together, a bit each.
pub(super) const TOGETHER: usize = 32;

/// Which channels are left out, and which are back and still on their way through filters.
#[derive(Clone, Debug)]
pub(super) struct LeftOut {
    /// Of each channel: rows until filters have forgotten what it was like while it was left out; more than any for one that
    /// is, 0 for one that is not.
    rows: Vec<u64>,
    /// Those that are no part of any sum of channels.
    absent: Vec<bool>,
    /// Whether any is left out, and rows until the next one is back for good.
    any: bool,
    until_back: u64,
}

const OUT: u64 = u64::MAX;

impl LeftOut {
    pub(super) fn new(channels: usize) -> Self {
        Self { rows: vec![0; channels], absent: vec![false; channels], any: false, until_back: OUT }
    }

    /// Of the channels from `first` on, those whose bit is set are left out from the next row on, and those whose bit is not are
    /// back, on their way for so many rows. Whether that changes anything.
    pub(super) fn set(&mut self, first: u32, channels: u32, settling: u64) -> bool {
        let mut changed = false;
        for (at, rows) in self.rows.iter_mut().skip(first as usize).take(TOGETHER).enumerate() {
            let is_out = channels >> at & 1 == 1;
            if is_out != (*rows == OUT) {
                *rows = if is_out { OUT } else { settling };
                changed = true;
            }
        }
        if changed {
            self.note();
        }
        changed
    }

    /// All that are left out, as they are named: the first of each run of [`TOGETHER`], and their bits.
    pub(super) fn named(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.rows.chunks(TOGETHER).zip((0..).step_by(TOGETHER)).map(|(rows, first)| {
            let bits = rows.iter().rev().fold(0, |bits, rows| bits << 1 | u32::from(*rows == OUT));
            (first, bits)
        })
    }

    /// Those that are no part of any sum of channels: left out, or on their way back.
    pub(super) fn absent(&self) -> &[bool] {
        &self.absent
    }

    /// Values of those that are left out are not valid.
    pub(super) fn mark(&self, invalid: &mut [bool]) {
        if self.any {
            for (invalid, rows) in invalid.iter_mut().zip(&self.rows) {
                *invalid |= *rows == OUT;
            }
        }
    }

    /// Rows until the next one is back for good.
    pub(super) fn until_back(&self) -> u64 {
        self.until_back
    }

    /// So many rows have passed, at most [`until_back`](Self::until_back); whether one is back for good.
    pub(super) fn pass(&mut self, passed: u64) -> bool {
        if self.until_back == OUT {
            return false;
        }
        for rows in self.rows.iter_mut().filter(|rows| **rows != OUT) {
            *rows = rows.saturating_sub(passed);
        }
        let is_back = passed >= self.until_back;
        self.note();
        is_back
    }

    /// The filters began anew: nobody is on the way.
    pub(super) fn restart(&mut self) {
        self.pass(OUT.saturating_sub(1));
    }

    fn note(&mut self) {
        self.any = self.rows.contains(&OUT);
        let on_their_way = self.rows.iter().copied().filter(|rows| *rows > 0 && *rows != OUT);
        self.until_back = on_their_way.min().unwrap_or(OUT);
        for (absent, rows) in self.absent.iter_mut().zip(&self.rows) {
            *absent = *rows > 0;
        }
    }

    /// Bytes of what is taken down, at most.
    pub(super) fn state_bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
    }

    /// Takes down nothing where no channel is left out: so it was before channels could be.
    pub(super) fn save(&self, state: &mut StateWriter<'_>) {
        if self.absent.contains(&true) {
            for rows in &self.rows {
                state.whole(*rows);
            }
        }
    }

    pub(super) fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        let is_some = !state.0.is_empty();
        for rows in &mut self.rows {
            *rows = if is_some { state.whole()? } else { 0 };
        }
        self.note();
        Ok(())
    }
}
