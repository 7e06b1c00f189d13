//! Points in time and durations, one type a clock, so that two clocks are never subtracted by accident.

use core::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// The latest time that is one, in seconds: thirty thousand years, whatever clock it is on.
pub(crate) const LATEST: f64 = 1e12;

/// A point in time on this machine's LSL clock, in seconds (`lsl_local_clock`: monotonic, its zero is arbitrary).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LslTime(pub f64);

/// A point in time on the clock of the program that sent a stream, in seconds, as stamped by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamTime(pub f64);

/// A duration, or a difference of two clocks, in seconds; may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub f64);

impl Seconds {
    /// A duration given in milliseconds.
    #[must_use]
    pub fn from_millis(millis: f64) -> Self {
        Self(millis / 1e3)
    }

    /// This duration in milliseconds.
    #[must_use]
    pub fn as_millis(self) -> f64 {
        self.0 * 1e3
    }

    /// This duration in whole microseconds, negative ones as zero: what the latency histograms count in.
    #[must_use]
    pub fn as_micros_saturating(self) -> u64 {
        (self.0 * 1e6).max(0.0) as u64
    }
}

impl StreamTime {
    /// The same instant on this machine's LSL clock, given the offset in force (`local = remote + offset`).
    #[must_use]
    pub fn corrected(self, offset: Seconds) -> LslTime {
        LslTime(self.0 + offset.0)
    }
}

impl Sub for LslTime {
    type Output = Seconds;
    fn sub(self, earlier: Self) -> Seconds {
        Seconds(self.0 - earlier.0)
    }
}

impl Add<Seconds> for LslTime {
    type Output = Self;
    fn add(self, duration: Seconds) -> Self {
        Self(self.0 + duration.0)
    }
}

impl Sub<Seconds> for LslTime {
    type Output = Self;
    fn sub(self, duration: Seconds) -> Self {
        Self(self.0 - duration.0)
    }
}

impl Sub for StreamTime {
    type Output = Seconds;
    fn sub(self, earlier: Self) -> Seconds {
        Seconds(self.0 - earlier.0)
    }
}
