//! What the decoder believes: a Gaussian over one to eight named components.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The most components an intent can have.
pub const MAX_COMPONENTS: usize = 8;
/// Entries of the lower triangle of the largest covariance.
pub const MAX_COVARIANCE: usize = MAX_COMPONENTS * (MAX_COMPONENTS + 1) / 2;

/// Where entry (`row`, `column`) of a symmetric matrix stands in its lower triangle, written row by row.
#[must_use]
pub const fn lower_triangle_index(row: usize, column: usize) -> usize {
    let (row, column) = if row >= column { (row, column) } else { (column, row) };
    row * (row + 1) / 2 + column
}

/// One named component of the intent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Name, as clients and LSL channels show it (`vx`).
    pub name: String,
    /// Unit it was fitted in (`workspace widths/s`); empty or [`Component::UNKNOWN_UNIT`] when unknown.
    pub unit: String,
}

impl Component {
    /// The unit of a component of which none is known, where it has to have one.
    pub const UNKNOWN_UNIT: &str = "a.u.";

    /// Whether two components can be taken for one another: the same name, and no other unit as far as both are known.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let known = |unit: &str| !unit.is_empty() && unit != Self::UNKNOWN_UNIT;
        let units = [self, other].map(|component| component.unit.as_str());
        self.name == other.name && (units[0] == units[1] || !units.iter().all(|unit| known(unit)))
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit.as_str() {
            "" => formatter.write_str(&self.name),
            unit => write!(formatter, "{} ({unit})", self.name),
        }
    }
}

/// Whether a decoder's covariance can say that it is less sure at one moment than at another. Known from how the decoder is
/// built, not from what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CovarianceKind {
    /// Apart from starts and missing bins the same in every bin, whatever the features say.
    Constant,
    /// It depends on the features or on the state.
    Varying,
}

/// The decoded hidden state of one tick: mean and covariance, in the units it was fitted in. Fixed size, no heap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    dimension: u8,
    mean: [f64; MAX_COMPONENTS],
    #[serde(with = "covariance_as_sequence")]
    covariance: [f64; MAX_COVARIANCE],
}

impl Intent {
    /// An intent of `dimension` components (clamped to 1..=8), mean and covariance zero.
    #[must_use]
    pub fn zero(dimension: usize) -> Self {
        Self {
            dimension: dimension.clamp(1, MAX_COMPONENTS) as u8,
            mean: [0.0; MAX_COMPONENTS],
            covariance: [0.0; MAX_COVARIANCE],
        }
    }

    /// Number of components.
    #[must_use]
    pub fn dimension(&self) -> usize {
        usize::from(self.dimension)
    }

    /// The mean, one value per component.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean[..self.dimension()]
    }

    /// The mean, to be written.
    pub fn mean_mut(&mut self) -> &mut [f64] {
        let dimension = self.dimension();
        &mut self.mean[..dimension]
    }

    /// The covariance's lower triangle, row by row (see [`lower_triangle_index`]).
    #[must_use]
    pub fn covariance(&self) -> &[f64] {
        let dimension = self.dimension();
        &self.covariance[..dimension * (dimension + 1) / 2]
    }

    /// The covariance's lower triangle, to be written.
    pub fn covariance_mut(&mut self) -> &mut [f64] {
        let dimension = self.dimension();
        &mut self.covariance[..dimension * (dimension + 1) / 2]
    }

    /// Whether every number in it is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.mean().iter().chain(self.covariance()).all(|value| value.is_finite())
    }
}

/// serde has no impl for arrays of 36, so the triangle travels as a sequence.
mod covariance_as_sequence {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::MAX_COVARIANCE;

    pub(super) fn serialize<S: Serializer>(values: &[f64; MAX_COVARIANCE], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; MAX_COVARIANCE], D::Error> {
        let values = Vec::<f64>::deserialize(from)?;
        let length = values.len();
        values.try_into().map_err(|_rejected: Vec<f64>| D::Error::invalid_length(length, &"36 numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_agree_in_name_and_in_unit_as_far_as_both_are_known() {
        let named = |name: &str, unit: &str| Component { name: name.to_owned(), unit: unit.to_owned() };
        let speed = named("vx", "mm/s");
        assert_eq!(speed.to_string(), "vx (mm/s)");
        for unit in ["mm/s", "", Component::UNKNOWN_UNIT] {
            assert!(speed.agrees_with(&named("vx", unit)) && named("vx", unit).agrees_with(&speed), "{unit}");
        }
        assert!(!speed.agrees_with(&named("vx", "m/s")) && !speed.agrees_with(&named("vy", "mm/s")));
    }
}
