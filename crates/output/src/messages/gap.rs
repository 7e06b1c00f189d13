//! The client fell behind.

use serde::Serialize;

#[cfg(test)]
use super::described::Described;

/// The client fell behind; the next state is the newest.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "gap")]
pub(crate) struct Gap {
    pub(crate) missed: u64,
    pub(crate) missed_events: u64,
}

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "Gap",
    fragment: include_str!("gap.json"),
    example: || serde_json::to_string(&Gap { missed: 12, missed_events: 0 }),
};
