//! The newest samples of a stream that windows are cut from: kept for the look-back, in memory made at the start.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use std::collections::VecDeque;

use kalmind_types::{IndexRange, LOOK_BACK, LslTime, SampleRows, Seconds, WindowMissing};

/// Stamps that are further apart than a period and the longer of this and half a period leave a gap. Stages fill gaps up to
/// the same length.
const TOLERATED: Seconds = Seconds(0.005);

/// A sample that is kept.
#[derive(Clone, Copy, Debug)]
struct Kept {
    index: u64,
    /// The latest stamp up to this sample: the first sample that reaches a time is the first one stamped at or after it.
    reached: LslTime,
    /// Index of the first sample of those that lead up to this one without a gap.
    since: u64,
}

/// How far a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Samples are still to come.
    Waiting,
    /// All of it is here.
    Whole,
    /// It never will be.
    Missing(WindowMissing),
}

/// The newest samples of one stream. Belongs to the tick thread; allocates at construction only. When it is full the oldest
/// sample goes.
#[derive(Debug)]
pub(super) struct LookBack {
    width: usize,
    /// Steps of the stamps that are longer leave a gap.
    longest_step: f64,
    kept: VecDeque<Kept>,
    /// Their values, a ring of rows.
    values: Vec<f64>,
    rows: usize,
    /// The row that the next sample takes.
    next: usize,
    /// Stamp of the newest sample, its connection and the generation of its stages.
    newest: Option<(LslTime, (u32, u32))>,
    /// Whether samples before the oldest were kept once.
    forgot: bool,
}

/// Samples that are kept of a stream at `rate_hz` from which windows of at most `longest` samples are cut that wait for a
/// tick for `wait` at most.
#[must_use]
pub fn look_back_rows(rate_hz: f64, longest: u32, wait: Seconds) -> usize {
    // senders are a little faster than they say
    ((LOOK_BACK.0 + wait.0 + 1.0) * rate_hz * 1.1 + f64::from(longest)).ceil().max(1.0) as usize
}

impl LookBack {
    /// For so many samples of `width` values at `rate_hz`.
    pub(super) fn new(width: usize, rate_hz: f64, rows: usize) -> Self {
        let period = rate_hz.recip();
        Self {
            width,
            longest_step: period + TOLERATED.0.max(period / 2.0),
            kept: VecDeque::with_capacity(rows),
            values: vec![0.0; rows.saturating_mul(width)],
            rows,
            next: 0,
            newest: None,
            forgot: false,
        }
    }

    /// Takes a sample: its index, corrected stamp, connection and generation of stages, and values.
    pub(super) fn push(&mut self, index: u64, stamp: LslTime, origin: (u32, u32), row: SampleRows<'_>) {
        let before = self.kept.back().copied();
        let follows = before.zip(self.newest).filter(|(before, (last, known))| {
            before.index.checked_add(1) == Some(index)
                && *known == origin
                && (stamp - *last).0 <= self.longest_step
        });
        if self.kept.len() == self.rows {
            self.kept.pop_front();
            self.forgot = true;
        }
        self.kept.push_back(Kept {
            index,
            reached: before
                .map_or(stamp, |before| if stamp > before.reached { stamp } else { before.reached }),
            since: follows.map_or(index, |(before, _)| before.since),
        });
        self.newest = Some((stamp, origin));
        let begin = self.next.saturating_mul(self.width);
        let room = self.values.get_mut(begin..begin.saturating_add(self.width)).unwrap_or_default();
        row.each_row(room, |_| {});
        self.next = self.next.saturating_add(1).checked_rem(self.rows).unwrap_or(0);
    }

    /// A new epoch: times before it mean nothing any more.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.newest = None;
        self.forgot = false;
    }

    /// Index of the first sample stamped at or after `start`, or why there can be none; nothing while none has come.
    pub(super) fn first_from(&self, start: LslTime) -> Option<Result<u64, WindowMissing>> {
        let newest = self.kept.back()?;
        if (newest.reached - start).0 > LOOK_BACK.0 {
            return Some(Err(WindowMissing::Late));
        }
        let place = self.kept.partition_point(|kept| kept.reached < start);
        let first = self.kept.get(place)?;
        let begins_run = first.since == first.index;
        Some(match (place, begins_run && (first.reached - start).0 > self.longest_step) {
            (_, false) => Ok(first.index),
            (0, true) if self.forgot => Err(WindowMissing::Late),
            (0, true) => Err(WindowMissing::BeforeStream),
            (_, true) => Err(WindowMissing::Gap),
        })
    }

    /// How far the window of `count` samples from `first` on is.
    pub(super) fn progress(&self, first: u64, count: u32) -> Progress {
        let last = first.saturating_add(u64::from(count)).saturating_sub(1);
        if self.kept.front().is_none_or(|oldest| oldest.index > first) {
            return Progress::Missing(WindowMissing::Late);
        }
        match self.kept.get(self.place_of(last)) {
            Some(kept) if kept.index == last && kept.since <= first => Progress::Whole,
            None if self.kept.back().is_some_and(|newest| newest.since <= first) => Progress::Waiting,
            _ => Progress::Missing(WindowMissing::Gap),
        }
    }

    /// Shows the values of a range without gaps that is kept, in two pieces at most.
    pub(super) fn rows(&self, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        let place = self.place_of(range.first);
        let count = usize::try_from(range.end.saturating_sub(range.first)).unwrap_or(usize::MAX);
        let is_kept = self.kept.get(place).is_some_and(|kept| kept.index == range.first);
        if !is_kept || place.saturating_add(count) > self.kept.len() {
            return;
        }
        let oldest = self.next.saturating_add(self.rows).saturating_sub(self.kept.len());
        let row = oldest.saturating_add(place).checked_rem(self.rows).unwrap_or(0);
        let before_the_end = count.min(self.rows.saturating_sub(row));
        for (row, count) in [(row, before_the_end), (0, count.saturating_sub(before_the_end))] {
            let begin = row.saturating_mul(self.width);
            let end = begin.saturating_add(count.saturating_mul(self.width));
            visit(SampleRows::Double64(self.values.get(begin..end).unwrap_or_default()));
        }
    }

    fn place_of(&self, index: u64) -> usize {
        self.kept.partition_point(|kept| kept.index < index)
    }
}
