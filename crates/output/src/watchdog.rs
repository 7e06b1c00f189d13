//! Decides when the hub has to speak in the tick thread's place. Pure: time is handed in.

use core::time::Duration;

use kalmind_types::{Actor, Cause, LslTime, OutputState, Reason, Seconds};

/// After this long without a publication the hub repeats what it knows: a little over the tick thread's own 100 ms, so
/// that the two do not both speak.
const REPEAT_AFTER: Seconds = Seconds(0.110);
/// After this long without a publication the tick thread counts as silent.
pub(crate) const SILENT_AFTER: Seconds = Seconds(1.0);

/// Before the first publication it may take this long: the daemon is starting.
const STARTS_WITHIN: Seconds = Seconds(10.0);

/// What clients are shown while the tick thread is silent.
pub(crate) const TICK_SILENT: (OutputState, Option<Reason>) =
    (OutputState::Fault, Some(Reason { cause: Cause::TickSilent, by: Actor::Daemon }));

/// What the hub has to say by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// The newest known state once more.
    Repeat,
    /// The tick thread is silent.
    Silent,
}

/// Decides when the hub has to speak by itself. Pure: time is handed in.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// When the tick thread counts as silent.
    silent_at: LslTime,
    spoke: LslTime,
}

impl Watchdog {
    pub(crate) fn new(now: LslTime) -> Self {
        Self { silent_at: now + STARTS_WITHIN, spoke: now }
    }

    /// A publication came.
    pub(crate) fn heard(&mut self, now: LslTime) {
        self.silent_at = now + SILENT_AFTER;
        self.spoke = now;
    }

    /// What to say now, if anything; then it has been said.
    pub(crate) fn due(&mut self, now: LslTime) -> Option<Beat> {
        if (now - self.spoke).0 < REPEAT_AFTER.0 {
            return None;
        }
        self.spoke = now;
        Some(if now < self.silent_at { Beat::Repeat } else { Beat::Silent })
    }

    /// How long nothing will be due.
    pub(crate) fn wait(&self, now: LslTime) -> Duration {
        let left = REPEAT_AFTER.0 - (now - self.spoke).0;
        // half a millisecond more, so that the wake-up finds it due
        Duration::from_secs_f64(left.clamp(0.0, REPEAT_AFTER.0) + 0.000_5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_is_quiet_while_publications_come() {
        let mut watchdog = Watchdog::new(LslTime(5.0));
        for step in 1..100 {
            let now = LslTime(5.0 + 0.1 * f64::from(step));
            assert_eq!(watchdog.due(now), None);
            watchdog.heard(now);
        }
    }

    #[test]
    fn watchdog_repeats_then_reports_silence_and_recovers() {
        let mut watchdog = Watchdog::new(LslTime(4.0));
        watchdog.heard(LslTime(5.0));
        let beats: Vec<_> =
            (1..=1300).filter_map(|step| watchdog.due(LslTime(5.0 + 0.001 * f64::from(step)))).collect();
        let repeats = beats.iter().take_while(|beat| **beat == Beat::Repeat).count();
        assert_eq!(repeats, 9);
        assert!(beats[repeats..].iter().all(|beat| *beat == Beat::Silent));
        assert!(beats.len() > repeats);
        watchdog.heard(LslTime(6.4));
        assert_eq!(watchdog.due(LslTime(6.45)), None);
        assert_eq!(watchdog.due(LslTime(6.52)), Some(Beat::Repeat));
    }

    #[test]
    fn watchdog_waits_no_longer_than_it_is_quiet() {
        let watchdog = Watchdog::new(LslTime(5.0));
        assert_eq!(watchdog.wait(LslTime(5.0)), Duration::from_secs_f64(0.1105));
        assert_eq!(watchdog.wait(LslTime(9.0)), Duration::from_secs_f64(0.0005));
    }

    #[test]
    fn a_tick_thread_that_has_not_started_has_more_time() {
        let mut watchdog = Watchdog::new(LslTime(5.0));
        let beats: Vec<_> =
            (1..=50).filter_map(|step| watchdog.due(LslTime(5.0 + 0.1 * f64::from(step)))).collect();
        assert!(beats.len() > 20 && beats.iter().all(|beat| *beat == Beat::Repeat));
        assert_eq!(watchdog.due(LslTime(15.1)), Some(Beat::Silent));
    }
}
