//! How long a session was in which state.

use kalmind_types::OutputState;

/// When which state was shown: as the events say, which are told when it happens; where a recording has none, as the ticks say.
#[derive(Clone, Debug)]
pub(super) struct StateHistory {
    pub(super) begin: f64,
    pub(super) start: OutputState,
    pub(super) events: Vec<(f64, OutputState)>,
    pub(super) ticks: Vec<(f64, OutputState)>,
    /// The newest time of all.
    pub(super) end: f64,
}

impl StateHistory {
    /// Seconds in each state, by code, and each stay in `stale`.
    pub(super) fn times(&self) -> ([f64; 6], Vec<f64>) {
        let changes = if self.events.is_empty() { &self.ticks } else { &self.events };
        let (mut seconds, mut stale, mut stay) = ([0.0; 6], Vec::new(), 0.0);
        let (mut since, mut state) = (self.begin, self.start);
        let end = [(self.end, OutputState::Idle)];
        for (index, (time, next)) in changes.iter().chain(&end).enumerate() {
            // a damaged recording may hold any time
            let time = time.clamp(since, self.end.max(since));
            seconds[usize::from(state.code())] += time - since;
            if state == OutputState::Stale {
                stay += time - since;
            }
            if stay > 0.0 && (*next != OutputState::Stale || index == changes.len()) {
                stale.push(core::mem::take(&mut stay));
            }
            (since, state) = (time, *next);
        }
        (seconds, stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_a_state_is_time_whether_ticks_came_or_not() {
        use OutputState::{Control, Hold, Stale};
        let history = StateHistory {
            begin: 100.0,
            start: Control,
            events: vec![(103.0, Stale), (107.0, Stale), (108.0, Control), (110.0, Stale), (110.5, Hold)],
            ticks: vec![(100.1, Control), (108.0, Stale), (108.02, Control)],
            end: 112.0,
        };
        assert_eq!(history.times(), ([0.0, 0.0, 5.0, 1.5, 5.5, 0.0], vec![5.0, 0.5]));
        // an older recording has no such events
        let (seconds, _) = StateHistory { events: Vec::new(), ..history.clone() }.times();
        assert!((seconds.iter().sum::<f64>() - 12.0).abs() < 1e-9, "{seconds:?}");
        // still stale at the end
        let open = StateHistory { events: vec![(103.0, Stale)], ..history };
        assert_eq!(open.times().1, [9.0]);
    }
}
