//! Every sample is a feature vector: the newest valid value counts (a bin of such a stream has one row).

use super::Reduction;

pub(super) struct Sample;

impl Reduction for Sample {
    const ABOUT: &'static str = "every sample is a feature vector and makes a bin of its own";

    fn take(_kept: f64, sample: f64) -> f64 {
        sample
    }

    fn finish(kept: f64, _valid: u64) -> f64 {
        kept
    }
}
