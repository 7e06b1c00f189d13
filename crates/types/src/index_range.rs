//! Which samples of a stream.

use serde::{Deserialize, Serialize};

/// A run of consecutive sample indices, half-open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRange {
    /// First index.
    pub first: u64,
    /// Index past the last.
    pub end: u64,
}
