//! The sum of the valid values in row order. Without one it is no number, not zero: no sample is not a count of zero.

use super::Reduction;

pub(super) struct Sum;

impl Reduction for Sum {
    const ABOUT: &'static str = "the sum of a channel's valid samples in the bin (counts)";

    fn take(kept: f64, sample: f64) -> f64 {
        kept + sample
    }

    fn finish(kept: f64, _valid: u64) -> f64 {
        kept
    }
}
