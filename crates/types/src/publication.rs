//! What the tick thread hands to the publishers.

use serde::{Deserialize, Serialize};

use crate::{LslTime, OutputState, Position, Reason, Seconds, TickOutput};

/// When a tick passed each stage, on the local clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// When the pull that closed the bin returned (for a deadline: when it passed).
    pub received: LslTime,
    /// When the tick thread began with the bin.
    pub closed: LslTime,
    /// When the engine was done with it.
    pub decoded: LslTime,
}

/// A tick on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TickPublication {
    /// What the engine gave.
    pub output: TickOutput,
    /// When it passed each stage.
    pub times: StageTimes,
    /// Age of the newest sample used when the engine was done; of the bin's end where there is none.
    pub age: Seconds,
    /// Whether the tick began more than a bin width late.
    pub late: bool,
}

/// A sign of life without a tick: sent at once when the state changes, else every 100 ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When.
    pub time: LslTime,
    /// The state now.
    pub state: OutputState,
    /// Why.
    pub reason: Option<Reason>,
    /// `seq` of the newest tick, if any.
    pub last_seq: Option<u64>,
    /// Cursor position.
    pub position: Position,
}

/// Another state than before, or another reason for it: every change that clients are shown, once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateChange {
    /// When, on the local clock. Never before the change before it.
    pub time: LslTime,
    /// The state now.
    pub state: OutputState,
    /// Why.
    pub reason: Option<Reason>,
    /// The state before.
    pub previous: OutputState,
    /// Why it was that.
    pub previous_reason: Option<Reason>,
    /// When what was shown before began: the time of the change before, or the start of the run.
    pub since: LslTime,
    /// The newest tick, which need not be the one that brought the change: without ticks there is none.
    pub seq: Option<u64>,
}

/// What the tick thread hands to the publishers. `Copy` and of fixed size: passing it on allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation on the tick")]
pub enum Publication {
    /// A tick.
    Tick(TickPublication),
    /// No tick, but a sign of life.
    Heartbeat(Heartbeat),
}
