//! Where the cursor is, how it moves, and whether it clicks.

use serde::{Deserialize, Serialize};

/// A place in the workspace, in workspace widths: x in 0..1, y in 0..height/width, y up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub [f64; 2]);

/// What moves the cursor, in workspace widths per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Velocity(pub [f64; 2]);

impl Position {
    /// The vector from here to `target`, in workspace widths.
    #[must_use]
    pub fn to(self, target: Self) -> [f64; 2] {
        [target.0[0] - self.0[0], target.0[1] - self.0[1]]
    }

    /// The distance from here to `target`, in workspace widths.
    #[must_use]
    pub fn distance(self, target: Self) -> f64 {
        let [x, y] = self.to(target);
        (x * x + y * y).sqrt()
    }
}

impl Velocity {
    /// Its length, in workspace widths per second.
    #[must_use]
    pub fn speed(self) -> f64 {
        (self.0[0] * self.0[0] + self.0[1] * self.0[1]).sqrt()
    }

    /// The same direction at no more than `max_speed` (workspace widths per second).
    #[must_use]
    pub fn limited(self, max_speed: f64) -> Self {
        let speed = self.speed();
        if speed <= max_speed {
            return self;
        }
        let shrink = max_speed / speed;
        Self([self.0[0] * shrink, self.0[1] * shrink])
    }
}

/// What a click decoder says; the counters let a client that skipped messages see every press.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Click {
    /// Probability that the participant means to click.
    pub probability: f64,
    /// Whether the button is down.
    pub pressed: bool,
    /// Presses since the start.
    pub presses: u64,
    /// Releases since the start.
    pub releases: u64,
    /// `seq` of the tick of the newest press.
    pub last_press_seq: Option<u64>,
}
