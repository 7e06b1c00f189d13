//! Time as a task counts it, so that the page and the task's own score say the same: a trial's clock stands still while the
//! cursor may not move.

use kalmind_session::seconds_that_count;
use kalmind_types::{LslTime, OutputState};

/// What rounding of an event's time in a file may take from it, in seconds.
const ROUNDING_S: f64 = 1e-6;

/// The seconds that counted up to each tick.
#[derive(Debug, Default)]
pub(super) struct TaskTime {
    /// Time of each tick, and the seconds that counted until then.
    ticks: Vec<(f64, f64)>,
}

impl TaskTime {
    /// Takes the next tick and the state that was published of it.
    pub(super) fn take(&mut self, time: LslTime, state: OutputState) {
        let (last, sum) = self.ticks.last().copied().unwrap_or((time.0, 0.0));
        let counted = seconds_that_count(LslTime(last), time, state).unwrap_or_default();
        self.ticks.push((time.0, sum + counted));
    }

    /// Seconds that counted from one event to another, both at ticks.
    pub(super) fn between(&self, from: f64, to: f64) -> f64 {
        let until = |time: f64| {
            let ticks = self.ticks.partition_point(|(tick, _)| *tick <= time + ROUNDING_S);
            ticks.checked_sub(1).and_then(|last| self.ticks.get(last)).map_or(0.0, |(_, sum)| *sum)
        };
        until(to) - until(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_hold_does_not_count() {
        let mut time = TaskTime::default();
        for tick in 0..=10 {
            let state = if (3..=6).contains(&tick) { OutputState::Hold } else { OutputState::Control };
            time.take(LslTime(100.0 + 0.1 * f64::from(tick)), state);
        }
        assert!((time.between(100.1, 100.8) - 0.3).abs() < 1e-9, "{}", time.between(100.1, 100.8));
        assert!((time.between(100.0, 101.0) - 0.6).abs() < 1e-9);
        assert!(time.between(0.0, 50.0).abs() < 1e-9);
    }
}
