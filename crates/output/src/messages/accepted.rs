//! A request was handed to the daemon.

use serde::Serialize;

#[cfg(test)]
use super::described::Described;

/// A request was handed to the daemon.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "accepted")]
pub(crate) struct Accepted {
    pub(crate) request: &'static str,
}

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "Accepted",
    fragment: include_str!("accepted.json"),
    example: || serde_json::to_string(&Accepted { request: "stop" }),
};
