//! State that follows the signal while a session runs, and outlives the models that use it.

use serde::{Deserialize, Serialize};

/// State that adapts: it belongs to a run and not to a model. Where a model takes over from another, what both have under
/// one name and in one shape goes on; it is no part of a model's identity.
///
/// Plain numbers, allocated where it is built. Whoever moves it does so in a fixed order, so that equal inputs give equal
/// bits; it is recorded now and then, and a replay compares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveState {
    /// What it is.
    name: String,
    /// Lengths of its dimensions, the last one innermost.
    shape: Vec<usize>,
    /// The values, row-major.
    values: Vec<f64>,
}

impl AdaptiveState {
    /// All of it that is exact: the numbers it goes on from. Zeros at first.
    #[must_use]
    pub fn new(name: &str, shape: &[usize]) -> Self {
        let values = shape.iter().fold(1_usize, |product, length| product.saturating_mul(*length));
        Self { name: name.to_owned(), shape: shape.to_vec(), values: vec![0.0; values] }
    }

    /// What it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values, row-major.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values, to be moved.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// Goes on from another one of the same name and shape; `false`, and nothing is changed, where it is something else.
    /// Real-time.
    pub fn carry(&mut self, from: &Self) -> bool {
        let alike =
            self.name == from.name && self.shape == from.shape && self.values.len() == from.values.len();
        if alike {
            self.values.iter_mut().zip(&from.values).for_each(|(value, from)| *value = *from);
        }
        alike
    }

    /// The first value whose bits differ from those of another state, with both; a place past the end where name or shape
    /// differ.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<(usize, f64, f64)> {
        if self.name != other.name || self.shape != other.shape || self.values.len() != other.values.len() {
            return Some((self.values.len(), f64::NAN, f64::NAN));
        }
        let pairs = self.values.iter().zip(&other.values).enumerate();
        let mut pairs = pairs.map(|(place, (ours, theirs))| (place, *ours, *theirs));
        pairs.find(|(_, ours, theirs)| ours.to_bits() != theirs.to_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_same_name_and_shape_goes_on() {
        let mut from = AdaptiveState::new("normaliser", &[2, 3]);
        from.values_mut().copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        for (name, shape, carried) in [
            ("normaliser", [2, 3], true),
            ("normaliser", [3, 2], false),
            ("normaliser", [2, 4], false),
            ("bias", [2, 3], false),
        ] {
            let mut state = AdaptiveState::new(name, &shape);
            assert_eq!(state.carry(&from), carried, "{name} {shape:?}");
            assert_eq!(state.difference(&from).is_none(), carried, "{name} {shape:?}");
            assert_eq!(state.values().iter().any(|value| *value != 0.0), carried);
        }
    }

    #[test]
    fn a_difference_is_one_of_bits() {
        let mut one = AdaptiveState::new("bias", &[2]);
        let mut other = one.clone();
        one.values_mut()[1] = -0.0;
        assert_eq!(one.difference(&other), Some((1, -0.0, 0.0)));
        other.values_mut()[1] = -0.0;
        assert_eq!(one.difference(&other), None);
    }
}
