//! How long each output state was shown: time on the local clock, whether ticks came or not.

use kalmind_types::{LslTime, OutputState};

/// Since when what is shown is shown, and for how long each state was shown before that. Pure: time is handed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateTimes {
    /// The newest change.
    pub(crate) since: LslTime,
    seconds: [f64; OutputState::ALL.len()],
}

impl StateTimes {
    /// Nothing was shown before `now`.
    pub(crate) fn new(now: LslTime) -> Self {
        Self { since: now, seconds: [0.0; OutputState::ALL.len()] }
    }

    /// Something else than `before` is shown from `time` on: since when `before` was, and the time of the change, which is
    /// never before that.
    pub(crate) fn change(&mut self, before: OutputState, time: LslTime) -> (LslTime, LslTime) {
        let since = self.since;
        let time = if time > since { time } else { since };
        self.seconds[usize::from(before.code())] += (time - since).0;
        self.since = time;
        (since, time)
    }

    /// Seconds in each state until `now`, by code, where `shown` is shown now.
    pub(crate) fn seconds(&self, shown: OutputState, now: LslTime) -> [f64; OutputState::ALL.len()] {
        let mut seconds = self.seconds;
        seconds[usize::from(shown.code())] += (now - self.since).0.max(0.0);
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_to_the_whole_and_never_run_backwards() {
        let mut times = StateTimes::new(LslTime(10.0));
        assert_eq!(times.change(OutputState::Idle, LslTime(12.0)), (LslTime(10.0), LslTime(12.0)));
        assert_eq!(times.change(OutputState::Control, LslTime(16.5)), (LslTime(12.0), LslTime(16.5)));
        // told late: the change before is newer
        assert_eq!(times.change(OutputState::Stale, LslTime(16.0)), (LslTime(16.5), LslTime(16.5)));
        let seconds = times.seconds(OutputState::Control, LslTime(17.0));
        let expected = [2.0, 0.0, 5.0, 0.0, 0.0, 0.0];
        assert!(seconds.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12));
        assert!((seconds.iter().sum::<f64>() - 7.0).abs() < 1e-12);
    }
}
