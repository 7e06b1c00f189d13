//! The newest valid value, kept from bin to bin until it is too old: for what is sent less often than bins end. Which sample
//! that is, the bin's input says.

use super::Reduction;

pub(super) struct Latest;

impl Reduction for Latest {
    const ABOUT: &'static str = "the newest sample, kept from bin to bin until it is older than `max_age_ms`";

    fn take(_kept: f64, sample: f64) -> f64 {
        sample
    }

    fn finish(kept: f64, _valid: u64) -> f64 {
        kept
    }
}
