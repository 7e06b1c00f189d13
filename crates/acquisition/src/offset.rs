//! The offset of the sender's clock: where it is kept, and how it is estimated where the sender's clock is its own.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use kalmind_types::{ClockOffset, LslTime, Seconds, StreamTime};

/// The newest measurement, written by the companion thread and read by the data thread without ever waiting.
#[derive(Debug, Default)]
pub(crate) struct SharedOffset(Mutex<Measured>);

#[derive(Debug, Default)]
struct Measured {
    /// The machine whose clock it is.
    hostname: Option<String>,
    offset: Option<ClockOffset>,
}

impl SharedOffset {
    /// From now on the clock of this machine is meant: what was measured of another one is forgotten.
    pub(crate) fn turn_to(&self, hostname: &str) {
        let mut measured = self.measured();
        if measured.hostname.as_deref() != Some(hostname) {
            *measured = Measured { hostname: Some(hostname.to_owned()), offset: None };
        }
    }

    /// Publishes a measurement of this machine's clock; `false` where another one's is meant by now.
    pub(crate) fn set(&self, hostname: &str, offset: ClockOffset) -> bool {
        let mut measured = self.measured();
        let is_meant = measured.hostname.as_deref() == Some(hostname);
        if is_meant {
            measured.offset = Some(offset);
        }
        is_meant
    }

    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest measurement, into `known`; it stays as it was where the other side is writing at this moment.
    pub(crate) fn refresh(&self, known: &mut Option<ClockOffset>) {
        match self.0.try_lock() {
            Ok(measured) => *known = measured.offset,
            Err(TryLockError::Poisoned(poisoned)) => *known = poisoned.into_inner().offset,
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// Maps a clock that nobody can measure (Unix time, a device's own) to this machine's by when samples arrive.
///
/// The offset is the least (arrival - stamp) seen, that of the sample that was under way for the shortest time; it
/// rises by at most 1 ms/s, which follows any drift of a crystal and hardly any delay. So delays still show as age, and
/// a burst after a pause, however long, is still recognised as old. It starts anew when the stamps run backwards: the
/// sender's clock was set or its counter restarted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ArrivalOffset {
    state: Option<Arrived>,
}

#[derive(Clone, Copy, Debug)]
struct Arrived {
    offset: f64,
    stamp: StreamTime,
    arrival: LslTime,
}

/// How fast the offset may rise, in seconds per second.
const DRIFT: f64 = 1e-3;
/// Stamps that run backwards further than this are on a clock that was set.
const SET_BACK: Seconds = Seconds(1.0);

impl ArrivalOffset {
    /// A sample stamped `stamp` arrived at `arrival`; the offset in force from it on.
    pub(crate) fn observe(&mut self, stamp: StreamTime, arrival: LslTime) -> Seconds {
        let seen = arrival.0 - stamp.0;
        let offset = match self.state {
            Some(before) if (stamp - before.stamp).0 > -SET_BACK.0 => {
                seen.min(before.offset + DRIFT * (arrival - before.arrival).0.max(0.0))
            }
            _ => seen,
        };
        self.state = Some(Arrived { offset, stamp, arrival });
        Seconds(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_delay_sets_the_offset() {
        let mut offset = ArrivalOffset::default();
        offset.observe(StreamTime(1000.0), LslTime(50.020));
        offset.observe(StreamTime(1000.1), LslTime(50.101));
        let now = offset.observe(StreamTime(1000.2), LslTime(50.230));
        assert!((now.0 - -949.999).abs() < 2e-4, "{now:?}");
    }

    #[test]
    fn a_burst_after_a_pause_keeps_its_age() {
        let mut offset = ArrivalOffset::default();
        offset.observe(StreamTime(1000.0), LslTime(50.0));
        let after = offset.observe(StreamTime(1000.02), LslTime(82.0));
        let age = LslTime(82.0) - StreamTime(1000.02).corrected(after);
        assert!(age.0 > 31.9, "{age:?}");
    }

    #[test]
    fn a_drifting_crystal_is_followed() {
        let mut offset = ArrivalOffset::default();
        let mut age = Seconds(0.0);
        for index in 0..60_000 {
            let arrival = LslTime(50.0 + f64::from(index) * 0.02);
            // 100 ppm slow, for twenty minutes
            let stamp = StreamTime(1000.0 + f64::from(index) * 0.02 * (1.0 - 1e-4));
            age = arrival - stamp.corrected(offset.observe(stamp, arrival));
        }
        assert!(age.0.abs() < 1e-6, "{age:?}");
    }

    #[test]
    fn a_clock_that_was_set_starts_anew() {
        let mut offset = ArrivalOffset::default();
        offset.observe(StreamTime(1000.0), LslTime(50.0));
        let after = offset.observe(StreamTime(1.0), LslTime(50.02));
        assert!((after.0 - 49.02).abs() < 1e-9);
    }

    #[test]
    fn the_newest_measurement_is_seen() {
        let shared = SharedOffset::default();
        let mut known = None;
        shared.refresh(&mut known);
        assert_eq!(known, None);
        let measured = ClockOffset { offset: Seconds(1.5), uncertainty: Seconds(0.001) };
        shared.turn_to("lab");
        assert!(shared.set("lab", measured));
        shared.refresh(&mut known);
        assert_eq!(known, Some(measured));
        shared.turn_to("lab");
        shared.refresh(&mut known);
        assert_eq!(known, Some(measured), "one machine, one clock");
    }

    #[test]
    fn a_measurement_of_one_machine_is_none_of_another() {
        let shared = SharedOffset::default();
        let measured = ClockOffset { offset: Seconds(1.5), uncertainty: Seconds(0.001) };
        shared.turn_to("one");
        assert!(shared.set("one", measured));
        shared.turn_to("other");
        // it was under way
        assert!(!shared.set("one", measured));
        let mut known = Some(measured);
        shared.refresh(&mut known);
        assert_eq!(known, None);
    }
}
