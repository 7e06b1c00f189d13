//! STOP, however it is asked for: every client sees it, with ticks and without, and nothing moves afterwards.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::harness::{Daemon, Laboratory, Process};

/// Input that is late on a busy machine is no matter of these tests.
const PATIENT: &str = "safety.stale_after_ms = 60000";
/// The protocol promises 50 ms. This is measured in other processes on a machine that runs many tests at once, so what
/// fails here is a stop that waits for something (the next tick, the next heartbeat round, a slow client), not a slow machine.
const WITHIN_S: f64 = 1.0;
/// The code of `hold` in the cursor outlet.
const HOLD: u64 = 3;

/// A daemon in control with a moving cursor, two WebSocket clients and a reader of its outlets.
struct Session {
    laboratory: Laboratory,
    outlet: Process,
    daemon: Daemon,
    clients: [Process; 2],
    lsl: Process,
}

impl Session {
    fn start(test: &str) -> Self {
        let laboratory = Laboratory::new(test);
        let stream = format!("{test}-array");
        let outlet = laboratory.outlet(&stream, &[]);
        let configuration = laboratory.controlled(&format!("name = \"{stream}\""), PATIENT);
        let daemon = laboratory.daemon(&configuration, "30");
        let clients = [laboratory.watch(&daemon).0, laboratory.watch(&daemon).0];
        for client in &clients {
            client.expect_state("control");
        }
        let lsl = laboratory.watch_lsl();
        lsl.expect_json("control", |line| line["state"] == 2);
        Self { laboratory, outlet, daemon, clients, lsl }
    }

    /// Now, on the clock that clients stamp what they receive with.
    fn now(&self) -> f64 {
        self.daemon.status()["clock"]["lsl"].as_f64().expect("a time")
    }

    /// No more samples, so no more ticks.
    fn silence(&mut self) {
        self.outlet.disturb("pause");
        self.daemon.wait_until("silence", |status| {
            let (stream, tick) = (&status["streams"][0], &status["tick"]);
            let count = |value: &Value| value.as_u64().expect("a count");
            // a busy machine may have been too late for some
            let decoded = count(&tick["ticks"]) - count(&tick["incomplete"]);
            count(&stream["received"]) == decoded + count(&stream["dropped"]) + count(&stream["late"])
                && stream["age_ms"].as_f64().is_some_and(|age| age > 300.0)
        });
    }

    /// Every WebSocket client sees hold, with a reason that holds `reason`, brought by a message of type `by`.
    fn clients_see_hold(&self, since: f64, by: Option<&str>, reason: &str) {
        for client in &self.clients {
            let line = client
                .expect_json("hold", |line| line["type"] == "changed" && line["message"]["state"] == "hold");
            if let Some(by) = by {
                assert_eq!(line["by"], by);
            }
            let told = line["message"]["reason"].as_str().expect("a reason");
            assert!(told.contains(reason), "{told}");
            let after = line["received"].as_f64().expect("a time") - since;
            println!("hold reached a client {:.1} ms after it was asked for", after * 1e3);
            assert!(after < WITHIN_S, "{after} s");
        }
    }

    /// More ticks have come, and every client still says that nothing moved (a violation would end it).
    fn goes_on_standing_still(&self) {
        let seq = self.daemon.status()["seq"].as_u64().expect("a tick");
        let status = self
            .daemon
            .wait_until("further ticks", |status| status["seq"].as_u64().is_some_and(|now| now > seq + 10));
        assert_eq!(status["state"], "hold");
    }

    /// Ends the daemon; the clients end without having seen a violation.
    fn end(self) -> Value {
        let summary = self.daemon.end();
        for client in self.clients {
            let (code, lines) = client.wait();
            assert_eq!(code, Some(0), "{lines:?}");
            let closed: Value = serde_json::from_str(lines.last().expect("a last line")).expect("JSON");
            assert_eq!(closed["code"], 1001, "{closed}");
            assert_eq!(closed["last"][0], "hold", "{closed}");
        }
        summary
    }
}

#[test]
fn stop_over_http_needs_no_token_and_reaches_every_client() {
    let session = Session::start("stop-http");
    let since = session.now();
    assert_eq!(session.daemon.http("POST", "/v1/stop", None, false).0, 200);
    session.clients_see_hold(since, None, "stopped by a client");
    let line = session.lsl.expect_json("hold over LSL", |line| line["state"] == HOLD);
    assert_eq!(line["velocity"], json!([0.0, 0.0]));
    session.goes_on_standing_still();
    let status = session.daemon.status();
    assert_eq!(status["reason"], "stopped by a client");
    session.end();
}

#[test]
fn stop_reaches_every_client_when_there_are_no_ticks() {
    let mut session = Session::start("stop-silent");
    session.silence();
    let since = session.now();
    assert_eq!(session.daemon.http("POST", "/v1/stop", None, false).0, 200);
    session.clients_see_hold(since, Some("heartbeat"), "stopped by a client");
    // readers of the outlets see both, in whichever order
    let (stands, told) = (Cell::new(false), Cell::new(false));
    session.lsl.expect_json("hold over LSL without a tick, and the stop event", |line| {
        if line["state"] == HOLD {
            assert_eq!((&line["heartbeat"], &line["velocity"]), (&json!(true), &json!([0.0, 0.0])));
            stands.set(true);
        }
        let event = &line["event"];
        told.set(told.get() || event["kind"] == "operator" && event["data"]["action"] == "stop");
        stands.get() && told.get()
    });
    session.outlet.disturb("go");
    session.goes_on_standing_still();
    session.end();
}

#[test]
fn stop_over_the_websocket_needs_no_token() {
    let mut session = Session::start("stop-websocket");
    let since = session.now();
    session.clients[0].say(r#"{"type":"stop"}"#);
    session.clients_see_hold(since, None, "stopped by a client");
    session.lsl.expect_json("hold over LSL", |line| line["state"] == HOLD);
    // nor does it end by asking without the token
    session.clients[0].say(r#"{"type":"control","state":"control"}"#);
    let refused = session.clients[0].expect_json("a refusal", |line| line["type"] == "error");
    assert_eq!(refused["code"], "unauthorized");
    session.goes_on_standing_still();
    session.end();
}

#[test]
fn sigterm_stops_the_cursor_tells_every_client_and_ends_well() {
    let session = Session::start("stop-sigterm");
    let summary = session.end();
    assert!(summary["tick"]["ticks"].as_u64().is_some_and(|ticks| ticks > 0));
}

#[test]
fn sigterm_without_ticks_tells_every_client_and_ends_well() {
    let mut session = Session::start("stop-sigterm-silent");
    session.silence();
    let since = session.now();
    session.daemon.process.signal("-TERM");
    session.clients_see_hold(since, Some("heartbeat"), "Kalmind is shutting down");
    let Session { laboratory, daemon, clients, .. } = session;
    let (code, lines) = daemon.process.wait();
    assert_eq!(code, Some(0), "{lines:?}");
    for client in clients {
        assert_eq!(client.wait().0, Some(0));
    }
    drop(laboratory);
}

#[test]
fn ctrl_c_is_a_sigterm() {
    let session = Session::start("stop-sigint");
    session.daemon.process.signal("-INT");
    let Session { laboratory, daemon, clients, .. } = session;
    assert_eq!(daemon.process.wait().0, Some(0));
    for client in clients {
        let (code, lines) = client.wait();
        assert_eq!(code, Some(0), "{lines:?}");
    }
    drop(laboratory);
}
