//! The samples of one stream that bins still need: whole blocks as received, and a note of each undecided sample.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use kalmind_types::{IndexRange, LslTime, MAX_RANGES, SampleBlock, SampleRows, StreamTime};

/// A sample that no bin has taken yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    index: u64,
    /// Stamp on the LSL clock, with the offset that was in force.
    stamp: LslTime,
}

/// What a bin took out of a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) ranges: ArrayVec<IndexRange, MAX_RANGES>,
    /// Samples of the bin that were in too many separate runs to be named.
    pub(crate) scattered: u64,
    /// Of a bin that takes the newest sample alone: all that it took out of the window.
    pub(crate) passed_over: u64,
}

/// Blocks and pending samples of one stream. Belongs to the tick thread; allocates at construction only.
#[derive(Debug)]
pub(crate) struct StreamWindow {
    blocks: VecDeque<Box<SampleBlock>>,
    pending: VecDeque<Pending>,
    /// Whether some pending stamp is smaller than one before it.
    disordered: bool,
    /// The newest sample that was taken, where it may be taken again.
    kept: Option<Pending>,
}

impl StreamWindow {
    /// A window for at most `blocks` blocks of at most `samples` samples each.
    pub(crate) fn new(blocks: usize, samples: usize) -> Self {
        Self {
            blocks: VecDeque::with_capacity(blocks),
            pending: VecDeque::with_capacity(blocks.saturating_mul(samples)),
            disordered: false,
            kept: None,
        }
    }

    pub(crate) fn push_block(&mut self, block: Box<SampleBlock>) {
        self.blocks.push_back(block);
    }

    pub(crate) fn push_pending(&mut self, index: u64, stamp: LslTime) {
        self.disordered |= self.pending.back().is_some_and(|last| stamp < last.stamp);
        self.pending.push_back(Pending { index, stamp });
    }

    /// Forgets every pending sample and says how many there were.
    pub(crate) fn forget_pending(&mut self) -> u64 {
        let forgotten = self.pending.len() as u64;
        self.pending.clear();
        self.kept = None;
        self.disordered = false;
        forgotten
    }

    /// Forgets the pending samples stamped before `time` and says how many there were.
    pub(crate) fn forget_before(&mut self, time: LslTime) -> u64 {
        let before = self.pending.len();
        self.pending.retain(|sample| sample.stamp >= time);
        before.saturating_sub(self.pending.len()) as u64
    }

    /// Pending samples stamped before `end`.
    pub(crate) fn pending_before(&self, end: LslTime) -> usize {
        if self.disordered {
            self.pending.iter().filter(|sample| sample.stamp < end).count()
        } else {
            self.pending.partition_point(|sample| sample.stamp < end)
        }
    }

    /// Stamp of the oldest pending sample.
    pub(crate) fn front(&self) -> Option<LslTime> {
        self.pending.front().map(|sample| sample.stamp)
    }

    /// Takes the oldest pending sample.
    pub(crate) fn take_front(&mut self) -> Taken {
        let mut taken = Taken::default();
        if let Some(sample) = self.pending.pop_front() {
            taken.add(sample.index);
        }
        taken
    }

    /// Takes all pending samples stamped before `end`.
    pub(crate) fn take_before(&mut self, end: LslTime) -> Taken {
        let mut taken = Taken::default();
        if self.disordered {
            self.pending.retain(|sample| {
                let belongs = sample.stamp < end;
                if belongs {
                    taken.add(sample.index);
                }
                !belongs
            });
            let stamps = self.pending.iter().map(|sample| sample.stamp);
            self.disordered = stamps.clone().zip(stamps.skip(1)).any(|(first, second)| second < first);
        } else {
            while let Some(sample) = self.pending.front().filter(|sample| sample.stamp < end) {
                taken.add(sample.index);
                self.pending.pop_front();
            }
        }
        taken
    }

    /// Takes the newest sample stamped before `end`, again where no newer one came, unless it is stamped before `oldest`. It
    /// is kept for the next bin.
    pub(crate) fn take_latest(&mut self, end: LslTime, oldest: LslTime) -> Taken {
        let mut taken = Taken::default();
        let mut kept = self.kept;
        self.pending.retain(|sample| {
            let belongs = sample.stamp < end;
            if belongs {
                taken.passed_over = taken.passed_over.saturating_add(1);
                if kept.is_none_or(|kept| kept.stamp <= sample.stamp) {
                    kept = Some(*sample);
                }
            }
            !belongs
        });
        self.kept = kept.filter(|sample| sample.stamp >= oldest);
        if let Some(sample) = self.kept {
            taken.add(sample.index);
        }
        taken
    }

    /// Gives back the blocks that neither pending samples nor an open bin need.
    pub(crate) fn release(&mut self, mut give_back: impl FnMut(Box<SampleBlock>)) {
        let needed =
            self.pending.iter().chain(&self.kept).map(|sample| sample.index).min().unwrap_or(u64::MAX);
        while self.blocks.front().is_some_and(|block| block.end_index() <= needed) {
            if let Some(block) = self.blocks.pop_front() {
                give_back(block);
            }
        }
    }

    /// The values of samples `range`, in one or more pieces, in order.
    pub(crate) fn rows(&self, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        for block in &self.blocks {
            let first = range.first.max(block.first_index);
            let end = range.end.min(block.end_index());
            if first < end {
                let row = |index: u64| index.saturating_sub(block.first_index) as usize;
                visit(block.values.rows(block.channels, row(first), row(end)));
            }
        }
    }

    /// When the pull that brought sample `index` returned.
    pub(crate) fn received(&self, index: u64) -> Option<LslTime> {
        let block =
            self.blocks.iter().rev().find(|block| (block.first_index..block.end_index()).contains(&index))?;
        Some(block.received)
    }

    /// Index of the oldest pending sample stamped at or after `time`.
    pub(crate) fn first_pending_from(&self, time: LslTime) -> Option<u64> {
        self.pending.iter().find(|sample| sample.stamp >= time).map(|sample| sample.index)
    }

    /// The raw stamp of sample `index`.
    pub(crate) fn stamp(&self, index: u64) -> Option<StreamTime> {
        let block =
            self.blocks.iter().find(|block| (block.first_index..block.end_index()).contains(&index))?;
        block.stamps.get(index.saturating_sub(block.first_index) as usize).copied()
    }
}

impl Taken {
    fn add(&mut self, index: u64) {
        if let Some(last) = self.ranges.last_mut()
            && last.end == index
        {
            last.end = last.end.saturating_add(1);
        } else if self.ranges.try_push(IndexRange { first: index, end: index.saturating_add(1) }).is_err() {
            self.scattered = self.scattered.saturating_add(1);
        }
    }
}
