//! Targets at random places of the workspace, no two in a row close to each other.

use kalmind_types::{Position, Target};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::acquisition::{self, TargetAcquisition, Targets};
use crate::task::{OptionValues, Task, TaskError, TaskKind, TaskOption};

/// The task. The cursor starts in the middle. Every place at which the target is wholly in the workspace is equally likely, as
/// long as it keeps its distance from the target before.
pub(super) const RANDOM: TaskKind = TaskKind {
    name: "random",
    about: "targets at random places, each at a distance from the one before",
    options: &[
        TaskOption::new("width", "workspace widths", 1.0, "width of the workspace"),
        TaskOption::new("height", "workspace widths", 1.0, "height of the workspace"),
        TaskOption::new("distance", "workspace widths", 0.2, "least distance from one target to the next"),
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

/// Places that are drawn for a target until one is far enough away. The distance leaves so much room that all but never none is.
const DRAWS: usize = 100;

fn build(seed: u64, options: &OptionValues<'_>) -> Result<Box<dyn Task>, TaskError> {
    let radius = acquisition::positive(options, "radius", "a target needs a positive radius")?;
    let mut sides = [0.0; 2];
    for (side, option) in sides.iter_mut().zip(["width", "height"]) {
        *side = acquisition::positive(options, option, "the workspace needs a positive size")?;
    }
    let [room_x, room_y] = sides.map(|side| side - 2.0 * radius);
    if room_x.min(room_y) < 0.0 {
        let expected = "a target has to lie wholly in the workspace";
        return Err(TaskError::OutOfRange { option: "radius", value: radius, expected });
    }
    let least = options.get("distance");
    // from wherever a target is, at least one corner of the room is half its diagonal away
    if !(0.0..=0.5 * room_x.hypot(room_y)).contains(&least) {
        let expected = "it has to be from 0 to half the diagonal of where targets can be";
        return Err(TaskError::OutOfRange { option: "distance", value: least, expected });
    }
    let middle = Position(sides.map(|side| 0.5 * side));
    let targets = Random { sides, middle, least, generator: ChaCha8Rng::seed_from_u64(seed), last: middle };
    Ok(Box::new(TargetAcquisition::new(targets, radius, options)?))
}

#[derive(Debug)]
struct Random {
    sides: [f64; 2],
    middle: Position,
    least: f64,
    generator: ChaCha8Rng,
    last: Position,
}

impl Targets for Random {
    fn begin(&mut self) -> Position {
        self.last = self.middle;
        self.middle
    }

    fn next(&mut self, radius: f64) -> Target {
        let mut farthest = self.last;
        for _ in 0..DRAWS {
            let place = Position(self.sides.map(|side| {
                let room = side - 2.0 * radius;
                radius + room * self.generator.random::<f64>()
            }));
            if self.last.distance(place) >= self.last.distance(farthest) {
                farthest = place;
            }
            if self.last.distance(farthest) >= self.least {
                break;
            }
        }
        if self.last.distance(farthest) < self.least {
            // the corner on the other side
            let opposite = |axis: usize| {
                let [low, high] = [radius, self.sides[axis] - radius];
                if self.last.0[axis] < self.middle.0[axis] { high } else { low }
            };
            farthest = Position([opposite(0), opposite(1)]);
        }
        self.last = farthest;
        Target { position: farthest, radius }
    }

    fn extent(&self, _radius: f64) -> [Position; 2] {
        [Position::default(), Position(self.sides)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lie_wholly_in_the_workspace_keep_their_distance_and_come_everywhere() {
        for least in [0.0, 0.2, 0.4, 0.4_f64.hypot(0.2)] {
            let (sides, middle) = ([0.9, 0.5], Position([0.45, 0.25]));
            let generator = ChaCha8Rng::seed_from_u64(5);
            let mut task = Random { sides, middle, least, generator, last: middle };
            let (mut last, mut quadrants) = (task.begin(), [0; 4]);
            for _ in 0..1000 {
                let Target { position, radius } = task.next(0.05);
                let [x, y] = position.0;
                assert!((radius..=0.9 - radius).contains(&x) && (radius..=0.5 - radius).contains(&y));
                assert!(last.distance(position) >= least - 1e-12, "{last:?} to {position:?}");
                quadrants[usize::from(x > 0.45) + 2 * usize::from(y > 0.25)] += 1;
                last = position;
            }
            assert!(quadrants.iter().all(|count| (150..=350).contains(count)), "{least}: {quadrants:?}");
        }
    }
}
