//! What a recording has lost and does not say yet.

use kalmind_offline::recorded::LossKind;

/// What was lost and is not told in the file yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold {
    /// By kind and stream.
    pub(super) losses: Vec<(LossKind, Option<usize>, u64)>,
    /// What happened.
    pub(super) because: String,
}

impl Untold {
    /// Adds a loss; where nothing says why, the recorder was behind.
    pub(super) fn add(&mut self, what: LossKind, stream: Option<usize>, count: u64) {
        match self.losses.iter_mut().find(|(kind, of, _)| (*kind, *of) == (what, stream)) {
            Some((_, _, sum)) => *sum += count,
            None => self.losses.push((what, stream, count)),
        }
        if self.because.is_empty() {
            "the recorder was behind: a slow disk, or a busy machine".clone_into(&mut self.because);
        }
    }
}
