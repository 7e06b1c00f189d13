//! Rows of samples on their way through stages, and which raw samples they describe.

/// Which raw sample a row describes.
///
/// A row that was filled in for a gap (see [`DerivedStream`](super::DerivedStream)) describes no raw sample: it carries
/// the index of the last one before it, and how many rows have been filled in since then. Marks rise from row to row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Index of the raw sample.
    pub index: u64,
    /// Rows filled in after it, this one included; 0 for a sample that was received.
    pub held: u32,
    /// Which of the stream's generations made the row, counted from 0.
    pub generation: u32,
}

/// Rows of `f64` values, one a channel, each with its mark and with what is not valid in it.
///
/// Has room for as many rows as it was built for; within that, nothing is allocated. A value that is not valid is finite
/// all the same: filters go on with it, and readers of the last stage's output leave it out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    channels: usize,
    marks: Vec<Mark>,
    values: Vec<f64>,
    invalid: Vec<bool>,
}

/// One row, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// Which raw sample it describes.
    pub mark: Mark,
    /// Its values, one a channel.
    pub values: &'a [f64],
    /// Which of them are not valid.
    pub invalid: &'a [bool],
}

impl Rows {
    /// No rows yet, room for `rows` of `channels` values.
    pub fn with_capacity(channels: usize, rows: usize) -> Self {
        let values = channels.saturating_mul(rows);
        Self {
            channels,
            marks: Vec::with_capacity(rows),
            values: Vec::with_capacity(values),
            invalid: Vec::with_capacity(values),
        }
    }

    /// Values a row.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.marks.clear();
        self.values.clear();
        self.invalid.clear();
    }

    /// The rows in order, or from behind.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Row<'_>> + ExactSizeIterator {
        let channels = self.channels.max(1);
        let values = self.values.chunks_exact(channels).zip(self.invalid.chunks_exact(channels));
        self.marks.iter().zip(values).map(|(mark, (values, invalid))| Row { mark: *mark, values, invalid })
    }

    /// Another row, of zeros that are valid, to be written.
    pub fn push(&mut self, mark: Mark) -> (&mut [f64], &mut [bool]) {
        let end = self.values.len().saturating_add(self.channels);
        self.marks.push(mark);
        self.values.resize(end, 0.0);
        self.invalid.resize(end, false);
        let first = end.saturating_sub(self.channels);
        (self.values.get_mut(first..).unwrap_or_default(), self.invalid.get_mut(first..).unwrap_or_default())
    }

    /// Another row like this one, and its values to be worked on.
    pub fn push_like(&mut self, row: Row<'_>) -> (&mut [f64], &mut [bool]) {
        let first = self.values.len();
        self.marks.push(row.mark);
        self.values.extend_from_slice(row.values);
        self.invalid.extend_from_slice(row.invalid);
        let end = first.saturating_add(self.channels);
        self.values.resize(end, 0.0);
        self.invalid.resize(end, false);
        (self.values.get_mut(first..).unwrap_or_default(), self.invalid.get_mut(first..).unwrap_or_default())
    }

    /// The values of the newest rows, one row after the other, and which of them are not valid.
    pub fn newest(&mut self, rows: usize) -> (&mut [f64], &mut [bool]) {
        let first = self.values.len().saturating_sub(rows.saturating_mul(self.channels));
        (self.values.get_mut(first..).unwrap_or_default(), self.invalid.get_mut(first..).unwrap_or_default())
    }

    /// Puts the first `rows` rows away, and the rest in front.
    pub fn remove_first(&mut self, rows: usize) {
        let rows = rows.min(self.len());
        let values = rows.saturating_mul(self.channels);
        self.marks.drain(..rows);
        self.values.drain(..values);
        self.invalid.drain(..values);
    }
}
