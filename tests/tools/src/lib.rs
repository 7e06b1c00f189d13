//! A session made up, behind the real hub and server: what tests of the whole use where they need no decoder.

#[path = "../../../crates/output/tests/fake/mod.rs"]
#[expect(
    missing_docs,
    missing_debug_implementations,
    clippy::missing_errors_doc,
    reason = "it serves tests, which name things as it does"
)]
pub mod fake;
mod walk;

pub use walk::Walk;
