//! Something that happened beside the ticks. Its type is [`Event`]: LSL outlet, HTTP and recordings say the same.

use kalmind_types::{Event, EventBody, LslTime, Phase, TrialResult};

use super::described::Described;

/// What the documents say of it.
pub(super) const DESCRIBED: Described = Described {
    key: "Event",
    fragment: include_str!("event.json"),
    example: || {
        let body = EventBody::Trial { trial: 3, phase: Phase::End, result: Some(TrialResult::Acquired) };
        serde_json::to_string(&Event::new(LslTime(5678.9), 7, body))
    },
};
