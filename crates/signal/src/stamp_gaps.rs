//! Which samples were never sent, by the stamps of those that were. Pure.

use kalmind_types::{Seconds, StreamTime};

/// A stamp that is later by at least this many periods than the regular one leaves a gap.
const GAP: f64 = 0.5;
/// A stamp that is earlier by more than this many periods makes up for one.
const EARLY: f64 = -0.25;
/// For how long after a gap samples may make up for it.
const MAY_CATCH_UP: Seconds = Seconds(1.0);
/// Gaps up to this much longer than any that were made up for are taken for delays, too.
const MARGIN: f64 = 1.25;

/// Tells a sample that is missing from one that is late, at once: filters cannot wait until it is certain.
///
/// A sender that is held up, or stamps whole chunks, leaves gaps in its stamps and makes up for them with the samples that
/// follow, closer together. What was made up for on this connection is known, and no gap as short as that counts. So a
/// stream with clean stamps shows every sample that its device lost, and one whose stamps jump is not taken apart for it.
#[derive(Clone, Debug)]
pub struct StampGaps {
    rate_hz: f64,
    newest: Option<StreamTime>,
    /// Periods that gaps have left open, since when, and how many of them have been made up for.
    open: f64,
    since: StreamTime,
    made_up: f64,
    /// The most that were ever made up for.
    delays: f64,
}

impl StampGaps {
    /// For a stream of this nominal rate.
    pub fn new(rate_hz: f64) -> Self {
        Self { rate_hz, newest: None, open: 0.0, since: StreamTime::default(), made_up: 0.0, delays: 0.0 }
    }

    /// A sample whose stamp means nothing stood here: no gap reaches over it.
    pub fn forget(&mut self) {
        self.newest = None;
        self.open = 0.0;
    }

    /// Samples that are missing before the one with this stamp.
    pub fn before(&mut self, stamp: StreamTime) -> u64 {
        let Some(newest) = self.newest.replace(stamp) else { return 0 };
        let late = (stamp - newest).0 * self.rate_hz - 1.0;
        if self.open > 0.0 && (stamp - self.since).0 > MAY_CATCH_UP.0 {
            self.open = 0.0;
        }
        if late < EARLY {
            let made_up = (-late).min(self.open);
            self.open -= made_up;
            self.made_up += made_up;
            self.delays = self.delays.max(self.made_up);
        }
        if late < GAP {
            return 0;
        }
        if self.open <= 0.0 {
            (self.since, self.made_up) = (stamp, 0.0);
        }
        self.open += late;
        if late <= MARGIN * self.delays { 0 } else { late.round().max(1.0) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(stamps: impl IntoIterator<Item = f64>) -> Vec<u64> {
        let mut gaps = StampGaps::new(1000.0);
        stamps.into_iter().map(|stamp| gaps.before(StreamTime(stamp))).collect()
    }

    #[test]
    fn samples_that_a_device_lost_are_missing() {
        let found =
            gaps((0..100).filter(|index| !(40..43).contains(index)).map(|index| f64::from(index) * 1e-3));
        assert_eq!((found[40], found.iter().sum::<u64>()), (3, 3));
    }

    #[test]
    fn a_sender_that_is_held_up_and_catches_up_is_believed_to_lose_samples_only_once() {
        // chunks of 20 under stamps 0.01 ms apart, every 20 ms
        let stamps = (0..2000).map(|index| f64::from(index / 20) * 0.02 + f64::from(index % 20) * 1e-5);
        let found = gaps(stamps);
        assert!(found[21..].iter().all(|missing| *missing == 0), "{found:?}");
    }

    #[test]
    fn jitter_and_a_crystal_that_is_off_leave_no_gap() {
        let jitter = |index: u32| f64::from(index) * 1e-3 + f64::from(index % 3) * 2e-4;
        assert!(gaps((0..5000).map(jitter)).iter().all(|missing| *missing == 0));
        assert!(gaps((0..5000).map(|index| f64::from(index) / 990.0)).iter().all(|missing| *missing == 0));
    }

    #[test]
    fn a_gap_longer_than_any_delay_counts_in_a_stream_that_is_late_at_times() {
        let mut stamps: Vec<f64> = (0..100).map(|index| f64::from(index) * 1e-3).collect();
        // four periods late, and made up for
        for (index, stamp) in stamps[50..54].iter_mut().enumerate() {
            *stamp = 0.0531 + f64::from(index as u32) * 1e-4;
        }
        stamps.extend((0..100).map(|index| 0.120 + f64::from(index) * 1e-3));
        let found = gaps(stamps);
        assert_eq!((found[50], found[100]), (3, 20), "{found:?}");
        assert_eq!(found.iter().sum::<u64>(), 23);
    }
}
