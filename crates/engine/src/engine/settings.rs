//! How the engine decodes and moves.

use kalmind_filter::LabelLaw;
use kalmind_types::{Mode, Seconds, StreamFeatures};
use serde::{Deserialize, Serialize};

use crate::CursorSettings;

/// How the engine decodes and moves. A recording keeps it, so that replay builds the same engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// The features each stream contributes, in the configuration's order.
    pub features: Vec<StreamFeatures>,
    /// The part of all features that may be masked before a bin counts as incomplete.
    pub max_masked: f64,
    /// After this long without a complete bin the next complete one is row one.
    pub restart_after: Seconds,
    /// After this long without a complete bin the state is `stale`.
    pub stale_after: Seconds,
    /// `stale` returns by itself if it was shorter than this.
    pub auto_resume: Seconds,
    /// The mode at start.
    pub start: Mode,
    /// The cursor.
    pub cursor: CursorSettings,
    /// The law that moves the cursor while the task drives it.
    pub label_law: LabelLaw,
    /// Whether features that no longer look like training are not decoded, and channels that the guard corrected or masked
    /// count as masked. Sessions recorded before there was a choice ran without.
    #[serde(default)]
    pub plausibility: bool,
    /// After so long in which the decoder took no measurement in, though there were features, the state is `stale`.
    #[serde(default = "never")]
    pub fallback_stale: Seconds,
    /// Whether a model in doubt may move the cursor in `calibrating`, where no other program is steered by it; control it has
    /// not. In sessions recorded before there was a choice it moved nothing.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub doubted_calibrates: bool,
}

/// What sessions recorded before [`EngineSettings::fallback_stale`] had.
fn never() -> Seconds {
    Seconds(f64::MAX)
}
