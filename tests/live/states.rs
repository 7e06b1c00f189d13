//! Changes of the output's state: told when they happen, once, to everybody alike; and who lets the cursor go on.

use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Laboratory, Process},
    recording::{read_by_pyxdf, recording, replayed},
};

const STALE: u64 = 4;
const HOLD: u64 = 3;

/// Waits for an event of the state that fits, as a WebSocket client or a reader of the LSL outlet gets it; without the time at which
/// it got it.
fn state_event(watch: &Process, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    event(watch, what, |event| fits(&event["data"]))
}

/// The same of one that fits with all that it is.
fn event(watch: &Process, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let event = |line: &Value| if line["event"].is_object() { line["event"].clone() } else { line.clone() };
    let line = watch.expect_json(what, |line| {
        let event = event(line);
        event["type"] == "event" && (event["kind"] == "state" || event["kind"] == "fault") && fits(&event)
    });
    let mut event = event(&line);
    if let Some(received) = line["received"].as_f64() {
        let late = received - event["time"].as_f64().expect("a time");
        println!("{what}: told {:.1} ms after it happened", late * 1e3);
    }
    if let Some(event) = event.as_object_mut() {
        event.remove("received");
    }
    event
}

fn becomes(state: &'static str) -> impl Fn(&Value) -> bool {
    move |data| data["state"] == state && data["previous"] != state
}

fn in_control(daemon: &Daemon) -> Value {
    daemon.wait_until("control", |status| {
        status["state"] == "control" && status["tick"]["ticks"].as_u64().is_some_and(|ticks| ticks > 20)
    })
}

#[test]
fn an_outage_is_told_while_it_lasts_to_clients_readers_and_the_recording_alike() {
    let laboratory = Laboratory::new("outage");
    let mut outlet = laboratory.outlet("outage-array", &[]);
    let limits = "safety.stale_after_ms = 300\nsafety.auto_resume_ms = 600000";
    let configuration = laboratory.controlled("name = \"outage-array\"", limits);
    let file = laboratory.path("outage.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    let (client, _) = laboratory.watch(&daemon);
    // samples and events are two streams: which comes first is open
    let (lsl, lsl_events) = (laboratory.watch_lsl(), laboratory.watch_lsl());
    in_control(&daemon);
    lsl.expect_json("control", |line| line["state"] == 2);

    outlet.disturb("pause");
    // all of this before a sample comes again; on a busy machine it may have been stale for a moment before
    let away = daemon.wait_until("a second of it", |status| {
        let times = (status["clock"]["lsl"].as_f64(), status["state_since"].as_f64());
        status["state"] == "stale" && matches!(times, (Some(now), Some(since)) if now - since > 1.0)
    });
    let since = &away["state_since"];
    let of_it = |event: &Value| event["data"]["state"] == "stale" && event["time"] == *since;
    let told = event(&client, "stale over the WebSocket", of_it);
    assert_eq!(event(&lsl_events, "stale over LSL", of_it), told);
    assert_eq!((&told["kind"], &told["data"]["cause"]), (&json!("state"), &json!("input_not_fresh")));
    assert_ne!(told["data"]["previous"], "stale");
    let standing = lsl.expect_json("a sample that stands still", |line| {
        line["state"] == STALE && line["seq"].as_f64() == told["data"]["seq"].as_f64()
    });
    assert_eq!((&standing["velocity"], &standing["heartbeat"]), (&json!([0.0, 0.0]), &json!(true)));
    outlet.disturb("go");
    let back = state_event(&client, "control over the WebSocket", becomes("control"));
    assert_eq!(state_event(&lsl_events, "control over LSL", becomes("control")), back);
    assert_eq!(
        (&back["kind"], &back["data"]["previous"], &back["data"]["since"]),
        (&json!("state"), &json!("stale"), &told["time"])
    );
    let message = back["data"]["message"].as_str().expect("a sentence");
    assert!(message.starts_with("the signal is back after "), "{message}");
    let lasted = back["time"].as_f64().zip(told["time"].as_f64()).map(|(back, told)| back - told);
    let lasted = lasted.expect("two times");

    // the end, without ticks: it is the last sample that says so
    outlet.disturb("pause");
    state_event(&client, "stale again", becomes("stale"));
    let summary = daemon.end();
    let closed = lsl.expect_json("the outlet's end", |line| line["type"] == "closed");
    assert_eq!((&closed["last"]["vx"], &closed["last"]["vy"]), (&json!(0.0), &json!(0.0)));
    assert_ne!(closed["last"]["state"], 2.0);
    assert!(summary["state_seconds"]["stale"].as_f64().is_some_and(|seconds| seconds >= lasted));

    let read = read_by_pyxdf(&laboratory, std::slice::from_ref(&file));
    let recorded = read.iter().find(|line| {
        line["way"] == "raw" && line["name"].as_str().is_some_and(|name| name.ends_with("-Events"))
    });
    let recorded: Vec<Value> = recorded.expect("a stream of events")["texts"]
        .as_array()
        .expect("texts")
        .iter()
        .map(|text| serde_json::from_str(text.as_str().expect("a text")).expect("JSON"))
        .collect();
    assert!(recorded.contains(&told) && recorded.contains(&back));
    // each change once, in order: what was before is what the event before it said
    let changes: Vec<&Value> =
        recorded.iter().filter(|event| event["kind"] == "state" || event["kind"] == "fault").collect();
    for pair in changes.windows(2) {
        assert_eq!(pair[1]["data"]["previous"], pair[0]["data"]["state"]);
        assert_eq!(pair[1]["data"]["since"], pair[0]["time"]);
        let shown = |event: &Value| (event["data"]["state"].clone(), event["data"]["reason"].clone());
        assert_ne!(shown(pair[1]), shown(pair[0]));
    }
    let replayed = replayed(&file);
    assert!(replayed.identical(), "{:?}", replayed.comparison.first_difference);
    assert_eq!(client.wait().0, Some(0));
}

#[test]
fn a_stop_in_an_outage_stands_still_at_once_over_lsl_too() {
    let laboratory = Laboratory::new("outage-stop");
    let mut outlet = laboratory.outlet("outage-stop-array", &[]);
    let configuration =
        laboratory.controlled("name = \"outage-stop-array\"", "safety.stale_after_ms = 60000");
    let daemon = laboratory.daemon(&configuration, "30");
    let (client, _) = laboratory.watch(&daemon);
    // samples and events are two streams: which comes first is open
    let (lsl, lsl_events) = (laboratory.watch_lsl(), laboratory.watch_lsl());
    in_control(&daemon);
    lsl.expect_json("control", |line| line["state"] == 2);
    outlet.disturb("pause");
    assert_eq!(daemon.http("POST", "/v1/stop", None, false).0, 200);
    let standing = lsl.expect_json("hold", |line| line["state"] == HOLD);
    assert_eq!(standing["velocity"], json!([0.0, 0.0]));
    let told = state_event(&client, "hold", becomes("hold"));
    assert_eq!(state_event(&lsl_events, "hold over LSL", becomes("hold")), told);
    assert_eq!((&told["data"]["by"], &told["data"]["awaits"]), (&json!("client"), &json!("operator")));
    daemon.end();
}

/// A daemon that waited for a resume: its sender was away for longer than `auto_resume_ms`.
fn waiting(test: &str, more: &str) -> (Laboratory, Process, Daemon, Process) {
    let laboratory = Laboratory::new(test);
    let stream = format!("{test}-array");
    let mut outlet = laboratory.outlet(&stream, &[]);
    let limits = format!("safety.stale_after_ms = 300\nsafety.auto_resume_ms = 1500\n{more}");
    let configuration = laboratory.controlled(&format!("name = \"{stream}\""), &limits);
    let daemon = laboratory.daemon(&configuration, "30");
    let (client, _) = laboratory.watch(&daemon);
    in_control(&daemon);
    outlet.disturb("pause");
    daemon.wait_until("three seconds away", |status| {
        let times = (status["clock"]["lsl"].as_f64(), status["state_since"].as_f64());
        status["state"] == "stale" && matches!(times, (Some(now), Some(since)) if now - since > 3.0)
    });
    outlet.disturb("go");
    (laboratory, outlet, daemon, client)
}

fn awaited(client: &Process) -> Value {
    state_event(client, "the signal is back", |data| data["cause"] == "awaits_resume")
}

fn resume() -> Value {
    json!({ "kind": "operator", "data": { "action": "resume" } })
}

#[test]
fn a_task_that_may_resumes_after_an_outage_and_never_a_stop() {
    let (_laboratory, _outlet, daemon, client) = waiting("may-resume", "task.may_resume = true");
    let event = awaited(&client);
    assert_eq!(event["data"]["awaits"], "operator or task");
    assert!(event["data"]["message"].as_str().is_some_and(|message| message.contains("press Resume")));
    assert_eq!(daemon.http("POST", "/v1/events", Some(&resume()), true).0, 200);
    state_event(&client, "control", becomes("control"));
    assert_eq!(daemon.http("POST", "/v1/stop", None, false).0, 200);
    state_event(&client, "hold", becomes("hold"));
    assert_eq!(daemon.http("POST", "/v1/events", Some(&resume()), true).0, 200);
    let seq = daemon.status()["seq"].as_u64().expect("a tick");
    // on a busy machine it may be stale for a moment
    let after = daemon.wait_until("further ticks", |status| {
        status["state"] != "stale" && status["seq"].as_u64().is_some_and(|now| now > seq + 20)
    });
    assert_eq!(after["state"], "hold");
    daemon.end();
}

#[test]
fn a_task_that_may_not_is_told_so_and_the_operator_resumes() {
    let (_laboratory, _outlet, daemon, client) = waiting("may-not-resume", "");
    assert_eq!(awaited(&client)["data"]["awaits"], "operator");
    let (code, body) = daemon.http("POST", "/v1/events", Some(&resume()), true);
    assert!(code == 409 && body.contains("may_resume"), "{code} {body}");
    let reason = daemon.status()["reason"].clone();
    assert!(
        reason.as_str().is_some_and(|reason| reason.contains("waiting for the operator to continue")),
        "{reason}"
    );
    assert_eq!(daemon.http("POST", "/v1/control", Some(&json!({ "state": "control" })), true).0, 200);
    let told = state_event(&client, "control", becomes("control"));
    assert_eq!(told["data"]["message"], "resumed; control (requested by the operator)");
    daemon.end();
}
