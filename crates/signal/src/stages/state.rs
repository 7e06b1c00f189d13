//! What stages remember, as bytes: written at a checkpoint, read to go on from it.

use super::rows::{Mark, Row, Rows};

/// Why a checkpoint cannot be gone on from; the chain has to be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint is not of these stages: it holds another number of bytes than they remember")]
pub struct StateError;

/// Takes down what a stage remembers. Allocates nothing where the memory of a checkpoint before is written over.
#[derive(Debug)]
pub struct StateWriter<'a>(pub(super) &'a mut Vec<u8>);

impl StateWriter<'_> {
    /// A whole number.
    pub fn whole(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Numbers, bit for bit.
    pub fn numbers(&mut self, numbers: &[f64]) {
        for number in numbers {
            self.whole(number.to_bits());
        }
    }

    /// Rows with their marks, after their number.
    pub fn rows(&mut self, rows: &Rows) {
        self.whole(rows.len() as u64);
        for Row { mark, values, invalid } in rows.iter() {
            self.whole(mark.index);
            self.whole(u64::from(mark.held));
            self.whole(u64::from(mark.generation));
            self.numbers(values);
            self.flags(invalid);
        }
    }

    /// Bytes of so many rows with so many values each.
    pub fn bytes_of_rows(channels: usize, rows: usize) -> usize {
        let number = size_of::<u64>();
        let row = channels.saturating_mul(number.saturating_add(1)).saturating_add(number.saturating_mul(3));
        rows.saturating_mul(row).saturating_add(number)
    }

    /// What is so and what is not.
    pub fn flags(&mut self, flags: &[bool]) {
        self.0.extend(flags.iter().map(|flag| u8::from(*flag)));
    }
}

/// Gives back what [`StateWriter`] took down, in the same order.
#[derive(Debug)]
pub struct StateReader<'a>(pub(super) &'a [u8]);

impl StateReader<'_> {
    /// A whole number.
    ///
    /// # Errors
    /// Where the checkpoint ends before it.
    pub fn whole(&mut self) -> Result<u64, StateError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(StateError)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// As many numbers as there is room for.
    ///
    /// # Errors
    /// Where the checkpoint ends before them.
    pub fn numbers(&mut self, numbers: &mut [f64]) -> Result<(), StateError> {
        for number in numbers {
            *number = f64::from_bits(self.whole()?);
        }
        Ok(())
    }

    /// Rows with their marks; at most `most`.
    ///
    /// # Errors
    /// Where the checkpoint ends before them, or holds more.
    pub fn rows(&mut self, rows: &mut Rows, most: usize) -> Result<(), StateError> {
        rows.clear();
        let count = self.whole()?;
        if count > most as u64 {
            return Err(StateError);
        }
        for _ in 0..count {
            let (index, held, generation) = (self.whole()?, self.whole()? as u32, self.whole()? as u32);
            let mark = Mark { index, held, generation };
            let (values, invalid) = rows.push(mark);
            self.numbers(values)?;
            self.flags(invalid)?;
        }
        Ok(())
    }

    /// What is so and what is not, as many as there is room for.
    ///
    /// # Errors
    /// Where the checkpoint ends before them.
    pub fn flags(&mut self, flags: &mut [bool]) -> Result<(), StateError> {
        let (bytes, rest) = self.0.split_at_checked(flags.len()).ok_or(StateError)?;
        self.0 = rest;
        for (flag, byte) in flags.iter_mut().zip(bytes) {
            *flag = *byte != 0;
        }
        Ok(())
    }
}
