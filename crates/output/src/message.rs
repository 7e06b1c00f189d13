//! What the server says over the WebSocket: one type a message, serialised as the client protocol fixes it.
//!
//! Numbers that are not finite become `null` (that is `serde_json`'s rule for `f64`); a property test holds it to that.

use kalmind_types::{
    Click, Component, Event, Heartbeat, Intent, LslTime, OutputState, Position, Reason, StreamStatus,
    TickPublication, Velocity, lower_triangle_index,
};
use serde::{Serialize, Serializer, ser::SerializeSeq as _};

use crate::DecoderInfo;

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
    pub(crate) sent: LslTime,
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
    Pong { t: f64, received: LslTime, sent: LslTime },
    /// A request was handed to the daemon.
    Accepted { request: &'a str },
    /// A request was refused or not understood.
    Error { code: ErrorCode, message: &'a str },
}

/// Why a request got an error, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// Not JSON, not a known type, or a member missing or wrong.
    Malformed,
    /// The token is missing or wrong.
    Unauthorized,
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
    /// The request makes no sense as it stands.
    Invalid,
    /// Not in the present state.
    NotNow,
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
