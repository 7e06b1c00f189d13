//! What happens beside the ticks: targets, trials, task blocks, what operators do, models, faults.

use serde::{Deserialize, Serialize};

use crate::{LslTime, Position};

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A target was presented: data {position: [x, y], radius}, or {position: null} when it was taken away.
    Target,
    /// A trial started or ended: data {trial, phase: "start" | "end", result: "acquired" | "timeout" | null}.
    Trial,
    /// A task block started or ended: data {block, phase: "start" | "end"}.
    TaskBlock,
    /// Somebody asked for something: data {action, by, ...}.
    Operator,
    /// A model was fitted, loaded, swapped or undone: data {action, hash, decoder, ...}.
    Model,
    /// The output's state or its reason changed, other than to `fault`: stale input, a recovery, a stop, a request that
    /// took effect. Data {state, reason, cause, by, previous, since, awaits, seq, message}.
    State,
    /// Something broke: the output's state became `fault`. Data as of `state`.
    Fault,
}

/// One event: the same schema in the WebSocket, the LSL outlet, HTTP and recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Always `event`.
    #[serde(rename = "type")]
    pub message_type: EventTag,
    /// When it happened, on the LSL clock.
    pub time: LslTime,
    /// Counts events from 0; a loss shows as a hole.
    pub event_seq: u64,
    /// What it tells of.
    pub kind: EventKind,
    /// The rest, by kind.
    pub data: serde_json::Value,
}

/// The constant `"event"` of an event's `type` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventTag {
    /// The only value.
    #[default]
    #[serde(rename = "event")]
    Event,
}

impl Event {
    /// An event of `kind` at `time`.
    #[must_use]
    pub fn new(time: LslTime, event_seq: u64, kind: EventKind, data: serde_json::Value) -> Self {
        Self { message_type: EventTag::Event, time, event_seq, kind, data }
    }
}

/// What a participant moves the cursor to: a disc.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Centre, in workspace widths.
    pub position: Position,
    /// Radius, in workspace widths.
    pub radius: f64,
}
