//! The cursor: position from intent by gain, smoothing and limits.
//!
//! *Invariant:* whatever comes in, position stays in the workspace, speed at most `max_speed`, and both are finite.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick; an index here is an axis, 0 or 1, of arrays of two"
)]

use kalmind_types::{Assistance, CursorTuning, Position, Seconds, Velocity};
use serde::{Deserialize, Serialize};

/// How intent becomes movement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CursorSettings {
    /// Which intent components move x and y.
    pub components: [usize; 2],
    /// Workspace widths per second of cursor for one unit of intent, for x and y.
    pub gain: [f64; 2],
    /// Time constant of the first-order low-pass over velocity; zero for none.
    pub smoothing: Seconds,
    /// Speed limit, in workspace widths per second.
    pub max_speed: f64,
    /// Height of the workspace in widths.
    pub height: f64,
    /// Where the cursor starts.
    pub start: Position,
    /// How long the gain takes from zero to full after a restart or a resume.
    pub ramp: Seconds,
}

impl Default for CursorSettings {
    fn default() -> Self {
        Self {
            components: [0, 1],
            gain: [1.0, 1.0],
            smoothing: Seconds(0.0),
            max_speed: 1.0,
            height: 1.0,
            start: Position([0.5, 0.5]),
            ramp: Seconds(0.3),
        }
    }
}

/// Position, smoothed velocity and where the gain's ramp stands.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    settings: CursorSettings,
    /// What an operator made of them since.
    tuning: CursorTuning,
    position: Position,
    smoothed: Velocity,
    /// What the newest movement would have been without edges.
    free: Velocity,
    since_ramp: Seconds,
}

impl Cursor {
    pub(crate) fn new(settings: CursorSettings) -> Self {
        let position = clamped(settings.start, settings.height);
        let CursorSettings { smoothing, max_speed, .. } = settings;
        Self {
            settings,
            tuning: CursorTuning { gain: 1.0, gain_growth: 0.0, smoothing, max_speed },
            position,
            smoothed: Velocity::default(),
            free: Velocity::default(),
            since_ramp: Seconds(0.0),
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn place(&mut self, position: Position) {
        self.position = clamped(position, self.settings.height);
    }

    /// Moves so from now on.
    pub(crate) fn tune(&mut self, tuning: CursorTuning) {
        if tuning.is_valid() {
            let max_speed = tuning.max_speed.min(self.settings.max_speed);
            self.tuning = CursorTuning { max_speed, ..tuning };
        }
    }

    /// Starts the gain's ramp anew.
    pub(crate) fn ramp(&mut self) {
        self.since_ramp = Seconds(0.0);
    }

    /// Stands still; the low-pass forgets.
    pub(crate) fn rest(&mut self) -> Velocity {
        self.smoothed = Velocity::default();
        self.free = Velocity::default();
        Velocity::default()
    }

    /// The newest movement as it would have been without edges; zero at rest.
    pub(crate) fn free_velocity(&self) -> Velocity {
        self.free
    }

    /// Moves by the decoded mean for `duration`: gain, ramp, what a task helps with (and the velocity that the label law
    /// would give), low-pass, limits. Returns what moved the cursor.
    pub(crate) fn decode(
        &mut self,
        mean: &[f64],
        help: Option<(Assistance, Velocity)>,
        duration: Seconds,
    ) -> Velocity {
        self.since_ramp = Seconds(self.since_ramp.0 + duration.0);
        let ramp = if self.settings.ramp.0 > 0.0 {
            (self.since_ramp.0 / self.settings.ramp.0).min(1.0)
        } else {
            1.0
        };
        let wanted: [f64; 2] = core::array::from_fn(|axis| {
            let intent = mean.get(self.settings.components[axis]).copied().unwrap_or(0.0);
            ramp * self.settings.gain[axis] * self.tuning.gain * intent
        });
        let wanted = self.tuning.grown(Velocity(wanted)).0;
        let wanted = help.map_or(wanted, |(assistance, label)| assisted(wanted, assistance, label));
        let keep = if self.tuning.smoothing.0 > 0.0 {
            libm::exp(-duration.0 / self.tuning.smoothing.0)
        } else {
            0.0
        };
        let smoothed: [f64; 2] =
            core::array::from_fn(|axis| keep * self.smoothed.0[axis] + (1.0 - keep) * wanted[axis]);
        if smoothed.iter().any(|value| !value.is_finite()) {
            return self.rest();
        }
        self.smoothed = Velocity(smoothed);
        self.advance(self.smoothed, duration)
    }

    /// Moves at `velocity`, limited, for `duration`, and stops at the edges. Returns what moved the cursor.
    pub(crate) fn advance(&mut self, velocity: Velocity, duration: Seconds) -> Velocity {
        let limited = velocity.limited(self.tuning.max_speed);
        let [x, y] = self.position.0;
        let free = Position([x + limited.0[0] * duration.0, y + limited.0[1] * duration.0]);
        if !(free.0[0].is_finite() && free.0[1].is_finite()) {
            return self.rest();
        }
        self.free = limited;
        let reached = clamped(free, self.settings.height);
        let moved = core::array::from_fn(|axis| {
            let overshoot = free.0[axis] - reached.0[axis];
            if overshoot.abs() > 0.0 && duration.0 > 0.0 {
                (reached.0[axis] - self.position.0[axis]) / duration.0
            } else {
                limited.0[axis]
            }
        });
        self.position = reached;
        Velocity(moved)
    }
}

/// A velocity with a task's help: what is perpendicular to the way to the target, along which the label law's velocity lies,
/// is attenuated, and what is left is mixed with that velocity. At the target there is no way, and nothing to attenuate.
fn assisted(wanted: [f64; 2], assistance: Assistance, label: Velocity) -> [f64; 2] {
    let [x, y] = label.0;
    let square = x * x + y * y;
    let along = if square > 0.0 { (wanted[0] * x + wanted[1] * y) / square } else { 0.0 };
    let Assistance { attenuation, mixing } = assistance;
    core::array::from_fn(|axis| {
        let parallel = along * label.0[axis];
        let attenuated = if square > 0.0 {
            parallel + (1.0 - attenuation) * (wanted[axis] - parallel)
        } else {
            wanted[axis]
        };
        (1.0 - mixing) * attenuated + mixing * label.0[axis]
    })
}

fn clamped(position: Position, height: f64) -> Position {
    let inside = |value: f64, edge: f64| if value.is_nan() { edge / 2.0 } else { value.clamp(0.0, edge) };
    Position([inside(position.0[0], 1.0), inside(position.0[1], height)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_gain_moves_by_intent_times_time() {
        let mut cursor = Cursor::new(CursorSettings { ramp: Seconds(0.0), ..CursorSettings::default() });
        let velocity = cursor.decode(&[0.2, -0.1], None, Seconds(0.5));
        assert_eq!(velocity, Velocity([0.2, -0.1]));
        assert!((cursor.position().0[0] - 0.6).abs() < 1e-15);
        assert!((cursor.position().0[1] - 0.45).abs() < 1e-15);
    }

    #[test]
    fn help_takes_away_what_leads_past_the_target_and_adds_what_leads_to_it() {
        let to_the_right = Velocity([0.4, 0.0]);
        let helped = |attenuation, mixing| {
            Velocity(assisted([0.2, 0.1], Assistance { attenuation, mixing }, to_the_right))
        };
        assert_eq!(helped(0.0, 0.0), Velocity([0.2, 0.1]));
        assert_eq!(helped(1.0, 0.0), Velocity([0.2, 0.0]));
        assert_eq!(helped(0.5, 0.0), Velocity([0.2, 0.05]));
        assert_eq!(helped(0.0, 1.0), Velocity([0.4, 0.0]));
        let [x, y] = helped(0.5, 0.25).0;
        assert!((x - 0.25).abs() < 1e-15 && (y - 0.0375).abs() < 1e-15);
        // at the target nothing leads anywhere
        let at_target =
            assisted([0.2, 0.1], Assistance { attenuation: 1.0, mixing: 0.0 }, Velocity::default());
        assert_eq!(Velocity(at_target), Velocity([0.2, 0.1]));
    }

    #[test]
    fn an_operator_changes_gain_smoothing_and_speed_within_the_configured_limit() {
        let mut cursor = Cursor::new(CursorSettings { ramp: Seconds(0.0), ..CursorSettings::default() });
        cursor.tune(CursorTuning { gain: 2.0, gain_growth: 0.0, smoothing: Seconds(0.0), max_speed: 9.0 });
        assert_eq!(cursor.decode(&[0.2, 0.0], None, Seconds(0.02)), Velocity([0.4, 0.0]));
        assert_eq!(cursor.decode(&[3.0, 0.0], None, Seconds(0.02)), Velocity([1.0, 0.0]));
        cursor.tune(CursorTuning {
            gain: f64::NAN,
            gain_growth: 0.0,
            smoothing: Seconds(0.0),
            max_speed: 9.0,
        });
        assert_eq!(cursor.decode(&[0.2, 0.0], None, Seconds(0.02)), Velocity([0.4, 0.0]), "no such gain");
    }

    #[test]
    fn a_growing_gain_makes_fast_movements_faster_up_to_the_speed_limit() {
        let mut cursor = Cursor::new(CursorSettings { ramp: Seconds(0.0), ..CursorSettings::default() });
        cursor.tune(CursorTuning { gain: 1.0, gain_growth: 0.5, smoothing: Seconds(0.0), max_speed: 0.6 });
        let near = |velocity: Velocity, expected: [f64; 2]| {
            assert!((0..2).all(|axis| (velocity.0[axis] - expected[axis]).abs() < 1e-15), "{velocity:?}");
        };
        near(cursor.decode(&[0.03, 0.04], None, Seconds(0.02)), [0.03 * 1.025, 0.04 * 1.025]);
        near(cursor.decode(&[0.0, -0.4], None, Seconds(0.02)), [0.0, -0.48]);
        near(cursor.decode(&[0.0, 1e100], None, Seconds(0.02)), [0.0, 0.6]);
    }

    #[test]
    fn gain_ramps_up_over_the_configured_time() {
        let mut cursor = Cursor::new(CursorSettings::default());
        let speeds: Vec<f64> = (0..4).map(|_| cursor.decode(&[0.3, 0.0], None, Seconds(0.1)).0[0]).collect();
        for (speed, expected) in speeds.iter().zip([0.1, 0.2, 0.3, 0.3]) {
            assert!((speed - expected).abs() < 1e-12, "{speeds:?}");
        }
    }

    #[test]
    fn smoothing_follows_a_step_like_a_first_order_low_pass() {
        let settings =
            CursorSettings { ramp: Seconds(0.0), smoothing: Seconds(0.1), ..CursorSettings::default() };
        let mut cursor = Cursor::new(settings);
        let mut last = 0.0;
        for _ in 0..5 {
            last = cursor.decode(&[0.5, 0.0], None, Seconds(0.02)).0[0];
        }
        assert!((last - 0.5 * (1.0 - (-1.0_f64).exp())).abs() < 1e-12);
    }

    #[test]
    fn velocity_at_an_edge_is_what_really_moved() {
        let settings = CursorSettings { start: Position([0.95, 0.5]), ..CursorSettings::default() };
        let mut cursor = Cursor::new(settings);
        let velocity = cursor.advance(Velocity([1.0, 0.0]), Seconds(0.1));
        assert!((velocity.0[0] - 0.5).abs() < 1e-12);
        assert_eq!(cursor.position(), Position([1.0, 0.5]));
        assert_eq!(cursor.free_velocity(), Velocity([1.0, 0.0]), "others know of no edge here");
        cursor.advance(Velocity([1.0, 0.0]), Seconds(0.1));
        assert_eq!(cursor.free_velocity(), Velocity([1.0, 0.0]));
        cursor.rest();
        assert_eq!(cursor.free_velocity(), Velocity::default());
    }

    proptest! {
        #[test]
        fn whatever_comes_in_it_stays_inside_and_within_the_limit(
            steps in proptest::collection::vec((any::<f64>(), any::<f64>(), 0.0..0.2_f64), 1..200),
            height in 0.2..2.0_f64,
        ) {
            let settings = CursorSettings { height, max_speed: 0.7, smoothing: Seconds(0.05), ..CursorSettings::default() };
            let mut cursor = Cursor::new(settings);
            for (x, y, duration) in steps {
                let velocity = cursor.decode(&[x, y], None, Seconds(duration));
                prop_assert!(velocity.speed() <= 0.7 * (1.0 + 1e-12));
                prop_assert!(cursor.free_velocity().speed() <= 0.7 * (1.0 + 1e-12));
                let [px, py] = cursor.position().0;
                prop_assert!((0.0..=1.0).contains(&px) && (0.0..=height).contains(&py));
            }
        }
    }
}
