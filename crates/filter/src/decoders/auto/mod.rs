//! `auto`: the best of the discriminative filters, or an ensemble of them, as held-out rows say.

pub(crate) mod ensemble;

use super::dkf::discriminative::Discriminative;
use super::kind::{GUARD, MEAN, Taken};

/// See the module.
pub(crate) struct Auto;

impl Discriminative for Auto {
    const NAME: &'static str = "auto";
    const SUMMARY: &'static str =
        "the best discriminative filter, or an ensemble of them, as held-out rows say";
    const OPTIONS: &'static [Taken] = &[("ensemble", "on", ""), MEAN, GUARD];
    const REGRESSOR: Option<&'static str> = None;
}
