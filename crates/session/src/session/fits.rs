//! Fits that a session has asked for, and what became of them.

use super::status::FitStatus;
use crate::Calibration;

/// Fits of a session.
#[derive(Debug, Default)]
pub(super) struct Fits {
    pub(super) next: u64,
    /// The one that runs.
    pub(super) running: Option<u64>,
    /// Seconds of the block when the newest one was asked for.
    pub(super) asked_at: f64,
    /// One that begins once the one that runs has ended: the decoder.
    pub(super) then: Option<String>,
    /// Whether the next one is the first to its rows.
    pub(super) anew: bool,
    pub(super) status: FitStatus,
}

impl Fits {
    /// What there is to show of them.
    pub(super) fn status(&self, calibration: Option<&Calibration>) -> FitStatus {
        FitStatus {
            running: self.running.is_some(),
            rows: calibration.map_or(0, Calibration::rows),
            rows_refused: calibration.map_or(0, Calibration::refused),
            ..self.status.clone()
        }
    }

    /// Whether nothing is fitted, nor about to be.
    pub(super) fn are_idle(&self) -> bool {
        self.running.is_none() && self.then.is_none()
    }

    /// A block begins.
    pub(super) fn begin_block(&mut self) {
        self.asked_at = 0.0;
    }
}
