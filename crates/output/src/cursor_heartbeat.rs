//! What the cursor outlets say while there are no ticks: that the cursor stands still.
//!
//! A reader that holds the last sample's velocity would go on for ever. So a sample with velocity 0 goes out at once when a
//! state comes into force in which nothing moves, else when a tick is clearly overdue, and then every 100 ms.

use core::time::Duration;

use kalmind_types::{Heartbeat, LslTime, OutputState, Position, Seconds, TickOutput};

use crate::watchdog::{SILENT_AFTER, TICK_SILENT};

/// Between two heartbeats.
const EVERY: Seconds = Seconds(0.1);
/// A tick is overdue after this long, or a fifth more than a bin where that is longer: always within 250 ms.
const OVERDUE: Seconds = Seconds(0.2);

/// A sample without a tick: velocity 0, no intent, no click, `incomplete`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CursorHeartbeat {
    /// When it is sent: its stamp.
    pub(crate) time: LslTime,
    /// What may move the cursor: nothing, while this is said.
    pub(crate) state: OutputState,
    /// Where the cursor stands.
    pub(crate) position: Position,
    /// The newest tick, if there was one.
    pub(crate) last_seq: Option<u64>,
    /// Presses until the newest tick.
    pub(crate) presses: u64,
    /// Age of the newest sample that was decoded; 0 before the first.
    pub(crate) age_ms: f64,
}

/// Decides when the outlets need a heartbeat, and what stands in it. Pure: time is handed in.
#[derive(Debug)]
pub(crate) struct CursorHeartbeats {
    overdue: Seconds,
    /// When the newest sample was sent, and how long none need follow.
    sent: LslTime,
    rests: Seconds,
    /// When the tick thread was last heard of.
    heard: Option<LslTime>,
    /// The state in the newest sample.
    said: Option<OutputState>,
    state: OutputState,
    position: Position,
    last_seq: Option<u64>,
    presses: u64,
    newest: Option<LslTime>,
}

impl CursorHeartbeats {
    /// Nothing was sent yet; the cursor stands at `position`.
    pub(crate) fn new(bin: Seconds, position: Position, now: LslTime) -> Self {
        let overdue = Seconds(OVERDUE.0.max(1.2 * bin.0));
        Self {
            overdue,
            sent: now,
            rests: overdue,
            heard: None,
            said: None,
            state: OutputState::Idle,
            position,
            last_seq: None,
            presses: 0,
            newest: None,
        }
    }

    /// A tick was sent.
    pub(crate) fn tick(&mut self, output: &TickOutput, now: LslTime) {
        self.heard = Some(now);
        self.sent = now;
        self.rests = self.overdue;
        self.state = output.state;
        self.said = Some(output.state);
        self.position = output.position;
        self.last_seq = Some(output.seq);
        self.presses = output.click.map_or(self.presses, |click| click.presses);
        // as of a tick: a bin without samples is as old as its end
        self.newest = output.newest.or(self.newest).or(Some(output.time));
    }

    /// The tick thread gave a sign of life; whether the outlets have to say so at once.
    pub(crate) fn heartbeat(&mut self, heartbeat: &Heartbeat, now: LslTime) -> bool {
        self.heard = Some(now);
        self.state = heartbeat.state;
        self.position = heartbeat.position;
        !self.state.moves() && self.said != Some(self.state)
    }

    /// Whether a heartbeat is due without any other cause.
    pub(crate) fn due(&self, now: LslTime) -> bool {
        // a microsecond less: sums of times are rounded
        (now - self.sent).0 >= self.rests.0 - 1e-6
    }

    /// The heartbeat to be sent now; then it counts as sent.
    pub(crate) fn take(&mut self, now: LslTime) -> CursorHeartbeat {
        if self.heard.is_some_and(|heard| (now - heard).0 >= SILENT_AFTER.0) {
            self.state = TICK_SILENT.0;
        }
        self.sent = now;
        self.rests = EVERY;
        self.said = Some(self.state);
        CursorHeartbeat {
            time: now,
            state: self.state,
            position: self.position,
            last_seq: self.last_seq,
            presses: self.presses,
            age_ms: self.newest.map_or(0.0, |newest| (now - newest).as_millis()),
        }
    }

    /// How long nothing will be due.
    pub(crate) fn wait(&self, now: LslTime) -> Duration {
        Duration::from_secs_f64((self.rests.0 - (now - self.sent).0).clamp(0.0, self.rests.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeats() -> CursorHeartbeats {
        CursorHeartbeats::new(Seconds(0.02), Position([0.5, 0.5]), LslTime(9.0))
    }

    fn tick(seq: u64, state: OutputState) -> TickOutput {
        TickOutput {
            newest: Some(LslTime(9.998)),
            state,
            position: Position([0.25, 0.75]),
            velocity: kalmind_types::Velocity([0.3, -0.3]),
            free_velocity: kalmind_types::Velocity([0.3, -0.3]),
            ..TickOutput::neutral(seq, LslTime(9.999))
        }
    }

    fn sign(time: f64, state: OutputState) -> Heartbeat {
        Heartbeat {
            time: LslTime(time),
            state,
            reason: None,
            last_seq: Some(7),
            position: Position([0.25, 0.75]),
        }
    }

    /// Times, to the millisecond, at which heartbeats go out until `end`, the tick thread silent.
    fn sent(heartbeats: &mut CursorHeartbeats, from_ms: u32, end_ms: u32) -> Vec<(u32, OutputState)> {
        (from_ms..end_ms)
            .filter_map(|ms| {
                let now = LslTime(10.0 + f64::from(ms) * 1e-3 + 1e-9);
                heartbeats.due(now).then(|| (ms, heartbeats.take(now).state))
            })
            .collect()
    }

    #[test]
    fn a_tick_that_is_overdue_is_followed_by_heartbeats_and_by_fault_after_a_second() {
        let mut heartbeats = heartbeats();
        heartbeats.tick(&tick(7, OutputState::Control), LslTime(10.0));
        let sent = sent(&mut heartbeats, 0, 1250);
        let times: Vec<u32> = sent.iter().map(|(ms, _)| *ms).collect();
        assert_eq!(times, [200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200]);
        assert!(sent.iter().all(|(ms, state)| (*state == OutputState::Fault) == (*ms >= 1000)), "{sent:?}");
    }

    #[test]
    fn ticks_in_time_leave_nothing_to_say_whatever_the_bin() {
        for bin_ms in [1, 20, 50, 100, 200] {
            let bin = Seconds::from_millis(f64::from(bin_ms));
            let mut heartbeats = CursorHeartbeats::new(bin, Position([0.5, 0.5]), LslTime(10.0));
            for number in 1..20 {
                let now = LslTime(10.0 + f64::from(number * bin_ms) * 1e-3);
                assert!(!heartbeats.due(LslTime(now.0 - 1e-6)), "bins of {bin_ms} ms");
                heartbeats.tick(&tick(7, OutputState::Control), now);
            }
            assert!(heartbeats.rests.0 < 0.25);
        }
    }

    #[test]
    fn a_state_that_does_not_move_is_said_at_once_and_once() {
        let mut heartbeats = heartbeats();
        heartbeats.tick(&tick(7, OutputState::Control), LslTime(10.0));
        assert!(!heartbeats.heartbeat(&sign(10.1, OutputState::Control), LslTime(10.1)));
        let now = LslTime(10.12);
        assert!(heartbeats.heartbeat(&sign(10.12, OutputState::Stale), now));
        let said = heartbeats.take(now);
        let expected = CursorHeartbeat {
            time: now,
            state: OutputState::Stale,
            position: Position([0.25, 0.75]),
            last_seq: Some(7),
            presses: 0,
            age_ms: said.age_ms,
        };
        assert_eq!(said, expected);
        assert!((said.age_ms - 122.0).abs() < 1e-6);
        assert!(!heartbeats.heartbeat(&sign(10.15, OutputState::Stale), LslTime(10.15)));
        assert!(heartbeats.heartbeat(&sign(10.16, OutputState::Hold), LslTime(10.16)));
    }

    #[test]
    fn before_the_first_tick_readers_are_shown_the_state_without_a_seq() {
        let mut heartbeats = heartbeats();
        assert!(heartbeats.heartbeat(&sign(9.1, OutputState::Hold), LslTime(9.1)));
        assert_eq!(heartbeats.take(LslTime(9.1)).last_seq, None);
        // a thread that has not started is not silent
        let mut unstarted = CursorHeartbeats::new(Seconds(0.02), Position([0.5, 0.5]), LslTime(9.0));
        assert_eq!(unstarted.take(LslTime(99.0)).state, OutputState::Idle);
    }
}
