//! One stream's way into the bins: its samples' corrected stamps, whether its time base jumped, and what it still owes a bin.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{
    Binning, IndexRange, LONGEST_SETTLING, LslTime, SampleBlock, Seconds, StreamHealth, StreamTime,
};

use super::look_back::LookBack;
use crate::window::StreamWindow;

/// Clock offsets in force change by at most this much per second, so that corrected stamps never run backwards.
const SLEW: f64 = 1e-3;
/// A regular stream has filled a bin when its next sample is due at least this part of a period past the end.
const FILL_MARGIN: f64 = 0.25;

/// For so long after an event that came too late for its bin silence says nothing: its sender is late, not silent.
const LATE_REMEMBERED: f64 = 5.0;

/// How one stream takes part in the bins.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamBinning {
    /// What its samples become.
    pub binning: Binning,
    /// Its rate in Hz; `None` for an irregular stream (not allowed with [`Binning::Sample`]).
    pub rate_hz: Option<f64>,
    /// Whether bins wait for it. None waits for one that is binned `latest`.
    pub required: bool,
    /// For how long a sample of one that is binned `latest` counts, from its stamp to a bin's end.
    pub max_age: Seconds,
    /// The most blocks that are ever under way for it.
    pub blocks: usize,
    /// The most samples in a block.
    pub block_samples: usize,
}

impl StreamBinning {
    /// Whether bins wait for the stream's samples.
    pub(super) fn is_waited_for(&self) -> bool {
        self.required && self.binning != Binning::Latest
    }
}

/// Samples that found no bin, since the binner was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BinCounts {
    /// Stamped inside a bin that was closed already.
    pub late: u64,
    /// Stamped before the first bin, or pending when a new epoch began.
    pub dropped: u64,
    /// Put into a bin.
    pub binned: u64,
}

/// A stream as the binner sees it.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) settings: StreamBinning,
    pub(super) window: StreamWindow,
    pub(super) health: StreamHealth,
    pub(super) offset: Option<Seconds>,
    pub(super) first: Option<LslTime>,
    pub(super) newest: Option<LslTime>,
    pub(super) last_raw: Option<StreamTime>,
    pub(super) last_received: LslTime,
    pub(super) connection: u32,
    pub(super) lost: u64,
    pub(super) late: u64,
    /// When a sample last came so late that its bin may have been taken for silent, on the local clock.
    late_at: Option<LslTime>,
    /// Start of the first bin of the epoch.
    begun: Option<LslTime>,
    pub(super) counts: BinCounts,
    /// Where windows are cut from the stream.
    pub(super) look_back: Option<LookBack>,
    /// Of the stages that made the newest samples, the index of the first that they made, and the one before.
    generation: u32,
    made_since: u64,
    generation_before: u32,
    /// Of the newest bin with samples.
    binned_generation: u32,
    /// The newest samples from before the stages had settled after a start, and when they have.
    settling: Option<(IndexRange, LslTime)>,
}

impl Intake {
    pub(super) fn new(settings: StreamBinning) -> Self {
        let window = StreamWindow::new(settings.blocks, settings.block_samples);
        Self {
            settings,
            window,
            health: StreamHealth::Waiting,
            offset: None,
            first: None,
            newest: None,
            last_raw: None,
            last_received: LslTime::default(),
            connection: 0,
            lost: 0,
            late: 0,
            late_at: None,
            begun: None,
            counts: BinCounts::default(),
            look_back: None,
            generation: 0,
            made_since: 0,
            generation_before: 0,
            binned_generation: 0,
            settling: None,
        }
    }

    /// Keeps a sample for windows, where any are cut from the stream.
    pub(super) fn look_back(&mut self, index: u64, stamp: LslTime, block: &SampleBlock) {
        if let Some(look_back) = &mut self.look_back {
            let row = usize::try_from(index.saturating_sub(block.first_index)).unwrap_or(usize::MAX);
            let values = block.values.rows(block.channels, row, row.saturating_add(1));
            look_back.push(index, stamp, (block.connection, block.generation), values);
        }
    }

    /// Notes which generation of the stream's stages made a block.
    pub(super) fn note_generation(&mut self, block: &SampleBlock) {
        if block.generation != self.generation {
            self.generation_before = self.generation;
            self.generation = block.generation;
            self.made_since = block.first_index;
        }
    }

    /// Notes whether a block is from before the stages had settled; its samples have been taken in.
    pub(super) fn note_settling(&mut self, block: &SampleBlock) {
        let (Some(offset), Some(first)) = (self.offset, block.stamps.first()) else { return };
        if block.settling.0 <= 0.0 {
            return;
        }
        let end = block.first_index.saturating_add(block.len() as u64);
        let follows = |range: &IndexRange| range.end.saturating_add(block.lost_before) == block.first_index;
        let begun = self.settling.map(|(range, _)| range).filter(follows);
        let first_index = begun.map_or(block.first_index, |range| range.first);
        let range = IndexRange { first: first_index, end };
        self.settling = Some((range, first.corrected(offset) + block.settling));
    }

    /// For how long after its end the stages go on settling, where a bin has samples from before they had settled.
    pub(super) fn settling_of(&self, ranges: &[IndexRange], end: LslTime) -> Option<Seconds> {
        let (settling, until) = self.settling?;
        let meets = |range: &IndexRange| range.first < settling.end && settling.first < range.end;
        // clocks may say anything; what is recorded is read again
        let left = (until - end).0.max(0.0).min(LONGEST_SETTLING.0);
        ranges.iter().any(meets).then_some(Seconds(left))
    }

    /// The oldest generation that made samples of a bin, or of the bin before where it has none.
    pub(super) fn generation_of(&mut self, ranges: &[IndexRange]) -> u32 {
        if ranges.iter().any(|range| range.first < self.made_since) {
            self.binned_generation = self.generation_before;
        } else if !ranges.is_empty() {
            self.binned_generation = self.generation;
        }
        self.binned_generation
    }

    /// From one sample to the next; none where they come when they come.
    pub(super) fn period(&self) -> Option<f64> {
        self.settings.rate_hz.filter(|rate| *rate > 0.0).map(f64::recip)
    }

    /// The corrected stamp of a sample, and whether the time base jumped at it.
    pub(super) fn correct(
        &mut self,
        raw: StreamTime,
        block: &SampleBlock,
        jump: f64,
        leads: bool,
    ) -> (LslTime, bool) {
        let measured = block.clock.offset;
        let Some((offset, last_raw)) = self.offset.zip(self.last_raw) else {
            self.note(raw, measured, block.received);
            return (raw.corrected(measured), false);
        };
        let advance = (raw - last_raw).0;
        let correction = measured.0 - offset.0;
        let fresh = core::mem::replace(&mut self.connection, block.connection) != block.connection;
        if fresh
            && correction.abs() <= jump
            && self.newest.is_none_or(|newest| raw.corrected(measured) > newest)
        {
            // another connection may be another clock: nothing to slew from
            self.note(raw, measured, block.received);
            return (raw.corrected(measured), leads && advance.abs() > jump);
        }
        let waited = (block.received - self.last_received).0.max(0.0);
        let forward = if leads { advance } else { advance - waited };
        if correction.abs() > jump || advance < -jump || forward > jump {
            self.note(raw, measured, block.received);
            return (raw.corrected(measured), true);
        }
        let most = SLEW * advance.max(0.0);
        let slewed = Seconds(offset.0 + correction.clamp(-most, most));
        self.note(raw, slewed, block.received);
        (raw.corrected(slewed), false)
    }

    fn note(&mut self, raw: StreamTime, offset: Seconds, received: LslTime) {
        self.last_raw = Some(raw);
        self.offset = Some(offset);
        self.last_received = received;
    }

    /// Whether a bin takes the newest sample before its end, however old up to a limit, and waits for none.
    pub(super) fn is_latest(&self) -> bool {
        self.settings.binning == Binning::Latest
    }

    /// The first bin starts here: what is stamped before it is dropped, but for a value that still holds.
    pub(super) fn begin(&mut self, start: LslTime) {
        self.begun = Some(start);
        let dropped = if self.is_latest() {
            let taken = self.window.take_latest(start, start - self.settings.max_age);
            let held = taken.ranges.len() as u64;
            self.counts.binned = self.counts.binned.saturating_add(held);
            taken.passed_over.saturating_sub(held)
        } else {
            self.window.forget_before(start)
        };
        self.counts.dropped = self.counts.dropped.saturating_add(dropped);
    }

    /// Forgets what is of the time base before a jump.
    pub(super) fn new_epoch(&mut self) {
        self.counts.dropped = self.counts.dropped.saturating_add(self.window.forget_pending());
        (self.first, self.newest, self.begun, self.settling) = (None, None, None, None);
        self.look_back.iter_mut().for_each(LookBack::clear);
    }

    /// A sample came too late for its bin, which silence could have closed from `silent_from` on, on the local clock. One that is
    /// only out of order comes before that.
    pub(super) fn count_late(&mut self, stamp: LslTime, received: LslTime, silent_from: LslTime) {
        self.late = self.late.saturating_add(1);
        self.counts.late = self.counts.late.saturating_add(1);
        if received > silent_from && self.begun.is_some_and(|begun| stamp >= begun) {
            self.late_at = Some(received);
        }
    }

    /// Whether that nothing comes says that nothing happened: of a live stream of events whose events have come in time of late.
    pub(super) fn is_silent(&self, now: LslTime) -> bool {
        let is_late = self.late_at.is_some_and(|late| (now - late).0 < LATE_REMEMBERED);
        self.settings.binning == Binning::Events && self.health == StreamHealth::Live && !is_late
    }

    /// Whether all samples that the rate promises for the bin are here, and the next is due clearly past its end.
    pub(super) fn has_filled(&self, start: LslTime, end: LslTime) -> bool {
        let Some((period, newest)) = self.period().zip(self.newest) else { return false };
        let promised = ((end - start).0 / period * (1.0 + 1e-9)).floor() as usize;
        newest.0 + (1.0 - FILL_MARGIN) * period >= end.0 && self.window.pending_before(end) >= promised
    }
}
