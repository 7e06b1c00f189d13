//! What a task may tell, read strictly: whoever writes a task program learns at once what was not understood.

use serde::Deserialize;
use serde_json::Value;

use super::{EventBody, EventKind, HandEvent, HandTag};
use crate::{Actor, OperatorAction, Phase, Position, Target, TaskBlock, TrialResult, Velocity};

/// Radius of a target that states none, in workspace widths.
const DEFAULT_RADIUS: f64 = 0.06;
/// Positions and radii beyond this many workspace widths are a mistake, most likely pixels.
const FARTHEST: f64 = 10.0;
/// Faster hands (in workspace widths per second) are a mistake, most likely pixels.
const FASTEST: f64 = 100.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetData {
    #[serde(deserialize_with = "Option::deserialize")]
    position: Option<[f64; 2]>,
    #[serde(default)]
    radius: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrialData {
    trial: u64,
    phase: Phase,
    #[serde(default)]
    result: Option<TrialResult>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskBlockData {
    block: TaskBlock,
    phase: Phase,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorData {
    action: OperatorAction,
    #[serde(default, rename = "by")]
    _by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandData {
    action: HandTag,
    #[serde(default, rename = "by")]
    _by: Option<String>,
    velocity: [f64; 2],
}

impl EventBody {
    /// What a task tells by an event of `kind` with `data`; whoever it says asks for something, it is the task.
    ///
    /// # Errors
    /// A sentence, for any other kind or member, and for what makes no sense.
    pub fn told_by_task(kind: EventKind, data: &Value) -> Result<Self, String> {
        match kind {
            EventKind::Target => target(&from_data(data, "position and radius")?),
            EventKind::Trial => {
                let TrialData { trial, phase, result } = from_data(data, "trial, phase and result")?;
                Ok(Self::Trial { trial, phase, result })
            }
            EventKind::TaskBlock => {
                let TaskBlockData { block, phase } = from_data(data, "block and phase")?;
                Ok(Self::TaskBlock { block, phase })
            }
            EventKind::Operator if data["action"] == "hand" => {
                hand(&from_data(data, "action, and velocity: [x, y] in workspace widths per second")?)
            }
            EventKind::Operator => {
                let OperatorData { action, .. } = from_data(data, "action")?;
                Ok(Self::task_asks(action))
            }
            EventKind::Model | EventKind::Window | EventKind::State | EventKind::Fault => {
                Err("only the daemon tells of models, windows, states and faults".to_owned())
            }
        }
    }
}

fn from_data<'a, T: Deserialize<'a>>(data: &'a Value, expected: &str) -> Result<T, String> {
    T::deserialize(data).map_err(|error| format!("data: {error} (expected {expected})"))
}

fn target(data: &TargetData) -> Result<EventBody, String> {
    let Some(position) = data.position else {
        return Ok(EventBody::Target(None));
    };
    let radius = data.radius.unwrap_or(DEFAULT_RADIUS);
    if let Some(far) = position.iter().find(|value| value.is_nan() || value.abs() > FARTHEST) {
        return Err(format!("data: position {far} is far outside; the workspace is one unit wide"));
    }
    if radius.is_nan() || radius <= 0.0 || radius > FARTHEST {
        return Err(format!("data: radius {radius}; it is a positive number of workspace widths"));
    }
    Ok(EventBody::Target(Some(Target { position: Position(position), radius })))
}

fn hand(data: &HandData) -> Result<EventBody, String> {
    let HandData { action, velocity, .. } = *data;
    if let Some(fast) = velocity.iter().find(|value| value.is_nan() || value.abs() > FASTEST) {
        return Err(format!(
            "data: velocity {fast}; a hand's is in workspace widths per second, at most {FASTEST}"
        ));
    }
    Ok(EventBody::Hand(HandEvent { action, by: Actor::Task, velocity: Velocity(velocity) }))
}
