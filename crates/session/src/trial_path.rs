//! The way that a cursor took to a target, and what the papers read off it.

use kalmind_types::{Position, Target};
use serde::{Deserialize, Serialize};

/// The path of one trial, tick by tick. Positions count from the first one in which the trial runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialPath {
    start: Option<Position>,
    newest: Option<(Position, f64)>,
    length: f64,
    /// Whether the cursor last moved away from the target, along the straight line to it.
    recedes: Option<bool>,
    reversals: u32,
    entered: Option<f64>,
    /// Sum of the angles between where movements led and where the target was, in radians, and number of movements.
    angles: (f64, u32),
}

/// What a path tells of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathFigures {
    /// See [`TrialPath::efficiency`].
    pub efficiency: Option<f64>,
    /// See [`TrialPath::angular_error`]; in degrees.
    pub angular_error_deg: Option<f64>,
    /// See [`TrialPath::orthogonal_direction_changes`].
    pub orthogonal_direction_changes: u32,
    /// See [`TrialPath::dial_in`].
    pub dial_in_s: Option<f64>,
    /// See [`TrialPath::index_of_difficulty`].
    pub index_of_difficulty: Option<f64>,
}

impl TrialPath {
    /// The cursor stood at `place` when `seconds` of the trial had counted (see [`seconds_that_count`](crate::seconds_that_count)).
    pub fn take(&mut self, place: Position, seconds: f64, target: Option<Target>) {
        let start = *self.start.get_or_insert(place);
        if let Some((last, _)) = self.newest.replace((place, seconds)) {
            self.length += last.distance(place);
            if let Some(target) = target {
                let ([ax, ay], [dx, dy]) = (start.to(target.position), last.to(place));
                let advance = ax * dx + ay * dy;
                if advance != 0.0 {
                    let recedes = advance < 0.0;
                    self.reversals +=
                        u32::from(self.recedes.replace(recedes).is_some_and(|before| before != recedes));
                }
                let [wx, wy] = last.to(target.position);
                if last.distance(target.position) > target.radius && last.distance(place) > 0.0 {
                    self.angles.0 += libm::atan2((wx * dy - wy * dx).abs(), wx * dx + wy * dy);
                    self.angles.1 += 1;
                }
            }
        }
        if self.entered.is_none()
            && target.is_some_and(|target| place.distance(target.position) <= target.radius)
        {
            self.entered = Some(seconds);
        }
    }

    /// Length of the straight way from the first place to the newest, over that of the way that was taken: 1 is straight
    /// (Simeral et al., J. Neural Eng. 8, 2011). None where the cursor did not move.
    pub fn efficiency(&self) -> Option<f64> {
        let (start, (end, _)) = (self.start?, self.newest?);
        (self.length > 0.0).then(|| (start.distance(end) / self.length).min(1.0))
    }

    /// How often the cursor turned between toward the target and away from it, along the straight line from where it was to
    /// the target: orthogonal direction changes, in which the path stands at a right angle to the task axis (MacKenzie,
    /// Kauppinen and Silfverberg, CHI 2001).
    pub fn orthogonal_direction_changes(&self) -> u32 {
        self.reversals
    }

    /// Mean angle between where the cursor moved and where the target was from it, in radians, over movements that began
    /// outside the target: the angular error of decoded directions (Burkhart, thesis, 2019, table 2.1), as the participant saw
    /// it. None where the cursor never moved there; a cursor that knows nothing has a right angle.
    pub fn angular_error(&self) -> Option<f64> {
        let (sum, movements) = self.angles;
        (movements > 0).then(|| sum / f64::from(movements))
    }

    /// Seconds from when the cursor first came within the target's radius to the newest place, which is the end of the hold where the
    /// trial was acquired: dial-in time, with the hold in it (Gilja et al., Nat. Neurosci. 15, 2012). None where it never
    /// reached it.
    pub fn dial_in(&self) -> Option<f64> {
        self.newest.zip(self.entered).map(|((_, now), entered)| now - entered)
    }

    /// How hard `target` was from where the cursor was, in bits: log2(D / W + 1), with the distance D of its centre and its
    /// width W, the diameter (Fitts's law as MacKenzie formulates it, J. Mot. Behav. 21, 1989).
    pub fn index_of_difficulty(&self, target: Target) -> Option<f64> {
        let width = 2.0 * target.radius;
        (width > 0.0).then_some((self.start?.distance(target.position) / width + 1.0).log2())
    }

    /// All of it, of a trial with this target.
    pub fn figures(&self, target: Option<Target>) -> PathFigures {
        PathFigures {
            efficiency: self.efficiency(),
            angular_error_deg: self.angular_error().map(f64::to_degrees),
            orthogonal_direction_changes: self.orthogonal_direction_changes(),
            dial_in_s: self.dial_in(),
            index_of_difficulty: target.and_then(|target| self.index_of_difficulty(target)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path at these places, one every half second.
    fn path(places: &[[f64; 2]], target: Target) -> TrialPath {
        let mut path = TrialPath::default();
        for (tick, place) in places.iter().enumerate() {
            path.take(Position(*place), 0.5 * tick as f64, Some(target));
        }
        path
    }

    const TARGET: Target = Target { position: Position([0.8, 0.5]), radius: 0.1 };

    #[test]
    fn a_straight_path_is_worked_out_by_hand() {
        let path = path(&[[0.5, 0.5], [0.6, 0.5], [0.72, 0.5], [0.8, 0.5], [0.8, 0.5]], TARGET);
        assert!((path.efficiency().unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(path.orthogonal_direction_changes(), 0);
        // inside after 1 s, and 1 s more until the end
        assert_eq!(path.dial_in(), Some(1.0));
        // D = 0.3, W = 0.2
        assert!((path.index_of_difficulty(TARGET).unwrap() - 2.5_f64.log2()).abs() < 1e-12);
    }

    #[test]
    fn a_path_that_overshoots_and_returns_turns_twice() {
        // 0.5 too far, back, and forth again: 0.4 + 0.2 + 0.1 for a way of 0.3
        let path = path(&[[0.5, 0.5], [0.9, 0.5], [0.7, 0.5], [0.7, 0.6], [0.8, 0.6], [0.8, 0.5]], TARGET);
        assert_eq!(path.orthogonal_direction_changes(), 2);
        // sideways steps turn nothing, and count as way: 0.4 + 0.2 + 0.1 + 0.1 + 0.1
        assert!((path.efficiency().unwrap() - 0.3 / 0.9).abs() < 1e-12);
        assert_eq!(path.dial_in(), Some(2.0));
    }

    #[test]
    fn movements_outside_the_target_have_an_angle_to_the_way_to_it() {
        // toward it, at a right angle, toward it, away from it, into it: (0 + 90 + 0 + 180 + 0) / 5; what begins inside does not
        // count
        let places = [
            [0.5, 0.5],
            [0.6, 0.5],
            [0.6, 0.7],
            [0.7, 0.6],
            [0.6, 0.7],
            [0.8, 0.5],
            [0.8, 0.55],
            [0.85, 0.5],
        ];
        let path = path(&places, TARGET);
        assert!((path.angular_error().unwrap() - 54_f64.to_radians()).abs() < 1e-12);
        let figures = path.figures(Some(TARGET));
        assert!((figures.angular_error_deg.unwrap() - 54.0).abs() < 1e-9);
        assert_eq!((figures.dial_in_s, figures.efficiency), (path.dial_in(), path.efficiency()));
        assert_eq!(figures.index_of_difficulty, path.index_of_difficulty(TARGET));
        assert_eq!(path.figures(None).index_of_difficulty, None);
    }

    #[test]
    fn a_cursor_that_never_moved_or_never_came_says_so() {
        let still = path(&[[0.5, 0.5], [0.5, 0.5]], TARGET);
        assert_eq!((still.efficiency(), still.dial_in(), still.angular_error()), (None, None, None));
        assert_eq!(TrialPath::default().index_of_difficulty(TARGET), None);
    }
}
