//! What an operator has set of clicks.

use kalmind_types::{ClickTuning, SelectBy};

/// Thresholds, and holds in milliseconds, that may be set.
pub(super) const THRESHOLDS: [f64; 2] = [0.05, 0.999];
pub(super) const HOLDS_MS: [f64; 2] = [0.0, 1000.0];

/// What the operator has set of clicks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ClickOptions {
    /// Whether staying selects where the preset has a click do it.
    pub(super) dwells: bool,
    /// What counts as a press.
    pub(super) tuning: ClickTuning,
}

impl ClickOptions {
    pub(super) fn select(self) -> SelectBy {
        if self.dwells { SelectBy::Dwell } else { SelectBy::Click }
    }
}
