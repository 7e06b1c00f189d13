//! Decides what becomes of each sample: delivered, old, on a foreign clock; and counts what never came. Pure.

use kalmind_types::{ClockOffset, LslTime, Seconds, StreamTime};

use crate::health::{Fate, MonitorLimits};
use crate::numeric::config::ClockSource;
use crate::offset::ArrivalOffset;

/// What was found out about one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sorted {
    pub(crate) fate: Fate,
    /// Samples that, as is certain now, were never delivered before it.
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
    /// Samples, in fractions, that gaps have left open and nothing has made up for yet.
    owed: f64,
    /// The end of the first gap that left them open.
    owed_since: StreamTime,
    /// The least that was owed since then: jitter goes through zero, a loss does not.
    owed_at_least: f64,
}

/// A stamp that is later by at least this many periods than the regular one leaves a gap.
const GAP: f64 = 0.5;
/// A stamp that is earlier by more than this many periods makes up for one; less is jitter or a rate a little off.
const EARLY: f64 = -0.25;
/// For how long after a gap samples may make up for it.
const MAY_CATCH_UP: Seconds = Seconds(1.0);

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
            owed: 0.0,
            owed_since: StreamTime::default(),
            owed_at_least: 0.0,
        }
    }

    /// Goes on with the stamps of a connection before, to the same outlet.
    pub(crate) fn continues(mut self, newest_stamp: Option<StreamTime>) -> Self {
        self.newest_stamp = newest_stamp;
        self
    }

    /// Samples older than this are dropped from now on.
    pub(crate) fn set_backlog(&mut self, backlog_ms: f64) {
        self.backlog = Seconds::from_millis(backlog_ms);
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
            self.refuse();
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
        if fate == Fate::BadClock {
            // what its stamps leave out says nothing about what was sent
            self.refuse();
            return Sorted { fate, missing: 0, corrected, clock };
        }
        let missing = self.missing_until(stamp);
        self.newest_stamp = Some(self.newest_stamp.map_or(stamp, |newest| StreamTime(newest.0.max(stamp.0))));
        Sorted { fate, missing, corrected, clock }
    }

    /// A sample whose stamp means nothing stood here: no gap reaches over it.
    fn refuse(&mut self) {
        self.newest_stamp = None;
        self.owed = 0.0;
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

    /// Samples that turn out never to have been delivered, for regular streams: round(dt * rate) - 1 for each gap, less
    /// what comes early within a second after it. A sender that was held up and catches up, or that gives a whole chunk
    /// one stamp, misses nothing.
    fn missing_until(&mut self, stamp: StreamTime) -> u64 {
        let Some(newest) = self.newest_stamp.filter(|_| self.nominal_rate_hz > 0.0) else { return 0 };
        let late = ((stamp - newest).0 * self.nominal_rate_hz - 1.0).max(-1.0);
        if late >= GAP {
            if self.owed <= 0.0 {
                self.owed_since = stamp;
                self.owed_at_least = f64::INFINITY;
            }
            self.owed += late;
        } else if late < EARLY {
            self.owed = (self.owed + late).max(0.0);
        }
        self.owed_at_least = self.owed_at_least.min(self.owed);
        if self.owed <= 0.0 || (stamp - self.owed_since).0 < MAY_CATCH_UP.0 {
            return 0;
        }
        // what was owed all the time; a later gap has a second of its own
        let missing = self.owed_at_least.round();
        self.owed -= missing;
        (self.owed_since, self.owed_at_least) = (stamp, self.owed);
        missing as u64
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

    /// What is missing in all after a stream of 50 Hz with these stamps.
    fn missing(stamps: impl IntoIterator<Item = f64>) -> u64 {
        let mut sorter = sorter(ClockSource::Sender, true);
        stamps.into_iter().map(|stamp| sorter.sort(StreamTime(stamp), LslTime(stamp), None).missing).sum()
    }

    /// Two hundred regular stamps, so that every gap before them is decided.
    fn afterwards(from: f64) -> impl Iterator<Item = f64> {
        (1..200).map(move |index| from + f64::from(index) * 0.02)
    }

    #[test]
    fn skipped_samples_are_counted_as_missing() {
        assert_eq!(missing([10.0, 10.02, 10.041, 10.10, 10.12].into_iter().chain(afterwards(10.12))), 2);
        assert_eq!(missing([10.0, 11.0].into_iter().chain(afterwards(11.0))), 49);
        assert_eq!(missing([10.0, 10.06, 10.12, 10.16].into_iter().chain(afterwards(10.16))), 5);
    }

    #[test]
    fn a_gap_counts_only_when_nothing_made_up_for_it_within_a_second() {
        assert_eq!(missing([10.0, 10.10].into_iter().chain(afterwards(10.10).take(40))), 0);
        assert_eq!(missing([10.0, 10.10].into_iter().chain(afterwards(10.10).take(60))), 4);
    }

    #[test]
    fn a_sender_that_catches_up_misses_nothing() {
        // held up for four periods, then four at once
        let caught_up = [10.0, 10.10, 10.1001, 10.1002, 10.1003, 10.1004];
        assert_eq!(missing(caught_up.into_iter().chain(afterwards(10.10))), 0);
        // chunks of ten under one stamp
        assert_eq!(missing((0..500).map(|index| 10.0 + f64::from(index / 10) * 0.2)), 0);
        // the same with stamps that advance a little within a chunk
        let chunked = |index: u32| 10.0 + f64::from(index / 10) * 0.2 + f64::from(index % 10) * 1e-5;
        assert_eq!(missing((0..5000).map(chunked)), 0);
        // stamped by a busy machine: a third of a period early or late, in turn
        assert_eq!(
            missing((0..500).map(|index| 10.0 + f64::from(index) * 0.02 + f64::from(index % 2) * 0.0066)),
            0
        );
    }

    #[test]
    fn a_crystal_that_is_off_misses_nothing() {
        for rate in [49.5, 50.5] {
            assert_eq!(missing((0..5000).map(|index| 10.0 + f64::from(index) / rate)), 0, "{rate} Hz");
        }
    }

    #[test]
    fn gaps_between_refused_stamps_are_not_missing() {
        let mut sorter = sorter(ClockSource::Sender, true);
        let mut missing = 0;
        let mut sort = |stamp: f64, arrival: f64| {
            let sorted = sorter.sort(StreamTime(stamp), LslTime(arrival), None);
            missing += sorted.missing;
            sorted.fate
        };
        // Unix time with gaps of its own, then stamps of our clock, a jump into Unix time, and back
        for index in 0..300 {
            assert_eq!(sort(1.7e9 + f64::from(index) * 3.0, 10.0 + f64::from(index) * 0.02), Fate::BadClock);
        }
        for index in 300..600 {
            let now = 10.0 + f64::from(index) * 0.02;
            let stamp = if (400..450).contains(&index) { 1.7e9 + now } else { now };
            let expected = if stamp > 1e9 { Fate::BadClock } else { Fate::Deliver };
            assert_eq!(sort(stamp, now), expected, "{index}");
        }
        assert_eq!(sort(f64::NAN, 22.0), Fate::BadClock);
        assert_eq!(missing, 0);
    }

    #[test]
    fn an_irregular_stream_misses_nothing() {
        let mut sorter = Sorter::new(&MonitorLimits::default(), 0.0, ClockSource::Sender, true);
        sorter.sort(StreamTime(1.0), LslTime(1.0), None);
        assert_eq!(sorter.sort(StreamTime(9.0), LslTime(9.0), None).missing, 0);
    }
}
