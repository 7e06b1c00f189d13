//! Radial-8: from the centre to one of eight targets around it, and back.

use core::f64::consts::FRAC_PI_4;

use kalmind_types::{Position, Target};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::acquisition::{self, TargetAcquisition, Targets};
use crate::task::{OptionValues, Task, TaskError, TaskKind, TaskOption};

/// The task. The cursor is put on the centre and an outer target shown; once that is over the centre is the target, then
/// the next outer one. The eight directions come in an order shuffled anew for each round of eight.
pub(super) const RADIAL8: TaskKind = TaskKind {
    name: "radial8",
    about: "from the centre to one of eight targets around it, and back",
    options: &[
        TaskOption::new("centre_x", "workspace widths", 0.5, "where the centre target is, from the left"),
        TaskOption::new("centre_y", "workspace widths", 0.5, "where the centre target is, from the bottom"),
        TaskOption::new("distance", "workspace widths", 0.3, "distance of the outer targets from the centre"),
        acquisition::RADIUS,
        acquisition::HOLD,
        acquisition::TIMEOUT,
        acquisition::SELECT,
        acquisition::LEAD,
        acquisition::REFRACTORY,
        acquisition::REST,
    ],
    build,
};

fn build(seed: u64, options: &OptionValues<'_>) -> Result<Box<dyn Task>, TaskError> {
    let distance = acquisition::positive(options, "distance", "the outer targets need a positive distance")?;
    let targets = Radial8 {
        centre: acquisition::centre(options)?,
        distance,
        generator: ChaCha8Rng::seed_from_u64(seed),
        directions: Vec::new(),
        outward: false,
    };
    let radius = acquisition::positive(options, "radius", "a target needs a positive radius")?;
    Ok(Box::new(TargetAcquisition::new(targets, radius, options)?))
}

#[derive(Debug)]
struct Radial8 {
    centre: Position,
    distance: f64,
    generator: ChaCha8Rng,
    /// Directions of this round still to come, last first.
    directions: Vec<u8>,
    /// Whether the newest target was an outer one.
    outward: bool,
}

impl Targets for Radial8 {
    fn begin(&mut self) -> Position {
        self.outward = false;
        self.centre
    }

    fn next(&mut self, radius: f64) -> Target {
        self.outward = !self.outward;
        let position = if self.outward { self.next_outer_position() } else { self.centre };
        Target { position, radius }
    }

    fn extent(&self, radius: f64) -> [Position; 2] {
        acquisition::around(self.centre, self.distance + radius)
    }
}

impl Radial8 {
    fn next_outer_position(&mut self) -> Position {
        if self.directions.is_empty() {
            self.directions.extend(0..8);
            self.directions.shuffle(&mut self.generator);
        }
        let direction = f64::from(self.directions.pop().unwrap_or_default()) * FRAC_PI_4;
        let [x, y] = self.centre.0;
        let (sin, cos) = direction.sin_cos();
        Position([x + self.distance * cos, y + self.distance * sin])
    }
}
