//! Targets of three sizes at three distances, so that movement time can be told by the index of difficulty.

use core::f64::consts::FRAC_PI_4;

use kalmind_types::{Position, Target};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use super::acquisition::{self, TargetAcquisition, Targets};
use crate::task::{OptionValues, Task, TaskError, TaskKind, TaskOption};

/// The task, after mFitts (Simeral et al., J. Neural Eng. 8, 2011; as of participant T9 in Burkhart's thesis, 2019, section
/// 2.8). From the centre to a target and back to a centre of the same size: two movements as long and as fine. In each round
/// every size comes once at every distance, in an order shuffled anew, and so do the eight directions.
pub(super) const MFITTS: TaskKind = TaskKind {
    name: "mfitts",
    about: "out to targets of three sizes at three distances, and back: movement time by index of difficulty",
    options: &[
        TaskOption::new("centre_x", "workspace widths", 0.5, "where movements begin, from the left"),
        TaskOption::new("centre_y", "workspace widths", 0.5, "where movements begin, from the bottom"),
        TaskOption::new(DIAMETERS[0], "workspace widths", 0.08, "diameter of the small targets"),
        TaskOption::new(DIAMETERS[1], "workspace widths", 0.12, "diameter of the medium targets"),
        TaskOption::new(DIAMETERS[2], "workspace widths", 0.18, "diameter of the large targets"),
        TaskOption::new(DISTANCES[0], "workspace widths", 0.2, "the short way"),
        TaskOption::new(DISTANCES[1], "workspace widths", 0.3, "the medium way"),
        TaskOption::new(DISTANCES[2], "workspace widths", 0.4, "the long way"),
        TaskOption::new("hold", "s", 0.5, "how long the cursor has to stay in the target"),
        TaskOption::new("timeout", "s", 10.0, "how long a trial may take"),
        acquisition::SELECT,
        acquisition::LEAD,
        acquisition::REFRACTORY,
        acquisition::REST,
    ],
    build,
};

const DIAMETERS: [&str; 3] = ["diameter_small", "diameter_medium", "diameter_large"];
const DISTANCES: [&str; 3] = ["distance_short", "distance_medium", "distance_long"];

fn build(seed: u64, options: &OptionValues<'_>) -> Result<Box<dyn Task>, TaskError> {
    let three = |names: [&'static str; 3], expected: &'static str| {
        let mut values = [0.0; 3];
        for (value, option) in values.iter_mut().zip(names) {
            *value = acquisition::positive(options, option, expected)?;
        }
        Ok(values)
    };
    let diameters = three(DIAMETERS, "a target needs a positive diameter")?;
    let distances = three(DISTANCES, "the targets need a positive distance")?;
    let centre = acquisition::centre(options)?;
    let generator = ChaCha8Rng::seed_from_u64(seed);
    let targets = MFitts {
        centre,
        diameters,
        distances,
        generator,
        ways: Vec::new(),
        directions: Vec::new(),
        out: None,
    };
    Ok(Box::new(TargetAcquisition::new(targets, 0.5 * diameters[0], options)?))
}

#[derive(Debug)]
struct MFitts {
    centre: Position,
    diameters: [f64; 3],
    distances: [f64; 3],
    generator: ChaCha8Rng,
    /// Diameter and distance of the movements of this round still to come, last first.
    ways: Vec<[f64; 2]>,
    /// Directions still to come, likewise.
    directions: Vec<u8>,
    /// The radius of the outer target, while it is the newest one.
    out: Option<f64>,
}

impl Targets for MFitts {
    /// A block begins with a round of its own, so that it is balanced in itself.
    fn begin(&mut self) -> Position {
        self.ways.clear();
        self.directions.clear();
        self.out = None;
        self.centre
    }

    fn next(&mut self, _radius: f64) -> Target {
        if let Some(radius) = self.out.take() {
            return Target { position: self.centre, radius };
        }
        if self.ways.is_empty() {
            for diameter in self.diameters {
                self.ways.extend(self.distances.map(|distance| [diameter, distance]));
            }
            self.ways.shuffle(&mut self.generator);
        }
        if self.directions.is_empty() {
            self.directions.extend(0..8);
            self.directions.shuffle(&mut self.generator);
        }
        let [diameter, distance] = self.ways.pop().unwrap_or([self.diameters[0], self.distances[0]]);
        let direction = f64::from(self.directions.pop().unwrap_or_default()) * FRAC_PI_4;
        let radius = 0.5 * diameter;
        self.out = Some(radius);
        let ([x, y], (sin, cos)) = (self.centre.0, direction.sin_cos());
        Target { position: Position([x + distance * cos, y + distance * sin]), radius }
    }

    fn extent(&self, _radius: f64) -> [Position; 2] {
        let [diameter, distance] =
            [self.diameters, self.distances].map(|values| values.into_iter().fold(0.0, f64::max));
        acquisition::around(self.centre, distance + 0.5 * diameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_each_size_once_at_each_distance_and_the_way_back_is_as_hard() {
        let (diameters, distances) = ([0.08, 0.12, 0.18], [0.2, 0.3, 0.4]);
        let (centre, generator) = (Position([0.5, 0.5]), ChaCha8Rng::seed_from_u64(3));
        let mut task = MFitts {
            centre,
            diameters,
            distances,
            generator,
            ways: Vec::new(),
            directions: Vec::new(),
            out: None,
        };
        let mut orders = Vec::new();
        for _ in 0..20 {
            // a block that is broken off after four movements leaves nothing to the next one
            task.begin();
            for _ in 0..4 {
                task.next(f64::NAN);
            }
            assert_eq!(task.begin(), centre);
            let mut seen = Vec::new();
            for _ in 0..9 {
                let (out, back) = (task.next(f64::NAN), task.next(f64::NAN));
                assert_eq!((back.position, back.radius), (centre, out.radius));
                let distance = (centre.distance(out.position) * 1e6).round() / 1e6;
                seen.push([out.radius * 2.0, distance].map(|value| (value * 100.0).round() as u32));
            }
            orders.push(seen.clone());
            seen.sort_unstable();
            let all: Vec<[u32; 2]> =
                [8, 12, 18].into_iter().flat_map(|size| [20, 30, 40].map(|way| [size, way])).collect();
            assert_eq!(seen, all);
        }
        orders.dedup();
        assert_eq!(orders.len(), 20, "the order is another one each time");
    }
}
