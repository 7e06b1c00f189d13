//! Windows at events, the live half: which samples a marker's window has, or why it has none.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use arrayvec::ArrayVec;
use kalmind_types::{EventMarker, EventWindow, LOOK_BACK, LslTime, MAX_WINDOWS, Seconds, WindowMissing};

use super::{
    intake::Intake,
    look_back::{LookBack, Progress, look_back_rows},
};
use crate::WindowCut;

/// The most windows that wait for their samples, or for a tick, at a time.
pub const MAX_PENDING_WINDOWS: usize = 16;

/// A window that is not read yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    window: EventWindow,
    /// When it begins.
    start: LslTime,
    /// On the local clock: after that its samples do not come.
    until: LslTime,
    is_chosen: bool,
}

/// Windows on their way to a tick, in the order of their markers. Belongs to the tick thread; allocates at construction only.
#[derive(Debug, Default)]
pub(super) struct Windows {
    cuts: Vec<WindowCut>,
    pending: ArrayVec<Pending, MAX_PENDING_WINDOWS>,
    next_event: u64,
}

impl Windows {
    /// Makes room for windows that wait for their tick for `wait` at most; `width` says how many values a sample of a stream
    /// has. A stream without a rate gives none.
    pub(super) fn new(
        cuts: Vec<WindowCut>,
        streams: &mut [Intake],
        width: impl Fn(usize) -> usize,
        wait: Seconds,
    ) -> Self {
        for (stream, intake) in streams.iter_mut().enumerate() {
            let rate_hz = intake.settings.rate_hz.filter(|rate| *rate > 0.0);
            let longest =
                cuts.iter().filter(|cut| usize::from(cut.stream) == stream).map(|cut| cut.count).max();
            if let Some((rate_hz, longest)) = rate_hz.zip(longest) {
                let rows = look_back_rows(rate_hz, longest, wait);
                intake.look_back = Some(LookBack::new(width(stream), rate_hz, rows));
            }
        }
        Self { cuts, ..Self::default() }
    }

    /// A marker came at local time `now`: its window waits for its samples from now on, or is refused, as one is whose stamp
    /// is no time at all.
    pub(super) fn mark(&mut self, marker: EventMarker, now: LslTime, streams: &[Intake]) -> bool {
        let event = self.next_event;
        self.next_event = event.saturating_add(1);
        let has_room = !self.pending.is_full() && marker.is_recordable();
        let Some(cut) = self.cuts.get(usize::from(marker.window)).filter(|_| has_room) else { return false };
        let start = marker.time() + cut.offset;
        let intake = streams.get(usize::from(cut.stream));
        let length = f64::from(cut.count) * intake.and_then(Intake::period).unwrap_or(0.0);
        let window = EventWindow {
            event,
            marker,
            stream: cut.stream,
            first: 0,
            count: cut.count,
            // a stamp of another clock would wait for ever
            missing: ((marker.time() - now).0 > LOOK_BACK.0).then_some(WindowMissing::Ahead),
        };
        let until = start + Seconds(length + LOOK_BACK.0);
        let mut pending = Pending { window, start, until, is_chosen: false };
        pending.choose(intake);
        self.pending.try_push(pending).is_ok()
    }

    /// A new epoch: what waits is cut in two.
    pub(super) fn begin_epoch(&mut self) {
        for pending in &mut self.pending {
            pending.window.missing.get_or_insert(WindowMissing::Gap);
        }
    }

    /// Those that wait when nothing more comes, as missing.
    pub(super) fn end(&mut self) -> ArrayVec<EventWindow, MAX_PENDING_WINDOWS> {
        let missing = |pending: Pending| EventWindow {
            missing: pending.window.missing.or(Some(WindowMissing::NoSamples)),
            ..pending.window
        };
        self.pending.drain(..).map(missing).collect()
    }

    /// Moves the windows that are whole at local time `now`, and those that never will be, into a tick.
    pub(super) fn fill(
        &mut self,
        now: LslTime,
        streams: &[Intake],
        windows: &mut ArrayVec<EventWindow, MAX_WINDOWS>,
    ) {
        windows.clear();
        self.pending.retain(|pending| {
            pending.choose(streams.get(usize::from(pending.window.stream)));
            let is_ready = pending.is_ready(now, streams);
            !is_ready || windows.try_push(pending.window).is_err()
        });
    }
}

impl Pending {
    /// Chooses the first sample, once.
    fn choose(&mut self, intake: Option<&Intake>) {
        if self.is_chosen || self.window.missing.is_some() {
            return;
        }
        let look_back = intake.and_then(|intake| intake.look_back.as_ref());
        match look_back.and_then(|look_back| look_back.first_from(self.start)) {
            Some(Ok(first)) => (self.window.first, self.is_chosen) = (first, true),
            Some(Err(missing)) => self.window.missing = Some(missing),
            None => {}
        }
    }

    /// Whether it is whole, or never will be; then it says why.
    fn is_ready(&mut self, now: LslTime, streams: &[Intake]) -> bool {
        let look_back =
            streams.get(usize::from(self.window.stream)).and_then(|intake| intake.look_back.as_ref());
        let progress = match look_back {
            _ if self.window.missing.is_some() => return true,
            Some(look_back) if self.is_chosen => look_back.progress(self.window.first, self.window.count),
            _ => Progress::Waiting,
        };
        match progress {
            Progress::Whole => true,
            Progress::Waiting if now > self.until => {
                self.window.missing = Some(WindowMissing::NoSamples);
                true
            }
            Progress::Waiting => false,
            Progress::Missing(missing) => {
                self.window.missing = Some(missing);
                true
            }
        }
    }
}
