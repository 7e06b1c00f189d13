//! Decides what becomes of each sample: delivered, old, on a foreign clock; and counts what never came. Pure.

use kalmind_types::{ClockOffset, LslTime, Seconds, StreamTime};

use crate::health::{Fate, MonitorLimits};
use crate::inlet::ClockSource;
use crate::offset::ArrivalOffset;

/// What was found out about one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sorted {
    pub(crate) fate: Fate,
    /// Samples that its stamp says were never delivered before it.
    pub(crate) missing: u64,
    /// Its stamp on the LSL clock.
    pub(crate) corrected: LslTime,
    /// The offset that the correction used.
    pub(crate) clock: ClockOffset,
}

/// Sorts the samples of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Sorter {
    backlog: Seconds,
    bad_clock: Seconds,
    /// 0: irregular.
    nominal_rate_hz: f64,
    source: ClockSource,
    arrival: ArrivalOffset,
    /// Whether the sender's clock needs no measurement to be usable: it runs on this machine.
    same_machine: bool,
    /// Whether a sample of this connection was on a good clock: from then on a stamp far in the past is old data.
    good_clock_seen: bool,
    newest_stamp: Option<StreamTime>,
}

impl Sorter {
    pub(crate) fn new(
        limits: &MonitorLimits,
        nominal_rate_hz: f64,
        source: ClockSource,
        same_machine: bool,
    ) -> Self {
        Self {
            backlog: Seconds::from_millis(limits.backlog_ms),
            bad_clock: Seconds::from_millis(limits.bad_clock_ms),
            nominal_rate_hz,
            source,
            arrival: ArrivalOffset::default(),
            same_machine,
            good_clock_seen: false,
            newest_stamp: None,
        }
    }

    /// Goes on with the stamps of a connection before, to the same outlet.
    pub(crate) fn continues(mut self, newest_stamp: Option<StreamTime>) -> Self {
        self.newest_stamp = newest_stamp;
        self
    }

    /// The newest stamp so far.
    pub(crate) fn newest_stamp(&self) -> Option<StreamTime> {
        self.newest_stamp
    }

    /// Sorts the sample stamped `stamp`, pulled at `arrival`, with the newest measured offset.
    pub(crate) fn sort(
        &mut self,
        stamp: StreamTime,
        arrival: LslTime,
        measured: Option<ClockOffset>,
    ) -> Sorted {
        if !stamp.0.is_finite() {
            return Sorted {
                fate: Fate::BadClock,
                missing: 0,
                corrected: arrival,
                clock: measured.unwrap_or_default(),
            };
        }
        let clock = match self.source {
            ClockSource::Sender => measured.unwrap_or_default(),
            ClockSource::Arrival => {
                ClockOffset { offset: self.arrival.observe(stamp, arrival), uncertainty: Seconds(0.0) }
            }
        };
        let corrected = stamp.corrected(clock.offset);
        let fate = self.fate(arrival - corrected, measured.is_some());
        let missing = self.missing_before(stamp);
        self.newest_stamp = Some(self.newest_stamp.map_or(stamp, |newest| StreamTime(newest.0.max(stamp.0))));
        Sorted { fate, missing, corrected, clock }
    }

    fn fate(&mut self, age: Seconds, measured: bool) -> Fate {
        if self.source == ClockSource::Sender {
            if !measured && !self.same_machine {
                return Fate::Unmeasured;
            }
            if age.0 < -self.bad_clock.0 || (age.0 > self.bad_clock.0 && !self.good_clock_seen) {
                return Fate::BadClock;
            }
            self.good_clock_seen = true;
        }
        if age.0 > self.backlog.0 { Fate::Backlog } else { Fate::Deliver }
    }

    /// round(dt * rate) - 1, for regular streams.
    fn missing_before(&self, stamp: StreamTime) -> u64 {
        match self.newest_stamp {
            Some(newest) if self.nominal_rate_hz > 0.0 => {
                ((stamp - newest).0 * self.nominal_rate_hz - 1.0).round().max(0.0) as u64
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorter(source: ClockSource, same_machine: bool) -> Sorter {
        Sorter::new(&MonitorLimits::default(), 50.0, source, same_machine)
    }

    fn offset(seconds: f64) -> ClockOffset {
        ClockOffset { offset: Seconds(seconds), uncertainty: Seconds(1e-4) }
    }

    #[test]
    fn a_fresh_sample_of_this_machine_is_delivered_before_any_measurement() {
        let sorted = sorter(ClockSource::Sender, true).sort(StreamTime(99.999), LslTime(100.0), None);
        assert_eq!(sorted.fate, Fate::Deliver);
        assert_eq!(sorted.corrected, LslTime(99.999));
    }

    #[test]
    fn another_machine_has_to_be_measured_first() {
        let mut sorter = sorter(ClockSource::Sender, false);
        assert_eq!(sorter.sort(StreamTime(99.999), LslTime(100.0), None).fate, Fate::Unmeasured);
        let sorted = sorter.sort(StreamTime(5000.0), LslTime(100.02), Some(offset(-4900.0)));
        assert_eq!(sorted.fate, Fate::Deliver);
        assert!((sorted.corrected.0 - 100.0).abs() < 1e-9);
    }

    #[test]
    fn old_samples_are_backlog_up_to_any_age_once_the_clock_was_good() {
        let mut sorter = sorter(ClockSource::Sender, true);
        assert_eq!(sorter.sort(StreamTime(100.0), LslTime(100.0), None).fate, Fate::Deliver);
        assert_eq!(sorter.sort(StreamTime(100.02), LslTime(160.0), None).fate, Fate::Backlog);
        assert_eq!(sorter.sort(StreamTime(159.84), LslTime(160.0), None).fate, Fate::Backlog);
        assert_eq!(sorter.sort(StreamTime(159.86), LslTime(160.0), None).fate, Fate::Deliver);
    }

    #[test]
    fn unix_stamps_are_a_bad_clock_and_so_are_device_stamps_and_nan() {
        let mut sorter = sorter(ClockSource::Sender, true);
        for stamp in [1.7e9, 3.0, f64::NAN, f64::INFINITY] {
            assert_eq!(sorter.sort(StreamTime(stamp), LslTime(100.0), None).fate, Fate::BadClock, "{stamp}");
        }
    }

    #[test]
    fn arrival_takes_unix_stamps_and_still_sees_backlog() {
        let mut sorter = sorter(ClockSource::Arrival, true);
        let first = sorter.sort(StreamTime(1.7e9), LslTime(100.0), Some(offset(0.0)));
        assert_eq!((first.fate, first.corrected), (Fate::Deliver, LslTime(100.0)));
        let old = sorter.sort(StreamTime(1.7e9 + 0.02), LslTime(101.0), Some(offset(0.0)));
        assert_eq!(old.fate, Fate::Backlog);
        let fresh = sorter.sort(StreamTime(1.7e9 + 1.0), LslTime(101.0), Some(offset(0.0)));
        assert_eq!(fresh.fate, Fate::Deliver);
    }

    #[test]
    fn infinite_limits_deliver_everything() {
        let limits = MonitorLimits {
            backlog_ms: f64::INFINITY,
            bad_clock_ms: f64::INFINITY,
            ..MonitorLimits::default()
        };
        let mut sorter = Sorter::new(&limits, 50.0, ClockSource::Sender, true);
        for stamp in [1.0, 1.7e9, 99.0] {
            assert_eq!(sorter.sort(StreamTime(stamp), LslTime(100.0), None).fate, Fate::Deliver);
        }
    }

    #[test]
    fn skipped_samples_are_counted_as_missing() {
        let mut sorter = sorter(ClockSource::Sender, true);
        let missing: Vec<_> = [0.0, 0.02, 0.041, 0.10, 0.12, 0.11, 0.14, 1.14]
            .into_iter()
            .map(|at| sorter.sort(StreamTime(100.0 + at), LslTime(100.0 + at), None).missing)
            .collect();
        assert_eq!(missing, [0, 0, 0, 2, 0, 0, 0, 49]);
    }

    #[test]
    fn an_irregular_stream_misses_nothing() {
        let mut sorter = Sorter::new(&MonitorLimits::default(), 0.0, ClockSource::Sender, true);
        sorter.sort(StreamTime(1.0), LslTime(1.0), None);
        assert_eq!(sorter.sort(StreamTime(9.0), LslTime(9.0), None).missing, 0);
    }
}
