//! The clocks: the only module that reads one.
//!
//! All times in Kalmind are on the LSL clock, which is monotonic. Unix time appears once, as a pair, so that people and
//! files can tell when a session was.

use core::time::Duration;

use kalmind_types::{LslTime, Seconds};
use serde::Serialize;

/// The time now on this machine's LSL clock. Any thread; no lock, no allocation, about 30 ns.
#[must_use]
pub fn now() -> LslTime {
    LslTime(lsl::local_clock())
}

/// [`now`] in plain seconds: the clock of code that knows none and is handed one as a function.
#[must_use]
pub fn seconds() -> f64 {
    now().0
}

/// One instant on the LSL clock and in Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClockPair {
    /// On the LSL clock.
    pub lsl: LslTime,
    /// Seconds since 1970-01-01 UTC.
    pub unix: f64,
}

/// Reads both clocks, the Unix clock between two readings of the LSL clock whose mean stands for the instant.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn clock_pair() -> ClockPair {
    let before = now();
    let unix = std::time::SystemTime::now();
    let after = now();
    let unix = unix.duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    ClockPair { lsl: before + Seconds((after - before).0 / 2.0), unix }
}

/// A point in time up to which something may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deadline(LslTime);

impl Deadline {
    /// `duration` from now.
    #[must_use]
    pub fn after(duration: Seconds) -> Self {
        Self(now() + duration)
    }

    /// When it is.
    #[must_use]
    pub fn time(self) -> LslTime {
        self.0
    }

    /// What is left, never negative.
    #[must_use]
    pub fn remaining(self) -> Seconds {
        Seconds((self.0 - now()).0.max(0.0))
    }

    /// What is left as the standard library's duration, for waits with a timeout.
    #[must_use]
    pub fn remaining_duration(self) -> Duration {
        Duration::try_from_secs_f64(self.remaining().0).unwrap_or(Duration::MAX)
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(self) -> bool {
        now().0 >= self.0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_runs_backwards() {
        let mut before = now();
        for _ in 0..10_000 {
            let after = now();
            assert!(after >= before);
            before = after;
        }
    }

    #[test]
    fn a_deadline_in_the_past_has_nothing_left() {
        let deadline = Deadline::after(Seconds(-1.0));
        assert!(deadline.passed());
        assert_eq!(deadline.remaining(), Seconds(0.0));
        assert_eq!(deadline.remaining_duration(), Duration::ZERO);
    }

    #[test]
    fn a_deadline_far_ahead_has_not_passed() {
        let deadline = Deadline::after(Seconds(1e6));
        assert!(!deadline.passed());
        assert!(deadline.remaining().0 > 9e5);
    }

    #[test]
    fn pairs_agree_with_each_other() {
        let (first, second) = (clock_pair(), clock_pair());
        let lsl = second.lsl - first.lsl;
        assert!((second.unix - first.unix - lsl.0).abs() < 1.0);
    }
}
