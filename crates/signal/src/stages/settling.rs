//! For how long a filter's output is not valid: after a restart, and after a value that was made up.

use super::state::{StateError, StateReader, StateWriter};

/// Counts, channel by channel, how many rows are still to come until a filter has forgotten what was wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Settling {
    rows: u64,
    left: Vec<u64>,
    /// Whether every channel has settled, so that there is nothing to count.
    is_settled: bool,
}

impl Settling {
    /// For a filter that has forgotten a value after `rows` rows. Settled at first.
    pub fn new(channels: usize, rows: u64) -> Self {
        Self { rows, left: vec![0; channels], is_settled: true }
    }

    /// Rows after which a value is forgotten.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The filter was started anew, on nothing but a guess: no channel is valid until it has settled.
    pub fn restart(&mut self) {
        self.left.fill(self.rows);
        self.is_settled = false;
    }

    /// The filter was started from nothing that would have to be forgotten.
    pub fn settled(&mut self) {
        self.left.fill(0);
        self.is_settled = true;
    }

    /// One row on: what is not valid in the input is not in the output, until it is forgotten.
    pub fn step(&mut self, invalid: &mut [bool]) {
        if self.is_settled && !invalid.iter().fold(false, |any, invalid| any | invalid) {
            return;
        }
        self.is_settled = true;
        for (left, invalid) in self.left.iter_mut().zip(invalid) {
            if *invalid {
                *left = self.rows.saturating_add(1);
            }
            *invalid = *left > 0;
            *left = left.saturating_sub(1);
            self.is_settled &= *left == 0;
        }
    }

    /// Bytes of its counts.
    pub fn state_bytes(&self) -> usize {
        size_of_val(self.left.as_slice())
    }

    /// Takes down its counts.
    pub fn save(&self, state: &mut StateWriter<'_>) {
        for left in &self.left {
            state.whole(*left);
        }
    }

    /// Goes on with the counts that were taken down.
    ///
    /// # Errors
    /// Where the checkpoint ends before them.
    pub fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        for left in &mut self.left {
            *left = state.whole()?;
        }
        self.is_settled = false;
        Ok(())
    }
}
