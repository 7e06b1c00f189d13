//! The first message to every client.

use kalmind_types::{Component, Event, LslTime, OutputState, StreamStatus};
use serde::Serialize;

#[cfg(test)]
use super::described::Described;
use super::reason_text::ReasonText;
use crate::{DecoderInfo, Limits};

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

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "Hello",
    fragment: include_str!("hello.json"),
    example: || {
        let component =
            |name: &str| Component { name: String::from(name), unit: String::from("workspace widths/s") };
        let decoder = DecoderInfo {
            name: String::from("kalman"),
            model: "ab".repeat(32),
            covariance: kalmind_types::CovarianceKind::Varying,
            quality: serde_json::Value::Null,
            warnings: Vec::new(),
            poor: false,
        };
        serde_json::to_string(&Hello {
            protocol: 1,
            session: "7b0c6d0e-6a43-4c0e-9d39-0d5b7d1d3f0a",
            run: 1_764_000_000,
            instance: "kalmind",
            participant: "P1",
            version: "0.1.0",
            bin_ms: 20.0,
            decoder: Some(decoder),
            intent: &[component("vx"), component("vy")],
            workspace: Workspace { width: 1.0, height: 0.5625 },
            streams: Vec::new(),
            clock: ClockPair { lsl: LslTime(5678.9), unix: 1_764_000_012.5 },
            target: None,
            event_seq: None,
            state: OutputState::Idle,
            reason: None,
            flow: FlowControl::new(&Limits::default(), false),
            sent: LslTime(5678.9),
        })
    },
};
