//! One tick.

use kalmind_types::{
    Click, Intent, LslTime, OutputState, Position, TickPublication, Velocity, lower_triangle_index,
};
use serde::{Serialize, Serializer, ser::SerializeSeq as _};

#[cfg(test)]
use super::described::Described;
use super::reason_text::ReasonText;

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

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "StateMessage",
    fragment: include_str!("state.json"),
    example: || {
        use kalmind_types::{Actor, Cause, Reason, Seconds, StageTimes, TickOutput};

        let mut intent = Intent::zero(2);
        intent.mean_mut().copy_from_slice(&[0.1, -0.2]);
        intent.covariance_mut().copy_from_slice(&[0.02, 0.001, 0.03]);
        let tick = TickPublication {
            output: TickOutput {
                newest: Some(LslTime(5678.899)),
                state: OutputState::Control,
                reason: Some(Reason { cause: Cause::Requested, by: Actor::Operator }),
                position: Position([0.4, 0.3]),
                velocity: Velocity([0.1, -0.2]),
                intent: Some(intent),
                click: Some(Click { probability: 0.25, ..Click::default() }),
                ..TickOutput::neutral(1234, LslTime(5678.9))
            },
            times: StageTimes {
                received: LslTime(5678.9),
                closed: LslTime(5678.901),
                decoded: LslTime(5678.902),
            },
            age: Seconds(0.003),
            late: false,
        };
        serde_json::to_string(&State::new("7b0c6d0e-6a43-4c0e-9d39-0d5b7d1d3f0a", &tick, LslTime(5678.903)))
    },
};
