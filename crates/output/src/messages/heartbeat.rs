//! A sign of life without a tick.

use kalmind_types::{Heartbeat, LslTime, OutputState, Position};
use serde::Serialize;

#[cfg(test)]
use super::described::Described;
use super::reason_text::ReasonText;

/// A sign of life without a tick.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "heartbeat")]
pub(crate) struct HeartbeatMessage<'a> {
    session: &'a str,
    time: LslTime,
    state: OutputState,
    reason: Option<ReasonText>,
    last_seq: Option<u64>,
    position: Position,
    sent: LslTime,
}

impl<'a> HeartbeatMessage<'a> {
    pub(crate) fn new(session: &'a str, heartbeat: &Heartbeat, sent: LslTime) -> Self {
        Self {
            session,
            time: heartbeat.time,
            state: heartbeat.state,
            reason: heartbeat.reason.map(ReasonText),
            last_seq: heartbeat.last_seq,
            position: heartbeat.position,
            sent,
        }
    }
}

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "Heartbeat",
    fragment: include_str!("heartbeat.json"),
    example: || {
        use kalmind_types::{Actor, Cause, Reason};

        let heartbeat = Heartbeat {
            time: LslTime(5678.9),
            state: OutputState::Hold,
            reason: Some(Reason { cause: Cause::Stopped, by: Actor::Operator }),
            last_seq: Some(1234),
            position: Position([0.4, 0.3]),
        };
        serde_json::to_string(&HeartbeatMessage::new(
            "7b0c6d0e-6a43-4c0e-9d39-0d5b7d1d3f0a",
            &heartbeat,
            LslTime(5678.9),
        ))
    },
};
