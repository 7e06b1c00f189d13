//! Where the engine finds samples.

use kalmind_types::{IndexRange, SampleRows, StreamTime};

/// Where the engine finds the samples that a tick input names: the live binner, a recording, the rows of a table.
pub trait SampleSource {
    /// Shows the values of samples `range` of `stream`, in order, in one or more pieces.
    fn rows(&self, stream: usize, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>));
    /// The raw stamp of sample `index` of `stream`.
    fn stamp(&self, stream: usize, index: u64) -> Option<StreamTime>;
    /// Shows the values of samples `range` of `stream`, likewise, from as far back as windows at events reach.
    fn window_rows(&self, stream: usize, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        self.rows(stream, range, visit);
    }
}
