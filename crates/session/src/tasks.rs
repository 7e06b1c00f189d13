//! The tasks that Kalmind itself can present: a file for each, and the registry of them all.
//!
//! To add one: a file here with its options and its [`TaskKind`], and a line in [`TASKS`].

mod acquisition;
mod grid;
mod mfitts;
mod radial8;
mod random;

use crate::task::TaskKind;

/// Every task; the first one is what is presented where nobody chooses.
pub const TASKS: &[&TaskKind] = &[&radial8::RADIAL8, &grid::GRID, &random::RANDOM, &mfitts::MFITTS];

/// The task of this name.
pub fn task_named(name: &str) -> Option<&'static TaskKind> {
    TASKS.iter().copied().find(|task| task.name == name)
}
