//! An event was handed to the daemon.

use serde::Serialize;

#[cfg(test)]
use super::described::Described;

/// An event was handed to the daemon, with the number that it is published under.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "accepted")]
pub(crate) struct AcceptedEvent {
    request: &'static str,
    event_seq: u64,
}

impl AcceptedEvent {
    pub(crate) fn new(event_seq: u64) -> Self {
        Self { request: "events", event_seq }
    }
}

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "AcceptedEvent",
    fragment: include_str!("accepted_event.json"),
    example: || serde_json::to_string(&AcceptedEvent::new(7)),
};
