//! What a look at a bin found.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Cause, ChannelMask, FeatureLayout, FeatureSet, Seconds, most_missing};

use super::settings::EngineSettings;

/// What a look at a bin's features showed, beside the [`FeatureSets`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Examined {
    /// Number of features without a valid value or switched off.
    pub(super) masked: usize,
    /// How many of those that are not switched off may say nothing.
    pub(super) most_lost: f64,
    pub(super) guarded: u16,
    /// Why nothing can be decoded from the features.
    pub(super) failing: Option<Cause>,
}

/// Stages that settle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SettlingStages {
    /// Whose: the position of the stream in the configuration. Of several, the one that takes longest.
    pub stream: usize,
    /// For how long after the bin.
    pub left: Seconds,
}

/// By what the bins of a run are examined. Allocates at construction only; whoever shows bins to models has one.
#[derive(Clone, Debug)]
pub struct Examiner {
    layout: FeatureLayout,
    pub(super) sets: FeatureSets,
    max_masked: f64,
    pub(super) restart_after: Seconds,
    pub(super) plausibility: bool,
}

/// Sets of a run's features, written anew for every bin.
#[derive(Clone, Debug)]
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

impl Examiner {
    pub(super) fn new(settings: &EngineSettings, layout: &FeatureLayout) -> Self {
        let EngineSettings { max_masked, restart_after, plausibility, .. } = *settings;
        let [switched_off, missing, lost, suspects] =
            core::array::from_fn(|_| FeatureSet::none_of(layout.width()));
        let sets = FeatureSets { switched_off, mask: ChannelMask::default(), missing, lost, suspects };
        Self { layout: layout.clone(), sets, max_masked, restart_after, plausibility }
    }

    /// Looks up what is switched off in a bin.
    pub(super) fn switch_off(&mut self, mask: &ChannelMask) {
        let Self { layout, sets, .. } = self;
        if sets.mask != *mask {
            layout.switch_off(mask, &mut sets.switched_off);
            sets.mask.clone_from(mask);
        }
    }

    /// Whether too many are lost of the features that the decoder looks at, where it leaves some out: all that it has may be few
    /// of the whole array.
    pub(super) fn too_few_taken(&self, left_out: Option<&FeatureSet>) -> bool {
        left_out.is_some_and(|left_out| self.too_few_of(left_out, self.sets.lost.count_outside(left_out)))
    }

    /// The same, of so many lost ones.
    pub(super) fn too_few_of(&self, left_out: &FeatureSet, invalid: usize) -> bool {
        let taken = self.layout.width().saturating_sub(left_out.count());
        let off = self.sets.switched_off.count_outside(left_out);
        invalid as f64 > most_missing(self.max_masked, taken, off) || off >= taken
    }

    /// What can be said of a bin by the features that are missing from it; those that are `left_out` the decoder does not look at.
    pub(super) fn count(&mut self, left_out: Option<&FeatureSet>) -> Examined {
        let FeatureSets { switched_off, missing, lost, suspects, .. } = &mut self.sets;
        suspects.clear();
        lost.copy_from(missing);
        lost.remove(switched_off);
        let (invalid, off) = (lost.count(), switched_off.count());
        let most_lost = most_missing(self.max_masked, self.layout.width(), off);
        let fails = invalid as f64 > most_lost || self.too_few_taken(left_out);
        let FeatureSets { lost, suspects, .. } = &mut self.sets;
        if fails {
            suspects.copy_from(lost);
        }
        Examined {
            masked: invalid.saturating_add(off),
            most_lost,
            guarded: 0,
            failing: fails.then_some(Cause::ChannelsMasked),
        }
    }
}
