//! Samples into bins: which samples belong to which tick, and when a bin is closed.
//!
//! The binner is the live half of the tick: it looks at stamps and at the local time it is told, and writes what it
//! decided into a [`TickInput`]. [`Engine::step`](crate::Engine::step) reads only that, so a recording of the inputs
//! repeats the run whatever the clocks did.
//!
//! Bins of a fixed width start at t0, the latest first corrected stamp among the required streams, less half that
//! stream's sample period; with a leading stream of [`Binning::Sample`] every sample of it is a bin.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use arrayvec::ArrayVec;
use kalmind_types::{
    BinClose, ChannelMask, Command, EventMarker, EventWindow, IndexRange, LslTime, SampleBlock, SampleRows,
    Seconds, StreamHealth, StreamTick, StreamTime, TickInput,
};

use self::{intake::Intake, windows::Windows};
pub use self::{
    intake::{BinCounts, StreamBinning},
    look_back::look_back_rows,
    settings::{BinnerError, BinnerSettings},
    windows::MAX_PENDING_WINDOWS,
};
use crate::{SampleSource, WindowCut};

mod intake;
mod look_back;
mod settings;
mod windows;

/// Turns blocks of samples into [`TickInput`]s. Belongs to the tick thread; allocates at construction only.
#[derive(Debug)]
pub struct Binner {
    settings: BinnerSettings,
    leader: Option<usize>,
    streams: Vec<Intake>,
    masked: ChannelMask,
    seq: u64,
    epoch: u32,
    /// Bins of fixed width: t0 and the number of the next bin.
    origin: Option<(LslTime, u64)>,
    /// With a leader: time of the newest tick of the epoch.
    last_time: Option<LslTime>,
    /// When the bin closed last could have been closed.
    ready: LslTime,
    windows: Windows,
}

impl Binner {
    /// A binner for these streams.
    ///
    /// # Errors
    /// [`BinnerError`] where the streams cannot be binned together.
    pub fn new(settings: BinnerSettings, masked: ChannelMask) -> Result<Self, BinnerError> {
        let leader = settings.leader()?;
        let streams = settings.streams.iter().cloned().map(Intake::new).collect();
        Ok(Self {
            settings,
            leader,
            streams,
            masked,
            seq: 0,
            epoch: 0,
            origin: None,
            last_time: None,
            ready: LslTime::default(),
            windows: Windows::default(),
        })
    }

    /// The same, cutting windows at events; `width` says how many values a sample of a stream has.
    #[must_use]
    pub fn with_windows(mut self, cuts: Vec<WindowCut>, width: impl Fn(usize) -> usize) -> Self {
        self.windows = Windows::new(cuts, &mut self.streams, width, self.settings.max_wait);
        self
    }

    /// A marker that a window is cut at came at local time `now`; `false` where [`MAX_PENDING_WINDOWS`] wait already, and it is refused.
    pub fn mark(&mut self, marker: EventMarker, now: LslTime) -> bool {
        self.windows.mark(marker, now, &self.streams)
    }

    /// The windows that wait when no further bin is closed, as missing.
    pub fn end_windows(&mut self) -> ArrayVec<EventWindow, MAX_PENDING_WINDOWS> {
        self.windows.end()
    }

    /// Takes a block in. Its box comes back through [`Binner::release`] once no bin needs it.
    pub fn accept(&mut self, stream: usize, block: Box<SampleBlock>) {
        let Some(intake) = self.streams.get_mut(stream) else { return };
        intake.lost = intake.lost.saturating_add(block.lost_before);
        intake.health = block.health;
        intake.note_generation(&block);
        for row in 0..block.len() {
            let Some(raw) = block.stamps.get(row).copied() else { break };
            let index = block.first_index.saturating_add(row as u64);
            self.accept_sample(stream, index, raw, &block);
        }
        if let Some(intake) = self.streams.get_mut(stream) {
            intake.note_settling(&block);
            intake.window.push_block(block);
        }
    }

    fn accept_sample(&mut self, stream: usize, index: u64, raw: StreamTime, block: &SampleBlock) {
        let jump = self.settings.epoch_jump.0;
        let leads = self.leader == Some(stream);
        let Some(intake) = self.streams.get_mut(stream) else { return };
        let (stamp, jumped) = intake.correct(raw, block, jump, leads);
        if jumped {
            self.new_epoch();
        }
        let Some(intake) = self.streams.get_mut(stream) else { return };
        intake.look_back(index, stamp, block);
        intake.first.get_or_insert(stamp);
        intake.newest =
            Some(intake.newest.map_or(stamp, |newest| if stamp > newest { stamp } else { newest }));
        let closed_until = if self.leader.is_some() {
            self.last_time
        } else {
            self.origin.map(|(origin, next)| bin_start(origin, next, self.settings.width))
        };
        let too_late = closed_until.is_some_and(|end| if leads { stamp <= end } else { stamp < end });
        // a value that is held may come after the bins that its stamp lies in
        if too_late && !intake.is_latest() {
            let width = self.settings.width;
            let end = self.origin.map_or(stamp + width, |(origin, _)| {
                LslTime(origin.0 + (((stamp - origin).0 / width.0).floor() + 1.0) * width.0)
            });
            intake.count_late(stamp, block.received, end + self.settings.max_wait);
        } else {
            intake.window.push_pending(index, stamp);
        }
        self.find_origin();
    }

    /// t0 as soon as every required stream has shown its first stamp.
    fn find_origin(&mut self) {
        if self.origin.is_some() || self.leader.is_some() {
            return;
        }
        let mut latest: Option<(LslTime, f64)> = None;
        for intake in self.streams.iter().filter(|intake| intake.settings.is_waited_for()) {
            let Some(first) = intake.first else { return };
            if latest.is_none_or(|(time, _)| first > time) {
                latest = Some((first, intake.period().unwrap_or(0.0)));
            }
        }
        let Some((first, period)) = latest else { return };
        let origin = first - Seconds(period / 2.0);
        self.origin = Some((origin, 0));
        self.streams.iter_mut().for_each(|intake| intake.begin(origin));
    }

    fn new_epoch(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.origin = None;
        self.last_time = None;
        self.streams.iter_mut().for_each(Intake::new_epoch);
        self.windows.begin_epoch();
    }

    /// Notes what the monitor says of a stream when no block comes to tell it.
    pub fn set_health(&mut self, stream: usize, health: StreamHealth) {
        if let Some(intake) = self.streams.get_mut(stream) {
            intake.health = health;
        }
    }

    /// How long bins wait for their streams from now on, after their end on the local clock.
    pub fn set_max_wait(&mut self, max_wait: Seconds) {
        self.settings.max_wait = max_wait;
    }

    /// Closes the next bin if it can be closed at local time `now`, and writes it into `input`. Call until `false`.
    /// After each `true`, step the engine, then [`Binner::release`].
    pub fn close_next(&mut self, now: LslTime, commands: &[Command], input: &mut TickInput) -> bool {
        let closed = match self.leader {
            Some(leader) => self.close_sample(leader, now, commands, input),
            None => self.close_fixed(now, commands, input),
        };
        if closed {
            self.windows.fill(now, &self.streams, &mut input.windows);
        }
        closed
    }

    fn close_fixed(&mut self, now: LslTime, commands: &[Command], input: &mut TickInput) -> bool {
        let Some((origin, number)) = self.origin else { return false };
        let start = bin_start(origin, number, self.settings.width);
        let end = bin_start(origin, number.saturating_add(1), self.settings.width);
        let Some((closed_by, incomplete)) = self.closing(start, end, now, None) else { return false };
        self.origin = Some((origin, number.saturating_add(1)));
        self.write(start, end, closed_by, incomplete, commands, input, None);
        true
    }

    fn close_sample(
        &mut self,
        leader: usize,
        now: LslTime,
        commands: &[Command],
        input: &mut TickInput,
    ) -> bool {
        let Some(intake) = self.streams.get(leader) else { return false };
        let Some(stamp) = intake.window.front() else { return false };
        let period = intake.period().unwrap_or(self.settings.width.0);
        let Some(last) = self.last_time else {
            let start = stamp - self.settings.width;
            self.streams.iter_mut().for_each(|intake| intake.begin(start));
            return self.close_leading(leader, start, stamp, now, commands, input);
        };
        if stamp <= last {
            // a stamp that ran backwards while it was waiting: nothing may be published out of order
            let taken = self.streams.get_mut(leader).map(|intake| {
                intake.late = intake.late.saturating_add(1);
                intake.counts.late = intake.counts.late.saturating_add(1);
                intake.window.take_front()
            });
            return taken.is_some() && self.close_sample(leader, now, commands, input);
        }
        let skipped = ((stamp - last).0 / period).round() - 1.0;
        if skipped >= 1.0 {
            // a bin for a sample that never came, evenly between the neighbours; the next call sees one less
            let time = last + Seconds((stamp - last).0 / (skipped + 1.0));
            self.last_time = Some(time);
            self.write(last, time, BinClose::Skipped, true, commands, input, None);
            return true;
        }
        self.close_leading(leader, last, stamp, now, commands, input)
    }

    fn close_leading(
        &mut self,
        leader: usize,
        start: LslTime,
        stamp: LslTime,
        now: LslTime,
        commands: &[Command],
        input: &mut TickInput,
    ) -> bool {
        let Some((closed_by, incomplete)) = self.closing(start, stamp, now, Some(leader)) else {
            return false;
        };
        let closed_by = if closed_by == BinClose::Deadline { closed_by } else { BinClose::Sample };
        self.last_time = Some(stamp);
        self.write(start, stamp, closed_by, incomplete, commands, input, Some(leader));
        true
    }

    /// Whether the bin `start..end` can be closed, why, and whether it is incomplete.
    fn closing(
        &self,
        start: LslTime,
        end: LslTime,
        now: LslTime,
        leader: Option<usize>,
    ) -> Option<(BinClose, bool)> {
        let mut filled = false;
        let mut waiting = false;
        for (index, intake) in self.streams.iter().enumerate() {
            if !intake.settings.is_waited_for() || Some(index) == leader {
                continue;
            }
            if intake.newest.is_some_and(|newest| newest >= end) {
                continue;
            }
            let is_late = now >= end + self.settings.max_wait;
            if intake.has_filled(start, end) || is_late && intake.is_silent(now) {
                filled = true;
            } else {
                waiting = true;
            }
        }
        if !waiting {
            return Some((if filled { BinClose::Filled } else { BinClose::Passed }, false));
        }
        (now >= end + self.settings.max_wait).then_some((BinClose::Deadline, true))
    }

    #[expect(clippy::too_many_arguments, reason = "one private place that fills a tick's input")]
    fn write(
        &mut self,
        start: LslTime,
        end: LslTime,
        closed_by: BinClose,
        incomplete: bool,
        commands: &[Command],
        input: &mut TickInput,
        leader: Option<usize>,
    ) {
        input.seq = self.seq;
        input.epoch = self.epoch;
        input.start = start;
        input.time = end;
        input.closed_by = closed_by;
        input.incomplete = incomplete;
        input.masked.clone_from(&self.masked);
        input.commands.clear();
        for command in commands {
            let _full_is_impossible = input.commands.try_push(*command);
        }
        input.streams.clear();
        self.ready = LslTime(f64::NEG_INFINITY);
        for (index, intake) in self.streams.iter_mut().enumerate() {
            let taken = if leader == Some(index) {
                intake.window.take_front()
            } else if self.leader == Some(index) {
                crate::window::Taken::default()
            } else if intake.is_latest() {
                let taken = intake.window.take_latest(end, end - intake.settings.max_age);
                intake.counts.binned = intake.counts.binned.saturating_add(taken.passed_over);
                taken
            } else {
                intake.window.take_before(end)
            };
            intake.late = intake.late.saturating_add(taken.scattered);
            intake.counts.late = intake.counts.late.saturating_add(taken.scattered);
            if intake.settings.is_waited_for() {
                // the sample that closed it: the first past the end, else the last inside
                let decisive = intake.window.first_pending_from(end).filter(|_| leader != Some(index));
                let last_inside = taken.ranges.last().map(|range| range.end.saturating_sub(1));
                let received = decisive.or(last_inside).and_then(|index| intake.window.received(index));
                if let Some(received) = received
                    && received > self.ready
                {
                    self.ready = received;
                }
            }
            let tick = StreamTick {
                generation: intake.generation_of(&taken.ranges),
                settling: intake.settling_of(&taken.ranges, end),
                ranges: taken.ranges,
                offset: intake.offset.unwrap_or_default(),
                health: intake.health,
                lost: core::mem::take(&mut intake.lost),
                late: core::mem::take(&mut intake.late),
            };
            if !intake.is_latest() {
                intake.counts.binned = intake.counts.binned.saturating_add(tick.samples());
            }
            let _within_max_streams = input.streams.try_push(tick);
        }
        if closed_by == BinClose::Deadline || !self.ready.0.is_finite() {
            self.ready = end + self.settings.max_wait;
        }
        self.seq = self.seq.saturating_add(1);
    }

    /// When the bin closed last could have been closed, on the local clock: when the sample that decided it was
    /// received; for a deadline, when that passed.
    pub fn ready(&self) -> LslTime {
        self.ready
    }

    /// When the open bin will be closed whatever comes, on the local clock; `None` while nothing waits.
    pub fn next_deadline(&self) -> Option<LslTime> {
        let end = match self.leader {
            Some(leader) => self.streams.get(leader)?.window.front()?,
            None => self
                .origin
                .map(|(origin, number)| bin_start(origin, number.saturating_add(1), self.settings.width))?,
        };
        Some(end + self.settings.max_wait)
    }

    /// Gives back the blocks that are done with: `give_back(stream, block)`. Call it once a round, with or without ticks:
    /// while bins wait for a stream that is not there, samples of the others that are too old for any bin to come are
    /// dropped and counted, so that their blocks do not run out.
    pub fn release(&mut self, mut give_back: impl FnMut(usize, Box<SampleBlock>)) {
        let horizon = match self.leader {
            Some(_) => Some(self.settings.epoch_jump.0),
            None if self.origin.is_none() => Some(0.0),
            None => None,
        };
        if let Some(horizon) = horizon {
            let kept = Seconds(horizon + self.settings.width.0 + self.settings.max_wait.0);
            for (index, intake) in self.streams.iter_mut().enumerate() {
                if self.leader != Some(index)
                    && let Some(newest) = intake.newest
                {
                    intake.counts.dropped =
                        intake.counts.dropped.saturating_add(intake.window.forget_before(newest - kept));
                }
            }
        }
        for (index, intake) in self.streams.iter_mut().enumerate() {
            intake.window.release(|block| give_back(index, block));
        }
    }

    /// What became of a stream's samples so far.
    pub fn counts(&self, stream: usize) -> BinCounts {
        self.streams.get(stream).map(|intake| intake.counts).unwrap_or_default()
    }

    /// `seq` of the next tick.
    pub fn next_seq(&self) -> u64 {
        self.seq
    }
}

impl SampleSource for Binner {
    fn rows(&self, stream: usize, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        if let Some(intake) = self.streams.get(stream) {
            intake.window.rows(range, visit);
        }
    }

    fn stamp(&self, stream: usize, index: u64) -> Option<StreamTime> {
        self.streams.get(stream)?.window.stamp(index)
    }

    fn window_rows(&self, stream: usize, range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        if let Some(look_back) = self.streams.get(stream).and_then(|intake| intake.look_back.as_ref()) {
            look_back.rows(range, visit);
        }
    }
}

/// Start of bin `number`: always from t0, so that no error adds up.
fn bin_start(origin: LslTime, number: u64, width: Seconds) -> LslTime {
    LslTime(origin.0 + number as f64 * width.0)
}
