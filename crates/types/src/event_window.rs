//! Windows at events: a fixed count of one stream's samples, from the first one on that is stamped at a marker or so long
//! after it.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::{IndexRange, LslTime, Seconds, StreamTime, time::LATEST};

/// The most windows that one tick takes; more wait for the next tick, in order.
pub const MAX_WINDOWS: usize = 4;
/// How far back samples are kept for windows: a marker that comes later than that finds none.
pub const LOOK_BACK: Seconds = Seconds(10.0);

/// A marker that a window is cut at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMarker {
    /// Which of the configured windows.
    pub window: u16,
    /// Which of that window's texts.
    pub text: u16,
    /// Its raw stamp.
    pub stamp: StreamTime,
    /// The clock offset of its stream that was in force when it came. A later one moves nothing.
    pub offset: Seconds,
}

impl EventMarker {
    /// When it was sent, on this machine's clock.
    #[must_use]
    pub fn time(&self) -> LslTime {
        self.stamp.corrected(self.offset)
    }

    /// Whether stamp and offset are times at all, such as a recording is read with.
    #[must_use]
    pub fn is_recordable(&self) -> bool {
        [self.stamp.0, self.offset.0].into_iter().all(|time| time.abs() <= LATEST)
    }
}

/// A window at an event, as it enters a tick. Replay reads this and never chooses again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventWindow {
    /// Counts the windows that were asked for, from 0; one that was refused is a hole.
    pub event: u64,
    /// Its marker.
    pub marker: EventMarker,
    /// Which stream it is cut from, in the configuration's order.
    pub stream: u16,
    /// Index of its first sample; 0 where there is none.
    pub first: u64,
    /// Its number of samples.
    pub count: u32,
    /// Why its samples are not to be had; none where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<WindowMissing>,
}

impl EventWindow {
    /// Its samples.
    #[must_use]
    pub fn range(&self) -> IndexRange {
        IndexRange { first: self.first, end: self.first.saturating_add(u64::from(self.count)) }
    }
}

/// Why nothing was read from a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowMissing {
    /// The marker came so late that the samples are no longer kept.
    Late,
    /// The marker's stamp lies too far ahead of this machine's clock.
    Ahead,
    /// The window begins before the stream's first sample.
    BeforeStream,
    /// Samples are missing in it: lost ones, a restart of the stream, a new epoch.
    Gap,
    /// Its samples never came.
    NoSamples,
    /// One of its values is not finite, or what was read from them.
    NotFinite,
    /// The step failed, or knows no such window.
    Failed,
}

impl WindowMissing {
    /// All of them, in the order in which documents name them.
    pub const ALL: [Self; 7] = [
        Self::Late,
        Self::Ahead,
        Self::BeforeStream,
        Self::Gap,
        Self::NoSamples,
        Self::NotFinite,
        Self::Failed,
    ];

    /// The name by which events and status call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Ahead => "ahead",
            Self::BeforeStream => "before_stream",
            Self::Gap => "gap",
            Self::NoSamples => "no_samples",
            Self::NotFinite => "not_finite",
            Self::Failed => "failed",
        }
    }

    /// What is counted by that name, in a sentence.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Late => "Windows whose marker came so late that the samples were no longer kept.",
            Self::Ahead => "Windows whose marker was stamped too far ahead of this machine's clock.",
            Self::BeforeStream => "Windows that began before the stream's first sample.",
            Self::Gap => "Windows in which samples were missing.",
            Self::NoSamples => "Windows whose samples never came.",
            Self::NotFinite => "Windows with a value that was not finite.",
            Self::Failed => "Windows that were not read because the step failed.",
        }
    }
}

/// What came of the windows of one tick, one after the other as in its input. Made once, with room for all of them.
#[derive(Debug, Default, PartialEq)]
pub struct WindowResults {
    outcomes: ArrayVec<(Option<WindowMissing>, usize), MAX_WINDOWS>,
    values: Vec<f64>,
}

impl WindowResults {
    /// Room for results of at most so many values each.
    #[must_use]
    pub fn with_room(values: usize) -> Self {
        Self { outcomes: ArrayVec::new(), values: Vec::with_capacity(values * MAX_WINDOWS) }
    }

    /// Forgets the tick before.
    pub fn clear(&mut self) {
        self.outcomes.clear();
        self.values.clear();
    }

    /// Adds a window from which nothing was read.
    pub fn push_missing(&mut self, missing: WindowMissing) {
        let _within_max_windows = self.outcomes.try_push((Some(missing), 0));
    }

    /// Adds a result of so many values, which `write` writes; one that is not finite is none.
    pub fn push(&mut self, values: usize, write: impl FnOnce(&mut [f64])) {
        let begin = self.values.len();
        self.values.resize(begin.saturating_add(values), f64::NAN);
        let result = self.values.get_mut(begin..).unwrap_or_default();
        write(result);
        if result.iter().all(|value| value.is_finite()) {
            let _within_max_windows = self.outcomes.try_push((None, values));
        } else {
            self.values.truncate(begin);
            self.push_missing(WindowMissing::NotFinite);
        }
    }

    /// What came of each window: its values, or why there are none.
    pub fn iter(&self) -> impl Iterator<Item = Result<&[f64], WindowMissing>> {
        let mut rest = self.values.as_slice();
        self.outcomes.iter().map(move |(missing, count)| {
            let (values, others) = rest.split_at_checked(*count).unwrap_or_default();
            rest = others;
            missing.map_or(Ok(values), Err)
        })
    }
}

impl Clone for WindowResults {
    fn clone(&self) -> Self {
        Self { outcomes: self.outcomes.clone(), values: self.values.clone() }
    }

    /// Copies into the room that is there.
    fn clone_from(&mut self, source: &Self) {
        self.outcomes.clone_from(&source.outcomes);
        self.values.clone_from(&source.values);
    }
}
