//! What a look at a bin found.

use kalmind_types::{Cause, ChannelMask, Seconds, most_missing};

use super::{history::HistoryRow, settings::EngineSettings};

/// By what the bins of a run are examined. Allocates at construction only; whoever shows bins to models has one.
#[derive(Clone, Debug)]
pub struct Examiner {
    pub(super) max_masked: f64,
    pub(super) restart_after: Seconds,
    pub(super) plausibility: bool,
}

impl Examiner {
    pub(super) fn new(settings: &EngineSettings) -> Self {
        let EngineSettings { max_masked, restart_after, plausibility, .. } = *settings;
        Self { max_masked, restart_after, plausibility }
    }
}

/// What a look at a bin's features showed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Examined {
    /// Features without a valid value, or switched off.
    pub(super) missing: ChannelMask,
    /// Those that are not switched off.
    pub(super) invalid: ChannelMask,
    /// How many of them there may be.
    pub(super) most_invalid: f64,
    /// How many features are missing.
    pub(super) masked: u32,
    pub(super) guarded: u16,
    pub(super) suspects: ChannelMask,
    /// Why nothing can be decoded from the features.
    pub(super) failing: Option<Cause>,
}

impl Examined {
    /// What can be said of a bin in which these features have no value to decode.
    pub(super) fn of(row: &HistoryRow<'_>, missing: ChannelMask, examiner: &mut Examiner) -> Self {
        let switched_off = row.masked.count_of(row.raw.len());
        let invalid = without(missing, row.masked);
        let most_invalid = most_missing(examiner.max_masked, row.raw.len(), switched_off);
        let fails = f64::from(invalid.count()) > most_invalid;
        Self {
            missing,
            invalid,
            most_invalid,
            masked: invalid.count().saturating_add(switched_off as u32),
            guarded: 0,
            suspects: if fails { invalid } else { ChannelMask::default() },
            failing: fails.then_some(Cause::ChannelsMasked),
        }
    }
}

/// The features of `mask` that are not among the `others`.
pub(super) fn without(mut mask: ChannelMask, others: &ChannelMask) -> ChannelMask {
    for (word, other) in mask.0.iter_mut().zip(others.0) {
        *word &= !other;
    }
    mask
}
