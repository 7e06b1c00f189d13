//! The seam for what a discriminative filter learns: features in, f out.

use kalmind_types::MAX_COMPONENTS;

use crate::panel::PanelPoints;

/// A regression of the intent on a window of features. Regressions with a state of their own keep it here.
pub trait Regression: Send + core::fmt::Debug {
    /// Writes f at `window` (the newest bins of n features, as many as the regression takes) to the first d entries of
    /// `mean`, and gives how many training points spoke for it, where it knows. Real-time.
    fn mean(&mut self, window: &[f64], mean: &mut [f64; MAX_COMPONENTS]) -> Option<f64>;

    /// A bin without features: regressions with a state of their own let it age. Real-time.
    fn miss(&mut self) {}

    /// Forgets the past; nothing to do for a function of the window alone.
    fn restart(&mut self) {}

    /// The kernel comparison just made, for a Q with the same points.
    fn compared(&mut self) -> Option<&mut PanelPoints> {
        None
    }
}

/// Gives the first d entries the direction of the next d; they keep theirs where those are zero. Real-time.
pub fn turn(mean: &mut [f64; MAX_COMPONENTS], dimension: usize) {
    let length = |values: &[f64]| libm::sqrt(values.iter().map(|value| value * value).sum());
    let (vector, direction) = mean.split_at_mut(dimension);
    let direction = &direction[..dimension];
    let factor = length(vector) / length(direction);
    if factor.is_finite() {
        for (entry, direction) in vector.iter_mut().zip(direction) {
            *entry = factor * direction;
        }
    }
}
