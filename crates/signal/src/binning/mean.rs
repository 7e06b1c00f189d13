//! The mean: the sum of the valid values in row order, divided by their number.

use super::Reduction;

pub(super) struct Mean;

impl Reduction for Mean {
    const ABOUT: &'static str = "the mean of a channel's valid samples in the bin";

    fn take(kept: f64, sample: f64) -> f64 {
        kept + sample
    }

    fn finish(kept: f64, valid: u64) -> f64 {
        kept / valid as f64
    }
}
