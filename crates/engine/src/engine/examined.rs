//! What a look at a bin found.

use kalmind_types::{Cause, ChannelMask, FeatureLayout, FeatureSet};

/// What a look at a bin's features showed, beside the [`FeatureSets`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Examined {
    /// Number of features without a valid value, and of those switched off.
    pub(super) invalid: usize,
    pub(super) switched_off: usize,
    pub(super) guarded: u16,
    /// Why nothing can be decoded from the features.
    pub(super) failing: Option<Cause>,
}

/// Sets of a run's features, written anew in every tick.
#[derive(Debug)]
pub(super) struct FeatureSets {
    /// What the operator has switched off, and the mask that says so: looked up only when that is another one.
    pub(super) switched_off: FeatureSet,
    mask: ChannelMask,
    /// Features without a valid value, or switched off.
    pub(super) missing: FeatureSet,
    /// Features that say nothing of the intent though they are not switched off.
    pub(super) lost: FeatureSet,
    /// Features that do not look as they did in training, corrected, masked or neither; those that stand behind the reason
    /// of a tick among them.
    pub(super) suspects: FeatureSet,
}

impl FeatureSets {
    pub(super) fn new(features: usize) -> Self {
        let [switched_off, missing, lost, suspects] = core::array::from_fn(|_| FeatureSet::none_of(features));
        Self { switched_off, mask: ChannelMask::default(), missing, lost, suspects }
    }

    /// Begins a tick.
    pub(super) fn begin(&mut self, layout: &FeatureLayout, mask: &ChannelMask) {
        if self.mask != *mask {
            layout.switch_off(mask, &mut self.switched_off);
            self.mask.clone_from(mask);
        }
        self.suspects.clear();
    }
}
