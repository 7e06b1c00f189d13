//! What happens beside the ticks: targets, trials, task blocks, what operators do, models, states, faults.
//!
//! An event's body is a value of [`EventBody`] everywhere inside; only at the edges it is JSON: [`EventBody::read`] where a
//! recording or a stream is read, [`RenderedEvent`] where one is published.

mod bodies;
mod session;
mod task;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct as _};
use serde_json::{Value, json};

pub use bodies::{
    ArrivalAction, ArrivalEvent, ChannelHealthEvent, ChannelHealthTag, Confirmation, HandEvent, HandTag,
    ModelEvent, ModelSource, OperatorRequest, RecordingFault, RecordingTag, StagesAction, StagesEvent,
    StateCause, StateEvent, StreamArrival, WindowEvent, WindowValue,
};
pub use session::{SelectBy, SessionChange, SessionEvent};

use crate::{LslTime, OperatorAction, OutputState, Phase, Target, TaskBlock, TrialResult};

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A target was presented or taken away.
    Target,
    /// A trial started or ended.
    Trial,
    /// A task block started or ended.
    TaskBlock,
    /// Somebody asked for something, how the streams arrive was measured, or channels are left out.
    Operator,
    /// A model came to the run, was put in, or could not be fitted.
    Model,
    /// A window at a marker was read, or could not be.
    Window,
    /// The output's state or its reason changed, other than to `fault`: stale input, a recovery, a stop, a request that
    /// took effect.
    State,
    /// Something broke: the output's state became `fault`, or the recording is in trouble.
    Fault,
}

/// One event: the same schema in the WebSocket, the LSL outlet, HTTP and recordings:
/// `{"type": "event", "time", "event_seq", "kind", "data"}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened, on the LSL clock.
    pub time: LslTime,
    /// Counts events from 0; a loss shows as a hole.
    pub event_seq: u64,
    /// What it tells: its `kind` and `data`.
    pub body: EventBody,
}

/// What an event tells. The members of its `data` stand in alphabetical order.
#[derive(Clone, Debug, PartialEq)]
pub enum EventBody {
    /// A target was presented, or taken away: `{position: [x, y], radius}` or `{position: null}`.
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
    /// Somebody asked for something.
    Operator(OperatorRequest),
    /// How a person's hand moves; of the kind `operator`.
    Hand(HandEvent),
    /// How the streams arrive is being measured, or was; of the kind `operator`.
    Arrival(ArrivalEvent),
    /// Another generation of a stream's stages is on its way, or in force; of the kind `operator`.
    Stages(StagesEvent),
    /// Channels are left out because they are not healthy, or taken in again; of the kind `operator`.
    ChannelHealth(ChannelHealthEvent),
    /// What was done in a session, and what it made of it; of the kind `operator`.
    Session(Box<SessionEvent>),
    /// A model came to the run, was put in, or could not be fitted.
    Model(ModelEvent),
    /// A window at a marker was read, or could not be.
    Window(Box<WindowEvent>),
    /// The output's state or its reason changed; of the kind `fault` where the state is that, else of the kind `state`.
    State(Box<StateEvent>),
    /// The recording is in trouble; of the kind `fault`.
    Recording(RecordingFault),
    /// What this version does not know: of another version, or by another program.
    Other {
        /// Its kind.
        kind: EventKind,
        /// Its data as they are.
        data: Value,
    },
}

/// The constant `"event"` of an event's `type` member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventTag {
    /// The only value.
    #[default]
    #[serde(rename = "event")]
    Event,
}

impl EventBody {
    /// The kind of the event.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Target(_) => EventKind::Target,
            Self::Trial { .. } => EventKind::Trial,
            Self::TaskBlock { .. } => EventKind::TaskBlock,
            Self::Operator(_)
            | Self::Hand(_)
            | Self::Arrival(_)
            | Self::Stages(_)
            | Self::ChannelHealth(_)
            | Self::Session(_) => EventKind::Operator,
            Self::Model(_) => EventKind::Model,
            Self::Window(_) => EventKind::Window,
            Self::State(change) if change.state == OutputState::Fault => EventKind::Fault,
            Self::State(_) => EventKind::State,
            Self::Recording(_) => EventKind::Fault,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// The event's `data`.
    #[must_use]
    pub fn data(&self) -> Value {
        match self {
            Self::Target(None) => json!({ "position": null }),
            Self::Target(Some(target)) => json!(target),
            Self::Trial { trial, phase, result } => {
                json!({ "trial": trial, "phase": phase, "result": result })
            }
            Self::TaskBlock { block, phase } => json!({ "block": block, "phase": phase }),
            Self::Operator(request) => json!(request),
            Self::Hand(hand) => json!(hand),
            Self::Arrival(arrival) => json!(arrival),
            Self::Stages(stages) => json!(stages),
            Self::ChannelHealth(health) => json!(health),
            Self::Session(session) => json!(session),
            Self::Model(model) => json!(model),
            Self::Window(window) => json!(window),
            Self::State(change) => json!(change),
            Self::Recording(fault) => json!(fault),
            Self::Other { data, .. } => data.clone(),
        }
    }

    /// What an event that was recorded or published tells. Data that this version does not know are kept as they are.
    #[must_use]
    pub fn read(kind: EventKind, data: Value) -> Self {
        let known = match kind {
            EventKind::Target | EventKind::Trial | EventKind::TaskBlock => {
                Self::told_by_task(kind, &data).ok()
            }
            EventKind::Operator => OperatorRequest::deserialize(&data)
                .map(Self::Operator)
                .or_else(|_| HandEvent::deserialize(&data).map(Self::Hand))
                .or_else(|_| ArrivalEvent::deserialize(&data).map(Self::Arrival))
                .or_else(|_| StagesEvent::deserialize(&data).map(Self::Stages))
                .or_else(|_| ChannelHealthEvent::deserialize(&data).map(Self::ChannelHealth))
                .or_else(|_| SessionEvent::deserialize(&data).map(|session| Self::Session(Box::new(session))))
                .ok(),
            EventKind::Model => ModelEvent::deserialize(&data).map(Self::Model).ok(),
            EventKind::Window => {
                WindowEvent::deserialize(&data).map(|window| Self::Window(Box::new(window))).ok()
            }
            EventKind::State | EventKind::Fault => StateEvent::deserialize(&data)
                .map(|change| Self::State(Box::new(change)))
                .or_else(|_| RecordingFault::deserialize(&data).map(Self::Recording))
                .ok(),
        };
        known.filter(|body| body.kind() == kind).unwrap_or(Self::Other { kind, data })
    }

    /// A request that a task makes.
    #[must_use]
    pub fn task_asks(action: OperatorAction) -> Self {
        Self::Operator(OperatorRequest::new(action, crate::Actor::Task))
    }

    /// What is asked for, where somebody asks.
    #[must_use]
    pub fn requested(&self) -> Option<OperatorAction> {
        match self {
            Self::Operator(request) => Some(request.action),
            _ => None,
        }
    }
}

impl Event {
    /// An event at `time`.
    #[must_use]
    pub fn new(time: LslTime, event_seq: u64, body: EventBody) -> Self {
        Self { time, event_seq, body }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut members = to.serialize_struct("Event", 5)?;
        members.serialize_field("type", &EventTag::Event)?;
        members.serialize_field("time", &self.time)?;
        members.serialize_field("event_seq", &self.event_seq)?;
        members.serialize_field("kind", &self.body.kind())?;
        members.serialize_field("data", &self.body.data())?;
        members.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Members {
            #[serde(rename = "type")]
            _message_type: EventTag,
            time: LslTime,
            event_seq: u64,
            kind: EventKind,
            data: Value,
        }
        let Members { time, event_seq, kind, data, .. } = Members::deserialize(from)?;
        Ok(Self { time, event_seq, body: EventBody::read(kind, data) })
    }
}

/// An event beside its JSON text, which is made once for all who publish it.
#[derive(Clone, Debug)]
pub struct RenderedEvent {
    /// The event.
    pub event: Event,
    /// Its text.
    pub text: Arc<str>,
}

impl From<Event> for RenderedEvent {
    fn from(event: Event) -> Self {
        // string keys and plain values cannot fail to serialise
        let text = serde_json::to_string(&event).unwrap_or_default();
        Self { event, text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events as sessions recorded them: kind and data.
    const RECORDED: [(&str, &str); 23] = [
        (
            "operator",
            r#"{"by":"operator","operator":"AB","participant":"P1","preset":"quick-start","session":"opened"}"#,
        ),
        ("operator", r#"{"by":"daemon","session":"verdict","text":"good enough","verdict":"good_enough"}"#),
        ("operator", r#"{"by":"client","session":"called"}"#),
        ("target", r#"{"position":[0.2878679656440358,0.7121320343559643],"radius":0.06}"#),
        ("target", r#"{"position":null}"#),
        ("trial", r#"{"phase":"end","result":"acquired","trial":0}"#),
        ("task_block", r#"{"block":"open_loop","phase":"start"}"#),
        ("operator", r#"{"action":"stop","by":"operator"}"#),
        ("operator", r#"{"action":"hand","by":"task","velocity":[0.25,-0.5]}"#),
        ("operator", r#"{"action":"resume","by":"task","refused":"only the operator can resume"}"#),
        (
            "operator",
            r#"{"action":"control","by":"daemon","confirmed":["poor_decoder"],"model":"373e","program":true}"#,
        ),
        (
            "operator",
            r#"{"action":"arrival_measured","by":"daemon","input":{"delay_ms":0.3168760008338718,"max_wait_ms":52.0,"state":"fit","text":"sample by sample"},"streams":[{"arrival":{"backlog_ms":150.0,"measured":{"ahead_ms":0.0,"delay_ms":0.31,"interval_ms":19.99,"longest_interval_ms":20.35,"longest_wait_ms":20.7},"measuring":false,"remark":null,"stall_ms":100.0},"key":"participant"}]}"#,
        ),
        (
            "model",
            r#"{"action":"swapped","covariance":"constant","decoder":"kalman-steady","hash":"373e","poor":true,"quality":{"nrmse":1.3550495608995636,"rows":171},"train_bins":249,"warnings":["a warning"]}"#,
        ),
        (
            "operator",
            r#"{"action":"stages_in_force","at":4200,"by":"operator","generation":"abababababababababababababababababababababababababababababababab","seq":31,"stream":"array"}"#,
        ),
        ("model", r#"{"action":"fit_failed","problem":"too few rows"}"#),
        ("model", r#"{"action":"swap_failed","hash":"373e","problem":"the ticks failed"}"#),
        (
            "model",
            r#"{"action":"added","by":"operator","decoder":"kalman","hash":"373e","poor":false,"source":"posted"}"#,
        ),
        (
            "model",
            r#"{"action":"swapped","by":"operator","covariance":"constant","decoder":"kalman","hash":"373e","poor":false,"quality":null,"train_bins":null,"warnings":[]}"#,
        ),
        (
            "window",
            r#"{"event":3,"first":1200,"marker":"S1","missing":null,"reader":"mean","samples":100,"stream":"eeg","values":[{"name":"Cz","value":0.1}],"window":"flash"}"#,
        ),
        (
            "window",
            r#"{"event":4,"first":null,"marker":"S1","missing":"gap","reader":"mean","samples":100,"stream":"eeg","values":null,"window":"flash"}"#,
        ),
        (
            "state",
            r#"{"awaits":null,"by":"daemon","cause":"signal_back","channels":[],"message":"the signal is back","previous":"stale","reason":"requested by Kalmind","seq":3,"since":4106.63217222,"state":"idle"}"#,
        ),
        (
            "fault",
            r#"{"awaits":"operator","by":"daemon","cause":"panicked","channels":[],"message":"fault","previous":"control","reason":"an error","seq":null,"since":4106.63217222,"state":"fault"}"#,
        ),
        (
            "fault",
            r#"{"file":"a.xdf","lost_samples":0,"lost_ticks":0,"reason":"the disk is full","source":"recording"}"#,
        ),
    ];

    fn text(kind: &str, data: &str) -> String {
        format!(r#"{{"type":"event","time":4106.636362375,"event_seq":7,"kind":"{kind}","data":{data}}}"#)
    }

    #[test]
    fn recorded_events_are_understood_and_come_back_byte_for_byte() {
        for (kind, data) in RECORDED {
            let text = text(kind, data);
            let event: Event = serde_json::from_str(&text).unwrap();
            assert!(!matches!(event.body, EventBody::Other { .. }), "{text}");
            assert_eq!(*RenderedEvent::from(event).text, text);
        }
    }

    #[test]
    fn events_of_other_versions_are_kept_as_they_are() {
        for (kind, data) in [
            ("trial", r#"{"phase":"pause","trial":0}"#),
            ("target", r#"{"position":[0.5,0.5],"size":3}"#),
            ("operator", r#"{"action":"remark","by":"operator","text":"a pause"}"#),
            ("fault", r#"{"previous":null,"since_s":3,"state":"fault"}"#),
            // a state of the other kind
            ("fault", r#"{"message":"no signal","previous":"control","state":"stale"}"#),
            ("state", "[1,2]"),
        ] {
            let text = text(kind, data);
            let event: Event = serde_json::from_str(&text).unwrap();
            assert!(matches!(event.body, EventBody::Other { .. }), "{text}");
            assert_eq!(*RenderedEvent::from(event).text, text);
        }
        assert!(serde_json::from_str::<Event>(&text("lunch", "{}")).is_err());
    }
}
