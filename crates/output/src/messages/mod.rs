//! What the server says over the WebSocket: one type a message, serialised as the client protocol fixes it.
//!
//! Numbers that are not finite become `null` (that is `serde_json`'s rule for `f64`); a property test holds it to that.

use kalmind_types::{
    Click, Component, Event, Heartbeat, Intent, LslTime, OutputState, Position, Reason, StreamStatus,
    TickPublication, Velocity, lower_triangle_index,
};
use serde::{Serialize, Serializer, ser::SerializeSeq as _};

use crate::{DecoderInfo, Limits, request::PingMark};

/// The version of the client protocol.
pub const PROTOCOL: u32 = 1;

/// The first message to every client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "hello")]
pub(crate) struct Hello<'a> {
    pub(crate) protocol: u32,
    pub(crate) session: &'a str,
    pub(crate) run: u64,
    pub(crate) instance: &'a str,
    pub(crate) participant: &'a str,
    pub(crate) version: &'a str,
    pub(crate) bin_ms: f64,
    pub(crate) decoder: Option<DecoderInfo>,
    pub(crate) intent: &'a [Component],
    pub(crate) workspace: Workspace,
    pub(crate) streams: Vec<StreamStatus>,
    pub(crate) clock: ClockPair,
    pub(crate) target: Option<&'a Event>,
    pub(crate) event_seq: Option<u64>,
    pub(crate) state: OutputState,
    pub(crate) reason: Option<ReasonText>,
    pub(crate) flow: FlowControl,
    pub(crate) sent: LslTime,
}

/// How the server finds out how far this client has read.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct FlowControl {
    mode: &'static str,
    ping_every_ms: f64,
    silent_after_ms: f64,
    states_under_way: Option<usize>,
}

impl FlowControl {
    pub(crate) fn new(limits: &Limits, acknowledges: bool) -> Self {
        Self {
            mode: if acknowledges { "ack" } else { "ping" },
            ping_every_ms: limits.ping_every.as_secs_f64() * 1e3,
            silent_after_ms: limits.silent_after.as_secs_f64() * 1e3,
            states_under_way: acknowledges.then_some(limits.states_under_way),
        }
    }
}

/// The workspace's sides, in workspace widths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Workspace {
    /// Always 1.
    pub width: f64,
    /// Height over width.
    pub height: f64,
}

/// The same moment on both clocks.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ClockPair {
    pub(crate) lsl: LslTime,
    pub(crate) unix: f64,
}

/// One tick.
#[expect(clippy::struct_field_names, reason = "the protocol names the members")]
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "state")]
pub(crate) struct State<'a> {
    session: &'a str,
    seq: u64,
    epoch: u32,
    time: LslTime,
    newest: Option<LslTime>,
    incomplete: bool,
    state: OutputState,
    reason: Option<ReasonText>,
    position: Position,
    velocity: Velocity,
    intent: Option<IntentMessage<'a>>,
    click: Option<Click>,
    age_ms: f64,
    sent: LslTime,
    latency_us: StageLatencies,
}

/// How long the tick took in each stage that is over by the time it is sent, in microseconds.
#[derive(Debug, Serialize)]
struct StageLatencies {
    receive: Option<f64>,
    close: f64,
    decode: f64,
}

impl<'a> State<'a> {
    /// The message for `tick`, sent at `sent`.
    pub(crate) fn new(session: &'a str, tick: &'a TickPublication, sent: LslTime) -> Self {
        let output = &tick.output;
        let micros = |from: LslTime, to: LslTime| (to - from).0 * 1e6;
        Self {
            session,
            seq: output.seq,
            epoch: output.epoch,
            time: output.time,
            newest: output.newest,
            incomplete: output.incomplete,
            state: output.state,
            reason: output.reason.map(ReasonText),
            position: output.position,
            velocity: output.velocity,
            intent: output.intent.as_ref().map(IntentMessage),
            click: output.click,
            age_ms: tick.age.as_millis(),
            sent,
            latency_us: StageLatencies {
                receive: output.newest.map(|newest| micros(newest, tick.times.received)),
                close: micros(tick.times.received, tick.times.closed),
                decode: micros(tick.times.closed, tick.times.decoded),
            },
        }
    }
}

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

/// Everything else that the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Reply<'a> {
    /// The client fell behind; the next state is the newest.
    Gap { missed: u64, missed_events: u64 },
    /// The answer to a ping.
    Pong { t: PingMark, received: LslTime, sent: LslTime },
    /// A request was handed to the daemon; an event with the number that it is published under.
    Accepted {
        request: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        event_seq: Option<u64>,
    },
    /// A request was refused or not understood.
    Error { code: ErrorCode, message: &'a str },
}

impl<'a> Reply<'a> {
    /// `request` was handed to the daemon.
    pub(crate) fn accepted(request: &'a str) -> Self {
        Self::Accepted { request, event_seq: None }
    }
}

/// Why a request got an error, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// Not JSON, not a known type, or a member missing or wrong.
    Malformed,
    /// The token is missing.
    Unauthorized,
    /// The token shown is not this run's.
    WrongToken,
    /// The Host header, the Origin header or another site's page.
    Forbidden,
    /// No such path.
    NotFound,
    /// That path has no such method.
    MethodNotAllowed,
    /// Too large.
    TooLarge,
    /// Too often.
    TooFrequent,
    /// All connections are taken.
    TooMany,
    /// The request makes no sense as it stands.
    Invalid,
    /// Not in the present state.
    NotNow,
    /// Another model decodes than the one that was confirmed.
    OtherModel,
    /// No room right now.
    Busy,
}

/// A reason as clients read it: the text, not the codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReasonText(pub(crate) Reason);

impl Serialize for ReasonText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// Mean, and the covariance as a full matrix.
#[derive(Debug)]
struct IntentMessage<'a>(&'a Intent);

impl Serialize for IntentMessage<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            mean: &'a [f64],
            covariance: Rows<'a>,
        }
        Members { mean: self.0.mean(), covariance: Rows(self.0) }.serialize(to)
    }
}

/// The rows of a symmetric matrix.
struct Rows<'a>(&'a Intent);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let dimension = self.0.dimension();
        let mut rows = to.serialize_seq(Some(dimension))?;
        for row in 0..dimension {
            rows.serialize_element(&Row { intent: self.0, row })?;
        }
        rows.end()
    }
}

/// One row of it.
struct Row<'a> {
    intent: &'a Intent,
    row: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let triangle = self.intent.covariance();
        to.collect_seq(
            (0..self.intent.dimension()).map(|column| triangle[lower_triangle_index(self.row, column)]),
        )
    }
}

/// `message` as JSON text. Every message here has string keys and plain values, which cannot fail to serialise; should
/// it ever, the client reads an error object instead.
pub(crate) fn to_json(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_else(|error| {
        tracing::error!(%error, "a message could not be serialised");
        String::from(
            r#"{"type":"error","code":"invalid","message":"internal: a message could not be serialised"}"#,
        )
    })
}

#[cfg(test)]
mod tests {
    use kalmind_types::{Actor, Cause, MAX_COMPONENTS, Publication, Seconds, StageTimes, TickOutput};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Every number there is: zeros, subnormals, infinities, not-a-numbers.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![proptest::num::f64::ANY, Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)]
    }

    fn time() -> impl Strategy<Value = LslTime> {
        number().prop_map(LslTime)
    }

    fn state() -> impl Strategy<Value = (OutputState, Option<Reason>)> {
        let reason = Reason { cause: Cause::NotFinite, by: Actor::Daemon };
        (proptest::sample::select(OutputState::ALL.to_vec()), proptest::option::of(Just(reason)))
    }

    fn intent() -> impl Strategy<Value = Intent> {
        (1..=MAX_COMPONENTS, proptest::collection::vec(number(), 8), proptest::collection::vec(number(), 36))
            .prop_map(|(dimension, mean, covariance)| {
                let mut intent = Intent::zero(dimension);
                intent.mean_mut().copy_from_slice(&mean[..dimension]);
                let entries = dimension * (dimension + 1) / 2;
                intent.covariance_mut().copy_from_slice(&covariance[..entries]);
                intent
            })
    }

    fn tick() -> impl Strategy<Value = TickPublication> {
        let click = number().prop_map(|probability| Click { probability, ..Click::default() });
        let output = (
            any::<u64>(),
            (time(), proptest::option::of(time())),
            state(),
            (number(), number(), number(), number()),
            proptest::option::of(intent()),
            proptest::option::of(click),
        );
        (output, (time(), time(), time(), number())).prop_map(
            |((seq, (time, newest), (state, reason), (x, y, vx, vy), intent, click), stages)| {
                TickPublication {
                    output: TickOutput {
                        newest,
                        state,
                        reason,
                        position: Position([x, y]),
                        velocity: Velocity([vx, vy]),
                        intent,
                        click,
                        ..TickOutput::neutral(seq, time)
                    },
                    times: StageTimes { received: stages.0, closed: stages.1, decoded: stages.2 },
                    age: Seconds(stages.3),
                    late: false,
                }
            },
        )
    }

    fn publication() -> impl Strategy<Value = Publication> {
        let heartbeat = (time(), state(), number(), number()).prop_map(|(time, (state, reason), x, y)| {
            Publication::Heartbeat(Heartbeat {
                time,
                state,
                reason,
                last_seq: None,
                position: Position([x, y]),
            })
        });
        prop_oneof![tick().prop_map(Publication::Tick), heartbeat]
    }

    /// The numbers in a JSON value, in order.
    fn numbers(value: &Value, into: &mut Vec<f64>) {
        match value {
            Value::Number(number) => into.extend(number.as_f64()),
            Value::Array(items) => items.iter().for_each(|item| numbers(item, into)),
            Value::Object(members) => members.values().for_each(|member| numbers(member, into)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn whatever_a_publication_holds_its_message_is_json_of_finite_numbers(
            publication in publication(),
            sent in time(),
        ) {
            let text = match &publication {
                Publication::Tick(tick) => to_json(&State::new("session", tick, sent)),
                Publication::Heartbeat(heartbeat) => to_json(&HeartbeatMessage::new("session", heartbeat, sent)),
            };
            for word in ["NaN", "nan", "inf", "Inf"] {
                prop_assert!(!text.contains(word), "{text}");
            }
            let value: Value = serde_json::from_str(&text).unwrap();
            let mut found = Vec::new();
            numbers(&value, &mut found);
            prop_assert!(found.iter().all(|number| number.is_finite()), "{text}");
            let position = match &publication {
                Publication::Tick(tick) => tick.output.position,
                Publication::Heartbeat(heartbeat) => heartbeat.position,
            };
            for (axis, coordinate) in position.0.into_iter().enumerate() {
                let written = value["position"][axis].as_f64();
                prop_assert_eq!(written.map(f64::to_bits), coordinate.is_finite().then_some(coordinate.to_bits()));
            }
        }
    }
}
