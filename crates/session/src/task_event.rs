//! What a task tells: targets, trials, blocks and what it asks of the daemon, as typed values.

use kalmind_types::{Event, EventKind, LslTime, Mode, Target};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Phase, TaskBlock};

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialResult {
    /// The cursor was held in the target.
    Acquired,
    /// The time was up.
    Timeout,
}

/// What a task may ask of the daemon. None of it clears a latched hold: that takes an authenticated resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorAction {
    /// Latch `hold`, at once.
    Stop,
    /// Ask for the mode `idle`.
    Idle,
    /// Ask for the mode `calibrating`.
    Calibrating,
    /// Ask for the mode `control`.
    Control,
    /// Agree to go on, in the mode asked for last, after a silence of the input that was too long to end by itself. Needs
    /// the configuration's leave; clears neither a stop nor a fault.
    Resume,
    /// Have it measured anew how the streams arrive.
    MeasureArrival,
}

impl OperatorAction {
    /// The mode asked for; none for a stop, a measurement, and a resume, which leaves the mode as it is.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::Stop | Self::Resume | Self::MeasureArrival => None,
            Self::Idle => Some(Mode::Idle),
            Self::Calibrating => Some(Mode::Calibrating),
            Self::Control => Some(Mode::Control),
        }
    }
}

/// What a task event says.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEventContent {
    /// A target was presented, or taken away.
    Target(Option<Target>),
    /// A trial began or ended.
    Trial {
        /// Number of the trial, from 0 within the session.
        trial: u64,
        /// Which end.
        phase: Phase,
        /// How it ended; none at its start, or where it was broken off with its block.
        result: Option<TrialResult>,
    },
    /// A block began or ended.
    TaskBlock {
        /// Which.
        block: TaskBlock,
        /// Which end.
        phase: Phase,
    },
    /// The task asks for something.
    Operator(OperatorAction),
}

/// A task event at its time.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEvent {
    /// When, on the LSL clock.
    pub time: LslTime,
    /// What.
    pub content: TaskEventContent,
}

impl TaskEventContent {
    /// The kind of the event.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Target(_) => EventKind::Target,
            Self::Trial { .. } => EventKind::Trial,
            Self::TaskBlock { .. } => EventKind::TaskBlock,
            Self::Operator(_) => EventKind::Operator,
        }
    }

    /// The event's `data`.
    pub fn data(&self) -> Value {
        match self {
            Self::Target(None) => json!({ "position": null }),
            Self::Target(Some(target)) => json!({ "position": target.position, "radius": target.radius }),
            Self::Trial { trial, phase, result } => {
                json!({ "trial": trial, "phase": phase, "result": result })
            }
            Self::TaskBlock { block, phase } => json!({ "block": block, "phase": phase }),
            Self::Operator(action) => json!({ "action": action, "by": "task" }),
        }
    }
}

impl TaskEvent {
    /// The event as everyone sees it, with the number that the publisher gives it.
    pub fn into_event(self, event_seq: u64) -> Event {
        Event::new(self.time, event_seq, self.content.kind(), self.content.data())
    }
}
