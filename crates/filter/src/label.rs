//! What the participant is taken to intend while a task shows a target: the label that decoders are fitted to.

use kalmind_types::{Position, Velocity};
use serde::{Deserialize, Serialize};

/// The shape of a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// The error over the time constant, no longer than the greatest speed.
    #[default]
    Limited,
    /// The direction only: a vector of length one (zero on the target's centre).
    Unit,
    /// The vector from cursor to target as it stands, in workspace widths.
    Vector,
}

/// How the label of a bin follows from cursor and target; a model stores the law it was fitted with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabelLaw {
    /// The shape of the label.
    pub kind: LabelKind,
    /// Seconds in which the error would be covered at the label's speed (kind `limited`).
    pub time_constant_s: f64,
    /// Greatest speed of a label, in workspace widths per second (kind `limited`).
    pub max_speed: f64,
    /// Bins in so many milliseconds from a trial's start train the state model only.
    pub skip_ms: f64,
    /// By how many milliseconds features lag behind the label that they are paired with.
    pub lag_ms: f64,
}

impl Default for LabelLaw {
    fn default() -> Self {
        Self { kind: LabelKind::Limited, time_constant_s: 0.4, max_speed: 0.6, skip_ms: 250.0, lag_ms: 0.0 }
    }
}

impl LabelLaw {
    /// The intended velocity with the cursor displayed at `cursor` and a target at `target`. Real-time.
    #[must_use]
    pub fn label(&self, cursor: Position, target: Position) -> Velocity {
        let [x, y] = cursor.to(target);
        match self.kind {
            LabelKind::Limited => {
                Velocity([x / self.time_constant_s, y / self.time_constant_s]).limited(self.max_speed)
            }
            LabelKind::Unit => {
                let distance = cursor.distance(target);
                if distance > 0.0 { Velocity([x / distance, y / distance]) } else { Velocity::default() }
            }
            LabelKind::Vector => Velocity([x, y]),
        }
    }

    /// Whether every number in it makes sense: a time constant from 1 ms to a minute, a positive speed, and times that are not
    /// negative and no longer than ten minutes.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        const TEN_MINUTES_MS: f64 = 600_000.0;
        (0.001..=60.0).contains(&self.time_constant_s)
            && self.max_speed > 0.0
            && self.max_speed <= 1e6
            && (0.0..=TEN_MINUTES_MS).contains(&self.skip_ms)
            && (0.0..=TEN_MINUTES_MS).contains(&self.lag_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRE: Position = Position([0.5, 0.5]);

    #[test]
    fn far_targets_give_the_greatest_speed_and_near_ones_the_error_over_the_time_constant() {
        let law = LabelLaw::default();
        let far = law.label(CENTRE, Position([0.5, 0.9]));
        assert!((far.0[1] - 0.6).abs() < 1e-15 && far.0[0] == 0.0);
        let near = law.label(CENTRE, Position([0.6, 0.5]));
        assert!((near.0[0] - 0.25).abs() < 1e-15 && near.0[1] == 0.0);
    }

    #[test]
    fn unit_labels_have_length_one_and_vanish_on_the_target() {
        let law = LabelLaw { kind: LabelKind::Unit, ..LabelLaw::default() };
        assert!((law.label(CENTRE, Position([0.1, 0.2])).speed() - 1.0).abs() < 1e-15);
        assert_eq!(law.label(CENTRE, CENTRE), Velocity::default());
    }

    #[test]
    fn vector_labels_are_the_error_itself() {
        let law = LabelLaw { kind: LabelKind::Vector, ..LabelLaw::default() };
        assert_eq!(law.label(Position([0.0, 0.0]), Position([0.75, 0.25])), Velocity([0.75, 0.25]));
    }

    #[test]
    fn unknown_keys_of_a_law_are_refused_and_missing_ones_take_the_default() {
        let law: LabelLaw = serde_json::from_str(r#"{"kind":"unit"}"#).unwrap();
        assert_eq!(law, LabelLaw { kind: LabelKind::Unit, ..LabelLaw::default() });
        assert!(serde_json::from_str::<LabelLaw>(r#"{"speed":1}"#).is_err());
    }
}
