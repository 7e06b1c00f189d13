//! How a block went, in figures.

use serde::Serialize;

/// How a block went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreStatus {
    /// Targets that were acquired, timed out or missed for another.
    pub presented: u64,
    /// Targets acquired.
    pub acquired: u64,
    /// Selections of something else.
    pub incorrect: u64,
    /// Median time to target.
    pub time_to_target_s: Option<f64>,
    /// Bits per second, where wrong ones could be selected.
    pub bit_rate: Option<f64>,
    /// The most assistance in any trial that counts here, 0 to 1.
    pub assistance: f64,
}
