//! `/v1/status`: everything about the run in one JSON document.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use crate::{app::App, messages::PROTOCOL, messages::ReasonText};

/// The document. What the daemon adds never replaces what the server says itself.
pub(crate) fn status(app: &App) -> Value {
    let (info, newest, ledger) = (app.hub.info(), app.hub.newest(), app.ledger.snapshot());
    let latency: Map<String, Value> = ledger
        .stages
        .iter()
        .map(|stage| {
            let summary = json!({"p50": stage.p50, "p99": stage.p99, "max": stage.max, "count": stage.count});
            (stage.stage.name().to_owned(), summary)
        })
        .collect();
    let state_seconds: Map<String, Value> = app
        .hub
        .state_seconds()
        .into_iter()
        .map(|(state, seconds)| (state.name().to_owned(), json!(seconds)))
        .collect();
    let mut clients = serde_json::to_value(app.counters.snapshot()).unwrap_or_default();
    clients["open_websockets"] = json!(app.open_websockets.load(Ordering::Relaxed));
    let own = json!({
        "protocol": PROTOCOL,
        "session": info.session,
        "run": info.run,
        "instance": info.instance,
        "participant": info.participant,
        "version": info.version,
        "bin_ms": info.bin_ms,
        "decoder": app.controls.decoder(),
        "intent": info.components,
        "workspace": info.workspace,
        "streams": app.controls.streams(),
        "clock": {"lsl": app.hub.clock().lsl(), "unix": app.hub.clock().unix()},
        "state": newest.shown.state,
        "reason": newest.shown.reason.map(ReasonText),
        "state_since": newest.times.since,
        "state_seconds": state_seconds,
        "seq": newest.last_seq,
        "event_seq": newest.event_seq,
        "target": newest.target,
        "ticks": {
            "published": newest.ticks,
            "missed": newest.ticks_missed,
            "recorded": ledger.ticks,
            "late": ledger.late_ticks,
            "incomplete": ledger.incomplete_ticks,
        },
        "steal_ms": ledger.steal_ms,
        "latency_us": latency,
        "clients": clients,
    });
    let mut status = Value::Object(app.controls.status());
    if let (Value::Object(all), Value::Object(own)) = (&mut status, own) {
        all.extend(own);
    }
    status
}
