//! What the doctor examines.

use super::finding::Status;
use crate::configuration::Configuration;

/// What is tried: the configuration in force, and whether it was given (what only its defaults ask for, and this machine
/// does not have, is a warning at most).
#[derive(Clone, Copy, Debug)]
pub struct Patient<'a> {
    /// The configuration.
    pub configuration: &'a Configuration,
    /// Whether it comes from a file.
    pub given: bool,
}

impl Patient<'_> {
    /// How bad it is that something cannot be had that the configuration asks for.
    pub(super) fn asked_for(&self) -> Status {
        if self.given { Status::Problem } else { Status::Warning }
    }
}
