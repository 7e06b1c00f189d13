//! What a click decoder is fitted for.

/// What a click decoder is fitted for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClickFitSettings {
    /// Width of a row, in milliseconds.
    pub bin_ms: f64,
    /// See [`ClickSettings::hold_ms`](kalmind_filter::ClickSettings::hold_ms).
    pub hold_ms: f64,
    /// See [`ClickSettings::refractory_ms`](kalmind_filter::ClickSettings::refractory_ms).
    pub refractory_ms: f64,
    /// The most false presses a minute on held-out rows in which none is meant.
    pub false_per_minute: f64,
    /// How long after the end of an act a press still counts as its own, in milliseconds.
    pub late_ms: f64,
}

impl Default for ClickFitSettings {
    fn default() -> Self {
        Self { bin_ms: 20.0, hold_ms: 40.0, refractory_ms: 500.0, false_per_minute: 1.0, late_ms: 200.0 }
    }
}
