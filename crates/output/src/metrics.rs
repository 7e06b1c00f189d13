//! `/metrics`: the same figures for Prometheus, in its text format 0.0.4.

use core::fmt::Write as _;
use std::sync::atomic::Ordering;

use kalmind_types::{OutputState, StreamStatus};

use crate::{LedgerSnapshot, app::App};

/// All metrics.
pub(crate) fn exposition(app: &App) -> String {
    let mut text = Exposition::default();
    let newest = app.hub.newest();
    text.family("kalmind_state", "gauge", "1 for the output state that is in force, 0 for the others");
    for state in OutputState::ALL {
        let value = f64::from(u8::from(state == newest.shown.state));
        text.sample("kalmind_state", &[("state", state.name())], value);
    }
    let name = "kalmind_state_seconds_total";
    text.family(name, "counter", "How long each output state was shown, on the local clock");
    for (state, seconds) in app.hub.state_seconds() {
        text.sample(name, &[("state", state.name())], seconds);
    }
    text.single("kalmind_ticks_total", "counter", "Ticks sent to clients", newest.ticks as f64);
    text.single(
        "kalmind_ticks_missed_total",
        "counter",
        "Ticks that never came through the hub's queue",
        newest.ticks_missed as f64,
    );
    latency(&mut text, &app.ledger.snapshot());
    streams(&mut text, &app.controls.streams());
    text.single(
        "kalmind_clients_open_websockets",
        "gauge",
        "WebSocket clients connected now",
        app.open_websockets.load(Ordering::Relaxed) as f64,
    );
    for (name, explanation, value) in app.counters.snapshot().rows() {
        let name = format!("kalmind_clients_{name}_total");
        text.single(&name, "counter", explanation.trim(), value as f64);
    }
    text.0.push_str(&app.controls.metrics_extra());
    text.0
}

fn latency(text: &mut Exposition, ledger: &LedgerSnapshot) {
    const NAME: &str = "kalmind_latency_seconds";
    text.family(NAME, "summary", "How long ticks took, per stage, since the start");
    for stage in &ledger.stages {
        let name = stage.stage.name();
        for (quantile, micros) in [("0.5", stage.p50), ("0.99", stage.p99), ("1", stage.max)] {
            text.sample(NAME, &[("stage", name), ("quantile", quantile)], micros / 1e6);
        }
        text.sample("kalmind_latency_seconds_sum", &[("stage", name)], stage.sum / 1e6);
        text.sample("kalmind_latency_seconds_count", &[("stage", name)], stage.count as f64);
    }
    let counts = [
        ("kalmind_late_ticks_total", "Ticks that began more than a bin width late", ledger.late_ticks),
        ("kalmind_incomplete_ticks_total", "Ticks without a full bin", ledger.incomplete_ticks),
    ];
    for (name, explanation, value) in counts {
        text.single(name, "counter", explanation, value as f64);
    }
    if let Some(steal_ms) = ledger.steal_ms {
        text.single(
            "kalmind_hypervisor_steal_seconds_total",
            "counter",
            "Processor time that the hypervisor gave to others, over all processors",
            steal_ms as f64 / 1e3,
        );
    }
}

fn streams(text: &mut Exposition, streams: &[StreamStatus]) {
    type Value = fn(&StreamStatus) -> Option<f64>;
    let families: [(&str, &str, &str, Value); 15] = [
        ("received_total", "counter", "Samples that LSL delivered", |s| Some(s.counts.received as f64)),
        ("missing_total", "counter", "Samples that were never delivered", |s| Some(s.counts.missing as f64)),
        ("dropped_total", "counter", "Samples delivered and dropped", |s| Some(s.counts.dropped as f64)),
        ("late_total", "counter", "Samples for a bin that was closed", |s| Some(s.counts.late as f64)),
        ("reconnects_total", "counter", "Times connected anew", |s| Some(s.counts.reconnects as f64)),
        ("overflows_total", "counter", "Times LSL's input queue was found full", |s| {
            Some(s.counts.overflows as f64)
        }),
        ("arrival_interval_seconds", "gauge", "Time between two arrivals, as measured", |s| {
            s.arrival.as_ref()?.measured.map(|measured| measured.interval_ms / 1e3)
        }),
        ("arrival_delay_seconds", "gauge", "Age of the oldest samples as they arrive, as measured", |s| {
            s.arrival.as_ref()?.measured.map(|measured| measured.delay_ms / 1e3)
        }),
        (
            "health",
            "gauge",
            "0 waiting, 1 live, 2 stalled, 3 lost, 4 mismatch, 5 backlog, 6 bad clock",
            |s| Some(f64::from(s.health as u8)),
        ),
        (
            "age_seconds",
            "gauge",
            "Time since the newest sample's stamp; negative where it is ahead of now",
            |s| s.age_ms.map(|ms| ms / 1e3),
        ),
        ("channels_out", "gauge", "Channels that are left out because they are not healthy", |s| {
            Some(s.channels_out.len() as f64)
        }),
        ("settling_seconds", "gauge", "How long its stages go on settling after a start", |s| {
            s.settling_ms.map(|ms| ms / 1e3)
        }),
        ("measured_rate_hz", "gauge", "Measured rate", |s| s.measured_rate_hz),
        ("clock_offset_seconds", "gauge", "Offset of the sender's clock", |s| {
            s.clock_offset_ms.map(|ms| ms / 1e3)
        }),
        ("clock_uncertainty_seconds", "gauge", "How wrong that offset may be", |s| {
            s.clock_uncertainty_ms.map(|ms| ms / 1e3)
        }),
    ];
    for (name, kind, explanation, value) in families {
        let name = format!("kalmind_stream_{name}");
        text.family(&name, kind, explanation);
        for stream in streams {
            if let Some(value) = value(stream) {
                text.sample(&name, &[("stream", &stream.key)], value);
            }
        }
    }
}

/// Text in Prometheus' format, as it grows.
#[derive(Debug, Default)]
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, explanation: &str) {
        let _infallible = writeln!(self.0, "# HELP {name} {explanation}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _infallible = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _infallible = writeln!(self.0, "{close} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, explanation: &str, value: f64) {
        self.family(name, kind, explanation);
        self.sample(name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition::default();
        text.sample("a", &[("b", "x\"y\\z\n"), ("c", "d")], 1.5);
        assert_eq!(text.0, "a{b=\"x\\\"y\\\\z\\n\",c=\"d\"} 1.5\n");
    }
}
